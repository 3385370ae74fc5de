export { type Locale } from './messages.js';
export {
  type AdminDashboard, type Appearance, type OwnerDashboard, UsageDashboard, type UsageDashboardProps,
} from './UsageDashboard.js';
