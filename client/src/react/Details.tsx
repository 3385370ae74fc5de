import type { ReactNode } from 'react';
import type { Adjustment, DayUsage, RestaurantDetails, SentMessages, Session } from '../index.js';
import { useSurroundings } from './context.js';
import { dateIn } from './format.js';
import { fill } from './messages.js';
import { Panel } from './Panel.js';
import { correctionOf } from './Renewal.js';
import { Ago } from './RestaurantUsage.js';
import { Sent } from './SentMessages.js';
import type { Loaded } from './useLoaded.js';

/** Shows the details below a restaurant's figures: messages, sessions and top-ups. */
export function DetailPanels({ details, undo }: { details: RestaurantDetails; undo?: ((adjustment: Adjustment) => ReactNode) | undefined }) {
  const sent = details.sentMessages as SentMessages | undefined; // an older API doesn't answer them
  return (
    <>
      {sent && <Sent messages={sent} />}
      <div className="sud-columns sud-columns-even">
        <Sessions open={details.activeSessionsCount} recent={details.recentSessions} />
        <Adjustments adjustments={details.adjustments} undo={undo} />
      </div>
    </>
  );
}

/** Shows the days of the month. The API says which day is today. */
export function Days({ details }: { details: RestaurantDetails }) {
  const { now } = useSurroundings();
  const { year, month, day } = dateIn(now(), details.period?.timeZone ?? 'UTC');
  return <DailyChart days={details.dailyBreakdown} today={`${year}-${pad(month)}-${pad(day)}`} />;
}

const pad = (n: number) => String(n).padStart(2, '0');

/** Says that the details couldn't be read, if so. */
export function DetailsFailure({ details }: { details: Loaded<RestaurantDetails> }) {
  const { text } = useSurroundings();
  if (details.data || details.error === undefined) return null;
  return <Panel title={text.history}><p className="sud-note sud-history-empty">{text.historyFailed}</p></Panel>;
}

/**
 * Shows the days of the month as bars, with today's marked, and as a table. Only some bars have labels, because there are too
 * many.
 */
function DailyChart({ days, today }: { days: DayUsage[]; today: string }) {
  const { text, format } = useSurroundings();
  const highest = Math.max(...days.map((day) => day.conversationsStarted));
  const busiest = days.find((day) => day.conversationsStarted === highest);
  const total = days.reduce((sum, day) => sum + day.conversationsStarted, 0);
  return (
    <Panel title={text.daily}>
      {busiest === undefined || highest === 0 ? <p className="sud-note sud-history-empty">{text.dailyEmpty}</p> : (
        <div
          className="sud-chart sud-chart-days" role="img"
          aria-label={fill(text.dailySummary, {
            total: format.number(total), day: format.day(busiest.date), highest: format.number(highest),
          })}
        >
          {days.map((day, i) => (
            <div className="sud-chart-month" key={day.date} data-current={day.date === today} title={`${format.day(day.date)}: ${format.number(day.conversationsStarted)}`}>
              <div className="sud-chart-track">
                {(day === busiest || (day.date === today && day.conversationsStarted > 0 && !isNextTo(days, i, busiest.date))) && (
                  <span className="sud-chart-value">{format.number(day.conversationsStarted)}</span>
                )}
                <div className="sud-chart-bar" style={{ blockSize: `${(day.conversationsStarted / highest) * 100}%` }} />
              </div>
              <span className="sud-chart-label">{day.date === today || (isLabelled(i) && !isNextTo(days, i, today)) ? format.number(i + 1) : '\u00a0'}</span>
            </div>
          ))}
        </div>
      )}
      <details className="sud-details">
        <summary>{text.showTable}</summary>
        <table className="sud-plain-table">
          <caption className="sud-visually-hidden">{text.daily}</caption>
          <thead>
            <tr><th scope="col">{text.day}</th><th scope="col">{text.conversations}</th><th scope="col">{text.messages}</th></tr>
          </thead>
          <tbody>
            {days.map((day) => (
              <tr key={day.date} aria-current={day.date === today ? 'date' : undefined}>
                <th scope="row">{format.day(day.date)}</th>
                <td>{format.number(day.conversationsStarted)}</td>
                <td>{format.number(day.messages)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </Panel>
  );
}

const isLabelled = (i: number) => i === 0 || (i + 1) % 5 === 0;

/** Reports whether a day's label would overlap that of a date. */
const isNextTo = (days: DayUsage[], i: number, date: string) => days[i - 1]?.date === date || days[i + 1]?.date === date;

function Sessions({ open, recent }: { open: number; recent: Session[] }) {
  const { text, format } = useSurroundings();
  return (
    <Panel title={text.sessions}>
      <p className="sud-figure">{format.number(open)}<span className="sud-figure-unit">{text.openNow}</span></p>
      {recent.length === 0 ? <p className="sud-note">{text.noSessions}</p> : (
        <table className="sud-plain-table">
          <caption className="sud-visually-hidden">{text.recentSessions}</caption>
          <thead>
            <tr><th scope="col">{text.customer}</th><th scope="col">{text.started}</th><th scope="col">{text.messages}</th></tr>
          </thead>
          <tbody>
            {recent.map((session) => (
              <tr key={session.id}>
                <th scope="row"><bdi dir="ltr">{session.customerPhone}</bdi></th>
                <td><Ago at={session.startedAt} /></td>
                <td>{format.number(session.messageCount)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

function Adjustments({ adjustments, undo }: { adjustments: Adjustment[]; undo: ((adjustment: Adjustment) => ReactNode) | undefined }) {
  const { text, format } = useSurroundings();
  return (
    <Panel title={text.adjustments}>
      {adjustments.length === 0 ? <p className="sud-note">{text.noAdjustments}</p> : (
        <ul className="sud-adjustments">
          {adjustments.map((adjustment) => (
            <li key={adjustment.id} className="sud-between">
              <span><bdi>{adjustments.some((other) => adjustment.reason === correctionOf(other)) ? text.correction : adjustment.reason}</bdi> <span className="sud-note"><Ago at={adjustment.createdAt} /></span></span>
              <span className="sud-adjustment-end">
                {adjustments.some(({ reason }) => reason === correctionOf(adjustment))
                  ? <span className="sud-note">{text.undone}</span>
                  : adjustment.amount > 0 && undo?.(adjustment)}
                <strong dir="ltr">{format.signed(adjustment.amount)}</strong>
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
