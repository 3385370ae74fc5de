import { useRef } from 'react';
import type { OwnerClient, RequestOptions } from '../index.js';
import { useSurroundings } from './context.js';
import { Heading } from './Heading.js';
import { HistoryChart } from './HistoryChart.js';
import type { MonthCount } from './months.js';
import { Failure, Skeleton, Stale } from './Notices.js';
import { RestaurantUsage } from './RestaurantUsage.js';
import { useLoaded } from './useLoaded.js';

/** Reads an owner's history. The API gives a history to API keys only, so it comes from wherever the embedding page has it. */
export type HistoryReader = (options: RequestOptions) => Promise<MonthCount[]>;

/** Shows an owner the figures of the restaurant, with its history where there is a source of it. */
export function OwnerView({ client, readHistory, revision }: {
  client: OwnerClient; readHistory: HistoryReader | undefined; revision: unknown;
}) {
  const { now, text } = useSurroundings();
  const top = useRef<HTMLDivElement>(null);
  const usage = useLoaded({ source: client, key: 'usage', revision }, (signal) => client.listUsage({ signal }), now);
  const history = useLoaded({ source: client, key: 'history', revision }, async (signal) => readHistory?.({ signal }), now);
  const reload = () => {
    top.current?.focus(); // the button that was pressed may go away
    usage.reload();
    history.reload();
  };
  return (
    <div className="sud-view" ref={top} tabIndex={-1} aria-busy={usage.loading}>
      {usage.data && (
        <Heading
          title={usage.data.restaurantName} id={usage.data.restaurantId} isActive={usage.data.isActive}
          at={usage.at} busy={usage.loading} refresh={reload}
        />
      )}
      {usage.error !== undefined && (usage.data && usage.at
        ? <Stale at={usage.at} retry={reload} busy={usage.loading} />
        : <Failure error={usage.error} retry={reload} busy={usage.loading} />)}
      {usage.data ? (
        <RestaurantUsage usage={usage.data}>
          {history.data && <HistoryChart history={history.data} />}
          {!history.data && history.error !== undefined && (
            <section className="sud-card" aria-label={text.history}>
              <h3 className="sud-card-title">{text.history}</h3>
              <p className="sud-note sud-history-empty">{text.historyFailed}</p>
            </section>
          )}
        </RestaurantUsage>
      ) : usage.error === undefined && <Skeleton shape="cards" />}
    </div>
  );
}
