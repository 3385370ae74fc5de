import { Component, type ReactNode } from 'react';
import { useSurroundings } from './context.js';
import { fill, type Messages } from './messages.js';

const field = (error: unknown, name: string): unknown =>
  typeof error === 'object' && error !== null && name in error ? (error as Record<string, unknown>)[name] : undefined;

/** Returns the title and text for a failed read, by its error's status and code. */
function describe(error: unknown, text: Messages): [title: string, detail: string] {
  if (field(error, 'code') === 'invalid_response' || !(error instanceof Error && field(error, 'status') !== undefined)) {
    return [text.failedTitle, field(error, 'requestId') === undefined ? text.failed : text.brokenAnswer];
  }
  switch (field(error, 'status')) {
    case 401:
    case 403:
      return [text.refusedTitle, text.refused];
    case 404:
      return [text.unknownTitle, text.unknown];
    case 400:
      return [text.failedTitle, text.failed];
    case 0:
      if (typeof navigator === 'object' && navigator.onLine === false) return [text.offlineTitle, text.offline];
  }
  return [text.unreachableTitle, text.unreachable]; // no network, a time-out, 429 or 5xx: these pass
}

/** Gives the reason that something couldn't be read, with a button to try again. */
export function Failure({ error, retry, busy }: { error: unknown; retry: () => void; busy: boolean }) {
  const { text } = useSurroundings();
  const [title, detail] = describe(error, text);
  const requestId = field(error, 'requestId');
  return (
    <div className="sud-notice" role="alert" data-tone="full">
      <div>
        <p className="sud-notice-title">{title}</p>
        <p>{detail}</p>
        {typeof requestId === 'string' && <p className="sud-note">{fill(text.requestId, { id: '\u2068' + requestId + '\u2069' })}</p>}
      </div>
      <button type="button" className="sud-button" onClick={busy ? undefined : retry} aria-disabled={busy}>{text.retry}</button>
    </div>
  );
}

/** Says that the shown figures are older than they should be. */
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

/** Shows a failure in place of parts that can't be rendered, so that the page doesn't go blank. */
export class Safe extends Component<{ children: ReactNode }, { failed: boolean; error?: unknown }> {
  override state: { failed: boolean; error?: unknown } = { failed: false };

  static getDerivedStateFromError(error: unknown): { failed: boolean; error: unknown } {
    return { failed: true, error };
  }

  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return <div className="sud-view"><Failure error={this.state.error} retry={() => this.setState({ failed: false })} busy={false} /></div>;
  }
}

/** Fills the place of figures until they are read for the first time. */
export function Skeleton({ shape }: { shape: 'cards' | 'rows' }) {
  const { text } = useSurroundings();
  return (
    <div className={`sud-skeleton sud-skeleton-${shape}`} role="status">
      <span className="sud-visually-hidden">{text.loading}</span>
      {Array.from({ length: shape === 'cards' ? 4 : 8 }, (_, i) => <div key={i} aria-hidden="true" />)}
    </div>
  );
}
