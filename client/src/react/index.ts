'use client'; // Next's App Router runs components with state in the browser only if a module says so

export type { Help } from './context.js';
export type { NumberingSystem } from './format.js';
export { type Locale } from './messages.js';
export { type Place, type PlaceChange, placeFromQuery, placeToQuery, type Sort, usePlaceInAddress } from './place.js';
export {
  type AdminDashboard, type Appearance, type OwnerDashboard, UsageDashboard, type UsageDashboardProps,
} from './UsageDashboard.js';
