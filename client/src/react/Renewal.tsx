import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import type { Adjustment, AdministratorClient, Quota } from '../index.js';
import { newKey } from '../key.js';
import { useSurroundings } from './context.js';
import { fill } from './messages.js';

const usualAmount = 1000;
const most = 1_000_000;

/** The restaurant that gets the top-up, and its effective limit now. */
export interface Target {
  id: string;
  name: string;
  limit: number;
}

/** A top-up that a person intends. It keeps its key until its result is known, so that it can't be added twice. */
interface Intent {
  amount: number;
  reason: string;
  idempotencyKey: string;
}

// By client and restaurant, top-ups of which nobody knows whether they were added. They outlast the dialog, which may be
// closed.
const uncertain = new WeakMap<AdministratorClient, Map<string, Intent>>();

function uncertainOf(client: AdministratorClient): Map<string, Intent> {
  const known = uncertain.get(client) ?? new Map<string, Intent>();
  uncertain.set(client, known);
  return known;
}

/** The button that opens the dialog for adding to a restaurant's allowance. */
export function Renewal({ client, target, renewed, compact = false }: {
  client: AdministratorClient; target: Target; renewed: () => void; compact?: boolean;
}) {
  const { text } = useSurroundings();
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button" className={`sud-button sud-button-quiet${compact ? ' sud-add' : ''}`} aria-haspopup="dialog" onClick={() => setOpen(true)}
        aria-label={compact ? `${text.renew}: ${target.name}` : undefined} title={compact ? text.renew : undefined}
      >
        {compact ? <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 3v10M3 8h10" /></svg> : text.renew}
      </button>
      {open && <RenewalDialog client={client} target={target} renewed={renewed} close={() => setOpen(false)} />}
    </>
  );
}

/** The reason of a top-up's correction, by which the correction is recognised. */
export const correctionOf = ({ id }: Adjustment): string => `Correction of ${id}`;

/**
 * Takes back a top-up with a correction. However often it is pressed, it does so once, because the correction's key follows
 * from the top-up.
 */
export function Undo({ client, target, adjustment, renewed }: {
  client: AdministratorClient; target: Target; adjustment: Adjustment; renewed: () => void;
}) {
  const { text } = useSurroundings();
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="sud-link" aria-haspopup="dialog" onClick={() => setOpen(true)}>{text.undo}</button>
      {open && <RenewalDialog client={client} target={target} renewed={renewed} close={() => setOpen(false)} undoes={adjustment} />}
    </>
  );
}

interface State {
  busy?: AbortController;
  failed?: string;
  quota?: Quota;
}

function RenewalDialog({ client, target, renewed, close, undoes }: {
  client: AdministratorClient; target: Target; renewed: () => void; close: () => void; undoes?: Adjustment;
}) {
  const { text, format } = useSurroundings();
  const names = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const done = useRef<HTMLButtonElement>(null);
  const left = undoes ? undefined : uncertainOf(client).get(target.id);
  const [state, setState] = useState<State>(left ? { failed: text.renewUnknown } : {});
  const [initial] = useState(undoes ? -undoes.amount : left?.amount ?? usualAmount);
  const [amount, setAmount] = useState(initial);
  const [limit] = useState(target.limit); // the limit when the dialog was opened

  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  useEffect(() => {
    if (state.quota) done.current?.focus(); // the pressed button is gone
  }, [state.quota]);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (state.busy) return;
    const reason = undoes ? correctionOf(undoes) : String(new FormData(event.currentTarget).get('reason')).trim();
    const open = uncertainOf(client);
    const before = open.get(target.id);
    const intent: Intent = undoes ? { amount, reason, idempotencyKey: `undo-${undoes.id}` }
      : before?.amount === amount && before.reason === reason ? before : { amount, reason, idempotencyKey: newKey() };
    if (!undoes) open.set(target.id, intent);
    const busy = new AbortController();
    setState({ busy });
    try {
      const quota = await client.renew(target.id, { ...intent, reason: reason || undefined, signal: busy.signal });
      if (!undoes) open.delete(target.id);
      setState({ quota });
    } catch (error) {
      const { status, code } = (error ?? {}) as { status?: unknown; code?: unknown };
      const isRefused = status === 400 || status === 403 || status === 404 || status === 409 || status === 422;
      if (isRefused && !undoes) open.delete(target.id); // nothing was added, so the next attempt is a new top-up
      setState({
        failed: code === 'unlimited_allowance' ? text.renewUnlimited
          : code === 'limit_below_zero' ? text.renewTooLow
          : isRefused || status === 401 ? text.renewRefused
          : text.renewUnknown,
      });
    }
    renewed(); // the figures have changed
  };
  // Cancelling aborts a running call. Whether the top-up was added is then unknown, and the dialog stays open to say so.
  const cancel = () => (state.busy ? state.busy.abort() : close());

  return (
    <dialog
      ref={dialog} className="sud-dialog" aria-labelledby={`${names}title`} onClose={close}
      onCancel={(event) => {
        if (!state.busy) return;
        event.preventDefault();
        cancel();
      }}
    >
      <h3 className="sud-dialog-title" id={`${names}title`}>{undoes ? text.undoTitle : text.renewTitle}</h3>
      <p className="sud-dialog-for"><bdi>{target.name}</bdi> <bdi className="sud-id">{target.id}</bdi></p>
      {state.quota ? (
        <>
          <p role="status">
            {fill(text.renewed, { limit: format.number(state.quota.effectiveLimit), remaining: format.number(state.quota.remaining) })}
          </p>
          <div className="sud-dialog-buttons">
            <button ref={done} type="button" className="sud-button" onClick={close}>{text.done}</button>
          </div>
        </>
      ) : (
        <form className="sud-form" onSubmit={(event) => void submit(event)}>
          {undoes ? <p><bdi>{undoes.reason}</bdi>: <bdi dir="ltr">{format.signed(undoes.amount)}</bdi></p> : (
            <>
              <label className="sud-field">
                <span>{text.amount}</span>
                <input
                  name="amount" type="number" inputMode="numeric" required min={1} max={most} step={1} defaultValue={initial} dir="ltr"
                  onChange={(event) => setAmount(event.target.valueAsNumber)}
                />
              </label>
              <label className="sud-field">
                <span>{text.reason}</span>
                <input name="reason" maxLength={500} autoComplete="off" dir="auto" defaultValue={left?.reason} />
              </label>
            </>
          )}
          <dl className="sud-sum">
            <div><dt>{text.limitNow}</dt><dd>{format.number(limit)}</dd></div>
            <div>
              <dt>{undoes ? text.limitAfterUndo : text.limitAfter}</dt>
              <dd>{Number.isFinite(amount) ? format.number(Math.max(0, limit + amount)) : '–'}</dd>
            </div>
          </dl>
          <p className="sud-note">{text.renewHint}</p>
          {state.failed !== undefined && <div className="sud-notice" data-tone="full" role="alert">{state.failed}</div>}
          <div className="sud-dialog-buttons">
            <button type="button" className="sud-button" onClick={cancel}>{text.cancel}</button>
            <button type="submit" className="sud-button sud-button-main" aria-disabled={state.busy !== undefined}>
              {state.busy ? text.renewing : undoes ? text.undo : text.add}
            </button>
          </div>
        </form>
      )}
    </dialog>
  );
}
