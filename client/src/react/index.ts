'use client'; // Next's App Router renders what has state in the browser too only below a module that says so

export { type Locale } from './messages.js';
export {
  type AdminDashboard, type Appearance, type OwnerDashboard, UsageDashboard, type UsageDashboardProps,
} from './UsageDashboard.js';
