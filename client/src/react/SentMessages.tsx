import { type ReactNode, useId } from 'react';
import type { MessageCount, SentMessages } from '../index.js';
import { Figure } from './AllowanceBar.js';
import { useSurroundings } from './context.js';
import type { Messages } from './messages.js';
import { Panel } from './Panel.js';

/** The names of the kinds, in the order in which they are shown. */
const kinds = {
  welcome: 'kindWelcome', list: 'kindList', text: 'kindText', quota_alert: 'kindQuotaAlert',
} as const satisfies Record<keyof SentMessages['byKind'], keyof Messages>;

/** The names of the categories. WhatsApp's own names, such as "utility", mean nothing to an owner. */
const categories = {
  service: 'categoryService', utility: 'categoryUtility', marketing: 'categoryMarketing', free_entry_point: 'categoryFreeEntryPoint',
} as const satisfies Record<keyof SentMessages['byCategory'], keyof Messages>;

const keysOf = <T extends object>(of: T) => Object.keys(of) as (keyof T)[];

/** Shows the messages that a restaurant sent this month, their statuses, and their cost if the API gives it. */
export function Sent({ messages }: { messages: SentMessages }) {
  const { text } = useSurroundings();
  return (
    <Panel title={text.sentMessages} note={text.thisMonth}>
      {messages.sent === 0 ? <p className="sud-note">{text.noSentMessages}</p> : (
        <>
          <Outcomes count={messages} />
          <p className="sud-note">{text.readHint}</p>
          <div className="sud-columns sud-sent">
            <Kinds messages={messages} />
            {messages.cost && <Cost cost={messages.cost} byCategory={messages.byCategory} />}
          </div>
        </>
      )}
    </Panel>
  );
}

/** Shows the statuses of messages. Messages without a status yet are shown only if there are any. */
function Outcomes({ count: { sent, delivered, read, failed } }: { count: MessageCount }) {
  const { text } = useSurroundings();
  const unconfirmed = sent - delivered - failed;
  return (
    <dl className="sud-outcomes">
      <Outcome label={text.sent} value={sent} />
      <Outcome label={text.delivered} value={delivered} />
      <Outcome label={text.read} value={read} />
      <Outcome label={text.undelivered} value={failed} />
      {unconfirmed > 0 && <Outcome label={text.unconfirmed} value={unconfirmed} />}
    </dl>
  );
}

function Outcome({ label, value }: { label: string; value: number }) {
  const { text } = useSurroundings();
  return <div><dt>{label}</dt><dd><Figure value={value} forms={text.messageCount} /></dd></div>;
}

/** Shows the statuses of messages by kind and by day. */
function Kinds({ messages: { byKind, days } }: { messages: SentMessages }) {
  const { text, format } = useSurroundings();
  const title = useId();
  const ofKinds = keysOf(kinds).flatMap((kind): Row[] => {
    const count = byKind[kind];
    return count ? [{ key: kind, name: text[kinds[kind]], count }] : [];
  });
  return (
    <div>
      <h4 className="sud-card-title" id={title}>{text.byKind}</h4>
      <Counts of={text.kind} rows={ofKinds} labelledBy={title} />
      <details className="sud-details">
        <summary>{text.showDays}</summary>
        <Counts
          of={text.day} rows={days.map((day) => ({ key: day.date, name: format.day(day.date), count: day }))}
          caption={<caption className="sud-visually-hidden">{text.sentMessages}</caption>}
        />
      </details>
    </div>
  );
}

interface Row {
  key: string;
  name: string;
  count: MessageCount;
}

function Counts({ of, rows, caption, labelledBy }: { of: string; rows: Row[]; caption?: ReactNode; labelledBy?: string | undefined }) {
  const { text, format } = useSurroundings();
  return (
    <table className="sud-plain-table sud-counts" aria-labelledby={labelledBy}>
      {caption}
      <thead>
        <tr>
          <th scope="col">{of}</th>
          <th scope="col">{text.sent}</th>
          <th scope="col">{text.delivered}</th>
          <th scope="col">{text.read}</th>
          <th scope="col">{text.undelivered}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(({ key, name, count }) => (
          <tr key={key}>
            <th scope="row">{name}</th>
            <td data-label={text.sent}>{format.number(count.sent)}</td>
            <td data-label={text.delivered}>{format.number(count.delivered)}</td>
            <td data-label={text.read}>{format.number(count.read)}</td>
            <td data-label={text.undelivered}>{format.number(count.failed)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Shows the cost, with the number of messages in each category. */
function Cost({ cost, byCategory }: { cost: NonNullable<SentMessages['cost']>; byCategory: SentMessages['byCategory'] }) {
  const { text, format } = useSurroundings();
  const charged = keysOf(categories).flatMap((category) => {
    const delivered = byCategory[category]?.delivered ?? 0;
    return delivered > 0 ? [{ category, name: text[categories[category]], delivered }] : [];
  });
  return (
    <div>
      <h4 className="sud-card-title">{text.cost}</h4>
      <p className="sud-figure">{format.money(cost)}</p>
      <p className="sud-note">{text.costHint}</p>
      {charged.length > 0 && (
        <>
          <h4 className="sud-card-title">{text.deliveredByCategory}</h4>
          <dl className="sud-sum">
            {charged.map(({ category, name, delivered }) => (
              <div key={category}><dt>{name}</dt><dd>{format.counted(delivered, text.messageCount)}</dd></div>
            ))}
          </dl>
        </>
      )}
    </div>
  );
}
