import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import type { AdministratorClient, Quota } from '../index.js';
import { newKey } from '../key.js';
import { useSurroundings } from './context.js';
import { fill } from './messages.js';

const usualAmount = 1000;
const most = 1_000_000;

/** Lets an administrator add to a restaurant's allowance: a button, and the dialog that it opens. */
export function Renewal({ client, id, renewed }: { client: AdministratorClient; id: string; renewed: () => void }) {
  const { text } = useSurroundings();
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="sud-button sud-button-quiet" aria-haspopup="dialog" onClick={() => setOpen(true)}>
        {text.renew}
      </button>
      {open && <RenewalDialog client={client} id={id} renewed={renewed} close={() => setOpen(false)} />}
    </>
  );
}

/** What is to be added. It keeps its key while it is the same, so that trying again can't add it twice. */
interface Attempt {
  amount: number;
  reason: string;
  idempotencyKey: string;
}

function RenewalDialog({ client, id, renewed, close }: {
  client: AdministratorClient; id: string; renewed: () => void; close: () => void;
}) {
  const { text, format } = useSurroundings();
  const names = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const done = useRef<HTMLButtonElement>(null);
  const attempt = useRef<Attempt>(undefined);
  const [state, setState] = useState<{ busy?: boolean; failed?: string; quota?: Quota }>({});

  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  useEffect(() => {
    if (state.quota) done.current?.focus(); // the button that was pressed is gone
  }, [state.quota]);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (state.busy) return;
    const form = new FormData(event.currentTarget);
    const amount = Number(form.get('amount'));
    const reason = String(form.get('reason')).trim();
    if (attempt.current?.amount !== amount || attempt.current.reason !== reason) {
      attempt.current = { amount, reason, idempotencyKey: newKey() };
    }
    setState({ busy: true });
    try {
      const quota = await client.renew(id, { ...attempt.current, reason: reason || undefined });
      setState({ quota });
      renewed();
    } catch (error) {
      const status = (error as { status?: unknown }).status;
      setState({ failed: status === 400 ? text.renewRefused : status === 409 ? text.noLimit : text.renewFailed });
    }
  };

  return (
    <dialog ref={dialog} className="sud-dialog" aria-labelledby={`${names}title`} onClose={close}>
      <h3 className="sud-dialog-title" id={`${names}title`}>{text.renewTitle}</h3>
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
        <form className="sud-form" onSubmit={submit}>
          <p className="sud-note">{text.renewHint}</p>
          <label className="sud-field">
            <span>{text.amount}</span>
            <input name="amount" type="number" inputMode="numeric" required min={1} max={most} step={1} defaultValue={usualAmount} dir="ltr" />
          </label>
          <label className="sud-field">
            <span>{text.reason}</span>
            <input name="reason" maxLength={500} autoComplete="off" dir="auto" />
          </label>
          {state.failed !== undefined && <div className="sud-notice" data-tone="full" role="alert">{state.failed}</div>}
          <div className="sud-dialog-buttons">
            <button type="button" className="sud-button" onClick={close}>{text.cancel}</button>
            <button type="submit" className="sud-button sud-button-main" aria-disabled={state.busy ?? false}>
              {state.busy ? text.renewing : text.add}
            </button>
          </div>
        </form>
      )}
    </dialog>
  );
}
