import { type FormEvent, useEffect, useRef, useState } from 'react';
import { fill } from '../src/react/messages.js';
import type { Locale } from '../src/react/index.js';
import { deliver, type Entry } from './conversation.js';
import type { PageMessages } from './messages.js';
import { type Button, type Demo, readMenuLatency, type SentMessage, setMenuLatency } from './stack.js';

const slowMs = 2_000;
const profileName = 'Noura';

/** Returns a number that no customer of the demo data has. */
const newNumber = () => `+9665${String(crypto.getRandomValues(new Uint32Array(1))[0]! % 100_000_000).padStart(8, '0')}`;

/**
 * A customer's phone with a chat with the example restaurant. answered is called whenever the service has answered a message.
 */
export function Phone({ demo, text, lang, answered }: { demo: Demo; text: PageMessages; lang: Locale; answered: () => void }) {
  const [customer, setCustomer] = useState(newNumber);
  const [entries, setEntries] = useState<Entry[]>([]);
  const [draft, setDraft] = useState('');
  const input = useRef<HTMLInputElement>(null);
  const log = useRef<HTMLDivElement>(null);
  const chat = useRef<AbortController>(undefined); // aborted when the customer changes

  useEffect(() => {
    const controller = new AbortController();
    chat.current = controller;
    return () => controller.abort();
  }, [customer]);
  useEffect(() => {
    const shown = log.current;
    if (!shown) return;
    const toEnd = () => shown.scrollTo({ top: shown.scrollHeight });
    toEnd();
    const resized = new ResizeObserver(toEnd); // such as by a phone's keyboard
    resized.observe(shown);
    return () => resized.disconnect();
  }, [entries]);

  const send = (words: string, pressed: Pressed = {}) => {
    const signal = chat.current?.signal;
    if (!words.trim() || !signal) return;
    const tell = (entry: Entry) => {
      if (!signal.aborted) setEntries((before) => put(before, entry));
    };
    void deliver({ from: customer, profileName, text: words, ...pressed }, demo, signal, tell, answered);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    send(draft);
    setDraft('');
  };
  const change = () => {
    setCustomer(newNumber());
    setEntries([]);
    input.current?.focus();
  };

  return (
    <aside className="phone-side" aria-labelledby="phone-title">
      <div className="phone-intro">
        <h2 id="phone-title">{text.simulator}</h2>
        <p>{text.hint}</p>
      </div>
      <div className="phone">
        <div className="phone-head">
          <span className="phone-avatar" aria-hidden="true">{demo.restaurantName.slice(0, 1)}</span>
          <div>
            <p className="phone-name"><bdi>{demo.restaurantName}</bdi></p>
            <p><bdi dir="ltr">{demo.restaurantNumber}</bdi></p>
          </div>
        </div>
        <div
          className="phone-log" role="log" aria-label={fill(text.conversation, { name: demo.restaurantName })} tabIndex={0} ref={log}
        >
          {entries.length === 0 && <p className="phone-chip">{text.empty}</p>}
          {entries.map((entry) => <Bubble key={entry.key} entry={entry} demo={demo} text={text} lang={lang} press={send} />)}
          {entries.some((entry) => entry.kind === 'sent' && !entry.outcome) && (
            <p className="phone-typing"><span className="sud-visually-hidden">{text.typing}</span><i /><i /><i /></p>
          )}
        </div>
        <div className="phone-suggestions" role="group" aria-label={text.suggestions}>
          {([text.hello, text.menu, text.branches]).map((words) => (
            <button key={words} type="button" onClick={() => send(words)}>{words}</button>
          ))}
        </div>
        <form className="phone-form" onSubmit={submit}>
          <input
            ref={input} value={draft} onChange={(event) => setDraft(event.target.value)} dir="auto"
            aria-label={text.placeholder} placeholder={text.placeholder} maxLength={1000} autoComplete="off"
          />
          <button type="submit" aria-label={text.send}>
            <svg viewBox="0 0 20 20" aria-hidden="true"><path d="M3 10 17 3.5 12.5 17l-3-5.5z" /></svg>
          </button>
        </form>
      </div>
      <div className="phone-options">
        <p>{text.customer} <bdi dir="ltr" className="phone-number">{customer}</bdi></p>
        <button type="button" className="page-button" onClick={change}>{text.newCustomer}</button>
        <SlowMenu label={text.slowMenu} />
      </div>
    </aside>
  );
}

/** Adds an entry, or replaces the entry with the same key. */
function put(entries: Entry[], entry: Entry): Entry[] {
  return entries.some(({ key }) => key === entry.key)
    ? entries.map((old) => (old.key === entry.key ? entry : old))
    : [...entries, entry];
}

function SlowMenu({ label }: { label: string }) {
  const [slow, setSlow] = useState<boolean>();
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    readMenuLatency(signal).then((ms) => setSlow(ms > 0), () => signal.aborted || setSlow(false)); // if it can't be read, Sufrah counts as quick
    return () => controller.abort();
  }, []);
  const choose = (chosen: boolean) => {
    setSlow(chosen);
    setMenuLatency(chosen ? slowMs : 0).catch(() => setSlow(!chosen));
  };
  return (
    <label className="phone-slow">
      <input type="checkbox" disabled={slow === undefined} checked={slow ?? false} onChange={(event) => choose(event.target.checked)} />
      {label}
    </label>
  );
}

function Bubble({ entry, demo, text, lang, press }: {
  entry: Entry; demo: Demo; text: PageMessages; lang: Locale; press: (words: string, pressed: Pressed) => void;
}) {
  const ms = (value: number) => value.toLocaleString(lang === 'ar' ? 'ar-SA-u-nu-latn' : 'en-GB', { maximumFractionDigits: value < 10 ? 1 : 0 });
  switch (entry.kind) {
    case 'job':
      return (
        <p className="phone-chip">
          {entry.job.outcome === 'completed'
            ? fill(text.jobCompleted, { ms: ms(entry.job.durationMs) })
            : fill(text.jobOther, { outcome: entry.job.outcome, ms: ms(entry.job.durationMs) })}
        </p>
      );
    case 'sent':
      return (
        <div className="phone-bubble" data-kind="sent" data-outcome={failed(entry) ? 'failed' : 'ok'}>
          <Words text={entry.text} />
          {entry.outcome && (
            <p className="phone-meta">
              {entry.outcome === 'unsent' ? text.unsent
                : entry.outcome.status === 200 ? fill(text.recorded, { ms: ms(entry.outcome.ms) })
                : fill(text.refused, { status: String(entry.outcome.status) })}
            </p>
          )}
        </div>
      );
    case 'received': {
      const list = entry.message.listPicker;
      const { words, buttons } = list ? { words: list.body, buttons: [] } : render(entry.message, demo, text);
      return (
        <div className="phone-bubble" data-kind="received">
          <Words text={words} />
          <p className="phone-meta">{fill(text.replied, { ms: ms(entry.ms) })}</p>
          {list && (
            <details className="phone-list">
              <summary>{list.button}</summary>
              {list.items.map(({ id, item, description }) => (
                <button key={id} type="button" dir="auto" onClick={() => press(item, { row: id })}>
                  <span>{item}</span> <small>{description}</small>
                </button>
              ))}
            </details>
          )}
          {buttons.length > 0 && (
            <div className="phone-buttons">
              {buttons.map(({ title, payload }) => (
                <button key={payload} type="button" onClick={() => press(title, { button: payload })}>{title}</button>
              ))}
            </div>
          )}
        </div>
      );
    }
  }
}

/** The button's payload, or the row's id, if the customer tapped in place of writing. */
interface Pressed {
  button?: string;
  row?: string;
}

/** Shows a text, each paragraph in the direction of its language. */
function Words({ text }: { text: string }) {
  return (
    <div className="phone-words">
      {text.split('\n\n').map((paragraph, i) => <p key={i} dir="auto">{paragraph}</p>)}
    </div>
  );
}

const failed = ({ outcome }: Entry & { kind: 'sent' }): boolean =>
  outcome === 'unsent' || (outcome !== undefined && outcome.status !== 200);

/** Returns a message as the customer sees it: a template's text with its variables filled in. */
function render(message: SentMessage, demo: Demo, text: PageMessages): { words: string; buttons: Button[] } {
  if (message.contentSid === '') return { words: message.body, buttons: [] };
  const template = demo.templates.find(({ sid }) => sid === message.contentSid);
  const variables = message.contentVariables ?? {};
  if (!template) {
    return { words: [fill(text.template, { sid: message.contentSid }), ...Object.values(variables)].join('\n'), buttons: [] };
  }
  return { words: template.body.replace(/\{\{(\w+)\}\}/g, (name, key: string) => variables[key] ?? name), buttons: template.buttons };
}
