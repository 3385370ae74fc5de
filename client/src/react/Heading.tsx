import type { ReactNode } from 'react';
import { useSurroundings } from './context.js';
import { useTick } from './useTick.js';
import { fill } from './messages.js';
import { ActiveBadge } from './RestaurantUsage.js';

/** Shows a restaurant's name, and the time of its figures. */
export function Heading({ title, id, isActive, at, busy, refresh, before, actions }: {
  title: string; id: string; isActive: boolean; at: Date | undefined; busy: boolean; refresh: () => void; before?: ReactNode; actions?: ReactNode;
}) {
  return (
    <header className="sud-head">
      <div className="sud-head-main">
        {before}
        <h2 className="sud-title" tabIndex={-1}><bdi>{title}</bdi></h2>
        <p className="sud-subtitle">
          <ActiveBadge isActive={isActive} />
          <bdi className="sud-id">{id}</bdi>
        </p>
      </div>
      <div className="sud-actions">
        {actions}
        <RefreshButton at={at} busy={busy} refresh={refresh} />
      </div>
    </header>
  );
}

/** Shows the time of the figures, and reads them again. */
export function RefreshButton({ at, busy, refresh }: { at: Date | undefined; busy: boolean; refresh: () => void }) {
  const { text, format, now } = useSurroundings();
  useTick(10_000);
  return (
    <div className="sud-refresh">
      {at && <time className="sud-note" dateTime={at.toISOString()} title={format.time(at)}>{fill(text.updated, { time: format.since(at, now()) })}</time>}
      <button type="button" className="sud-button sud-button-quiet" onClick={busy ? undefined : refresh} aria-disabled={busy}>
        <svg viewBox="0 0 16 16" aria-hidden="true" data-busy={busy}>
          <path d="M13.5 8a5.5 5.5 0 1 1-1.7-4M12 1v3.2H8.8" />
        </svg>
        {text.refresh}
      </button>
    </div>
  );
}
