import { useCallback, useMemo, useState } from 'react';
import type { AdministratorClient, OwnerClient } from '../index.js';
import { AdminView } from './AdminView.js';
import { Surrounding } from './context.js';
import { makeFormat } from './format.js';
import { type Locale, messages } from './messages.js';
import { OwnerView } from './OwnerView.js';

/** How the dashboard is shown. */
export interface Appearance {
  /** The language; Arabic is laid out from right to left. Default: English. */
  locale?: Locale | undefined;
  /** Default: what the reader's system prefers. */
  theme?: 'auto' | 'light' | 'dark' | undefined;
  /** IANA zone in which times are shown. Default: the browser's. */
  timeZone?: string | undefined;
  /** Any value: when it changes, the figures are read again. */
  revision?: unknown;
  /** The clock. Default: the browser's. */
  now?: (() => Date) | undefined;
}

/** An owner's dashboard: one restaurant. */
export interface OwnerDashboard {
  /** A client with an access token. Keep it from one rendering to the next: another one is read anew. */
  client: OwnerClient;
}

/** An administrator's dashboard: all restaurants. */
export interface AdminDashboard {
  /** A client with an API key. Keep it from one rendering to the next. */
  client: AdministratorClient;
}

/** What a dashboard is made with. */
export type UsageDashboardProps = Appearance & (OwnerDashboard | AdminDashboard);

const clock = () => new Date();

/** Shows how much of its allowance a restaurant has used, or all restaurants have. Its style is usage-dashboard.css. */
export function UsageDashboard(props: UsageDashboardProps) {
  const { client, locale = 'en', theme = 'auto', timeZone, revision, now = clock } = props;
  const [announced, setAnnounced] = useState('');
  const announce = useCallback((what: string) => setAnnounced(what), []);
  const surroundings = useMemo(
    () => ({ text: messages[locale], format: makeFormat(locale, timeZone), now, announce }), [locale, timeZone, now, announce],
  );
  return (
    <Surrounding.Provider value={surroundings}>
      <div className="sud sud-theme" lang={locale} dir={locale === 'ar' ? 'rtl' : 'ltr'} data-theme={theme}>
        {client.role === 'owner'
          ? <OwnerView client={client} revision={revision} />
          : <AdminView client={client} revision={revision} />}
        <p className="sud-visually-hidden" role="status">{announced}</p>
      </div>
    </Surrounding.Provider>
  );
}
