import { useCallback, useMemo, useState } from 'react';
import type { AdministratorClient, OwnerClient } from '../index.js';
import { AdminView } from './AdminView.js';
import { type Help, Surrounding } from './context.js';
import { makeFormat, type NumberingSystem } from './format.js';
import { type Locale, messages } from './messages.js';
import { Safe } from './Notices.js';
import { OwnerView } from './OwnerView.js';
import type { Place, PlaceChange } from './place.js';

/** The dashboard's appearance. */
export interface Appearance {
  /** The language; Arabic is laid out from right to left. Default: English. */
  locale?: Locale | undefined;
  /** Default: the preference of the reader's system. */
  theme?: 'auto' | 'light' | 'dark' | undefined;
  /** IANA zone in which times are shown. Default: the browser's. */
  timeZone?: string | undefined;
  /** Arabic's digits: Latin, as most Saudi pages have them, or Arabic-Indic. Default: Latin. */
  numberingSystem?: NumberingSystem | undefined;
  /** How often the figures are read again while the page is visible, in milliseconds. Default: never. */
  refreshMs?: number | undefined;
  /** Your text about a used-up allowance, and the contact for a larger one. */
  help?: Help | undefined;
  /** Any value: when it changes, the figures are read again. */
  revision?: unknown;
  /** The clock. Default: the browser's. */
  now?: (() => Date) | undefined;
}

/** An owner's dashboard: one restaurant. */
export interface OwnerDashboard {
  /** A client with an access token. Keep the same client for all renderings: another one causes a new read. */
  client: OwnerClient;
}

/** An administrator's dashboard: all restaurants. */
export interface AdminDashboard {
  /** A client with an API key. Keep the same client for all renderings. */
  client: AdministratorClient;
  /** The administrator's place: search, filter, page, open restaurant. Default: the dashboard keeps it itself. */
  place?: Partial<Place> | undefined;
  /** Called with each new place, for `place` or a router. */
  onPlace?: ((place: Place, change: PlaceChange) => void) | undefined;
}

/** The dashboard's properties. */
export type UsageDashboardProps = Appearance & (OwnerDashboard | AdminDashboard);

const clock = () => new Date();

/** Shows how much of its allowance a restaurant has used, or all restaurants have. Its style is usage-dashboard.css. */
export function UsageDashboard(props: UsageDashboardProps) {
  const { locale = 'en', theme = 'auto', timeZone, numberingSystem, refreshMs, help, revision, now = clock } = props;
  const [announced, setAnnounced] = useState('');
  const announce = useCallback((what: string) => setAnnounced(what), []);
  const surroundings = useMemo(
    () => ({
      text: messages[locale], format: makeFormat(locale, timeZone, numberingSystem), now, help: help ?? {}, refreshMs, announce,
    }),
    [locale, timeZone, numberingSystem, now, help, refreshMs, announce],
  );
  return (
    <Surrounding.Provider value={surroundings}>
      <div className="sud sud-theme" lang={locale} dir={locale === 'ar' ? 'rtl' : 'ltr'} data-theme={theme}>
        <Safe>
          {props.client.role === 'owner'
            ? <OwnerView client={props.client} revision={revision} />
            : <AdminView client={props.client} revision={revision} place={(props as AdminDashboard).place} onPlace={(props as AdminDashboard).onPlace} />}
        </Safe>
        <p className="sud-visually-hidden" role="status">{announced}</p>
      </div>
    </Surrounding.Provider>
  );
}
