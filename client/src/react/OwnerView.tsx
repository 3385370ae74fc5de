import { useRef } from 'react';
import type { OwnerClient } from '../index.js';
import { useSurroundings } from './context.js';
import { Days, DetailPanels, DetailsFailure } from './Details.js';
import { Heading } from './Heading.js';
import { HistoryChart } from './HistoryChart.js';
import { Failure, Skeleton, Stale } from './Notices.js';
import { RestaurantUsage } from './RestaurantUsage.js';
import { useLoaded } from './useLoaded.js';

/** Shows an owner the restaurant's figures, and its details below them. */
export function OwnerView({ client, revision }: { client: OwnerClient; revision: unknown }) {
  const surroundings = useSurroundings();
  const top = useRef<HTMLDivElement>(null);
  const usage = useLoaded({ source: client, key: 'usage', revision }, (signal) => client.listUsage({ signal }), surroundings);
  const details = useLoaded({ source: client, key: 'details', revision }, (signal) => client.details({ signal }), surroundings);
  const reload = () => {
    top.current?.focus(); // the pressed button may disappear
    usage.reload();
    details.reload();
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
        <>
          <RestaurantUsage usage={usage.data}>
            {details.data && <HistoryChart history={details.data.monthlyUsage} period={usage.data.period} />}
            {details.data && <Days details={details.data} />}
            <DetailsFailure details={details} />
          </RestaurantUsage>
          {details.data && <DetailPanels details={details.data} />}
        </>
      ) : usage.error === undefined && <Skeleton shape="cards" />}
    </div>
  );
}
