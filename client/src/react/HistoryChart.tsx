import { useId } from 'react';
import { useSurroundings } from './context.js';
import { fill } from './messages.js';
import type { Period } from '../index.js';
import { currentMonth, lastMonths, type MonthCount } from './months.js';

/**
 * Shows a history as bars with their figures, and as a table. Bars are plain boxes, so that they follow the language's
 * direction, and text has its size at any width.
 */
export function HistoryChart({ history, period }: { history: MonthCount[]; period: Period | undefined }) {
  const { text, format, now } = useSurroundings();
  const title = useId();
  const months = lastMonths(history, currentMonth(period, now()));
  const highest = Math.max(...months.map((m) => m.conversationCount));
  const spoken = months.map((m) => `${format.month(m, 'long')}: ${format.number(m.conversationCount)}`);
  return (
    <section className="sud-card sud-history" aria-labelledby={title}>
      <h3 className="sud-card-title" id={title}>{text.history}</h3>
      {highest === 0 ? (
        <p className="sud-note sud-history-empty">{text.historyEmpty}</p>
      ) : (
        <div className="sud-chart" role="img" aria-label={fill(text.historySummary, { months: format.list(spoken) })}>
          {months.map((m, i) => (
            <div className="sud-chart-month" key={`${m.year}-${m.month}`} data-current={i === months.length - 1}>
              <div className="sud-chart-track">
                <span className="sud-chart-value">{format.number(m.conversationCount)}</span>
                <div className="sud-chart-bar" style={{ blockSize: `${(m.conversationCount / highest) * 100}%` }} />
              </div>
              <span className="sud-chart-label">{format.month(m, 'short')}</span>
            </div>
          ))}
        </div>
      )}
      <details className="sud-details">
        <summary>{text.showTable}</summary>
        <table className="sud-plain-table">
          <caption className="sud-visually-hidden">{text.history}</caption>
          <thead>
            <tr><th scope="col">{text.month}</th><th scope="col">{text.conversations}</th></tr>
          </thead>
          <tbody>
            {[...months].reverse().map((m) => (
              <tr key={`${m.year}-${m.month}`}>
                <th scope="row">{format.month(m, 'long')}</th>
                <td>{format.number(m.conversationCount)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </section>
  );
}
