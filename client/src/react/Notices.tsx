import { useSurroundings } from './context.js';
import { fill, type Messages } from './messages.js';

/** Returns title and text of what went wrong, by the status that a failed read's error carries. */
function describe(error: unknown, text: Messages): [title: string, detail: string] {
  const status = typeof error === 'object' && error !== null && 'status' in error ? error.status : undefined;
  switch (status) {
    case 401:
    case 403:
      return [text.refusedTitle, text.refused];
    case 404:
      return [text.unknownTitle, text.unknown];
    case 400:
      return [text.failedTitle, text.failed];
    default: // the network, a time-out, 429, 5xx: all pass
      return [text.unreachableTitle, text.unreachable];
  }
}

/** Says why something couldn't be read, with a button to try again. */
export function Failure({ error, retry, busy }: { error: unknown; retry: () => void; busy: boolean }) {
  const { text } = useSurroundings();
  const [title, detail] = describe(error, text);
  return (
    <div className="sud-notice" role="alert" data-tone="full">
      <div>
        <p className="sud-notice-title">{title}</p>
        <p>{detail}</p>
      </div>
      <button type="button" className="sud-button" onClick={busy ? undefined : retry} aria-disabled={busy}>{text.retry}</button>
    </div>
  );
}

/** Says that what is shown is older than it should be. */
export function Stale({ at, retry, busy }: { at: Date; retry: () => void; busy: boolean }) {
  const { text, format } = useSurroundings();
  return (
    <div className="sud-notice" role="alert" data-tone="near">
      <div>
        <p className="sud-notice-title">{text.staleTitle}</p>
        <p>{fill(text.stale, { time: format.time(at) })}</p>
      </div>
      <button type="button" className="sud-button" onClick={busy ? undefined : retry} aria-disabled={busy}>{text.retry}</button>
    </div>
  );
}

/** Stands for what is being read for the first time. */
export function Skeleton({ shape }: { shape: 'cards' | 'rows' }) {
  const { text } = useSurroundings();
  return (
    <div className={`sud-skeleton sud-skeleton-${shape}`} role="status">
      <span className="sud-visually-hidden">{text.loading}</span>
      {Array.from({ length: shape === 'cards' ? 4 : 8 }, (_, i) => <div key={i} aria-hidden="true" />)}
    </div>
  );
}
