export { type Locale } from './messages.js';
export { type MonthCount } from './months.js';
export { type HistoryReader } from './OwnerView.js';
export {
  type AdminDashboard, type Appearance, type OwnerDashboard, UsageDashboard, type UsageDashboardProps,
} from './UsageDashboard.js';
