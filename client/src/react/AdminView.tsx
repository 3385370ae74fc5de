import { useEffect, useId, useRef, useState } from 'react';
import type { AdministratorClient, AlertPage, RestaurantUsage as Usage, UsagePage } from '../index.js';
import { type Allowance, AllowanceBar, isUnlimited, LevelBadge, usedShare } from './AllowanceBar.js';
import { useSurroundings } from './context.js';
import { DetailPanels, DetailsFailure } from './Details.js';
import { Heading, RefreshButton } from './Heading.js';
import { HistoryChart } from './HistoryChart.js';
import { fill, type Messages } from './messages.js';
import { Failure, Skeleton, Stale } from './Notices.js';
import { Renewal } from './Renewal.js';
import { ActiveBadge, Ago, monthOf, RestaurantUsage } from './RestaurantUsage.js';
import { useLoaded } from './useLoaded.js';

const pageSizes = [10, 20, 50, 100];
const thresholds = [0.5, 0.8, 0.9, 1];

/** Which page of which restaurants an administrator looks at. */
interface Selection {
  filter: 'all' | 'active' | 'inactive' | 'nearing';
  threshold: number; // of those that are nearing their limit
  limit: number;
  offset: number;
}

/** Shows an administrator all restaurants, and one that was opened. Back from it, the list is as it was. */
export function AdminView({ client, revision }: { client: AdministratorClient; revision: unknown }) {
  const [selection, setSelection] = useState<Selection>({ filter: 'all', threshold: 0.9, limit: 20, offset: 0 });
  const [opened, setOpened] = useState<string>();
  const [left, setLeft] = useState<string>(); // the restaurant whose button gets the focus back
  if (opened !== undefined) {
    return (
      <OpenedRestaurant
        key={opened} client={client} id={opened} revision={revision}
        close={() => { setLeft(opened); setOpened(undefined); }}
      />
    );
  }
  return (
    <RestaurantList
      client={client} revision={revision} selection={selection} select={setSelection} focus={left}
      open={(id) => { setLeft(undefined); setOpened(id); }}
    />
  );
}

function OpenedRestaurant({ client, id, revision, close }: {
  client: AdministratorClient; id: string; revision: unknown; close: () => void;
}) {
  const { text, now } = useSurroundings();
  const top = useRef<HTMLDivElement>(null);
  const { data, at, error, loading, reload } = useLoaded(
    { source: client, key: id, revision }, (signal) => client.getUsage(id, { signal }), now,
  );
  const details = useLoaded({ source: client, key: id, revision }, (signal) => client.details(id, { signal }), now);
  useEffect(() => {
    top.current?.focus();
  }, []);
  const readAgain = () => {
    reload();
    details.reload();
  };
  const retry = () => {
    top.current?.focus();
    readAgain();
  };
  const back = (
    <button type="button" className="sud-back" onClick={close}>
      <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M10 3 5 8l5 5" /></svg>
      {text.back}
    </button>
  );
  return (
    <div className="sud-view" ref={top} tabIndex={-1} aria-busy={loading} aria-label={data?.restaurantName ?? text.restaurant} role="group">
      {data ? (
        <Heading
          title={data.restaurantName} id={data.restaurantId} isActive={data.isActive}
          at={at} busy={loading} refresh={retry} before={back}
          actions={!isUnlimited(monthOf(data)) && <Renewal client={client} id={id} renewed={readAgain} />}
        />
      ) : back}
      {error !== undefined && (data && at
        ? <Stale at={at} retry={retry} busy={loading} />
        : <Failure error={error} retry={retry} busy={loading} />)}
      {data
        ? (
          <>
            <RestaurantUsage usage={data}>
              <HistoryChart history={data.history} />
            </RestaurantUsage>
            {details.data && <DetailPanels details={details.data} />}
            <DetailsFailure details={details} />
          </>
        )
        : error === undefined && <Skeleton shape="cards" />}
    </div>
  );
}

function RestaurantList({ client, revision, selection, select, focus, open }: {
  client: AdministratorClient; revision: unknown; selection: Selection; select: (s: Selection) => void;
  focus: string | undefined; open: (id: string) => void;
}) {
  const { text, format, now, announce } = useSurroundings();
  const top = useRef<HTMLDivElement>(null);
  const { filter, threshold, limit, offset } = selection;
  const page = useLoaded<UsagePage | AlertPage>(
    { source: client, key: JSON.stringify(selection), revision },
    async (signal) => (filter === 'nearing' ? client.alerts({ threshold, limit, offset, signal }) : client.listUsage({
      limit, offset, signal, ...(filter === 'all' ? {} : { isActive: filter === 'active' }),
    })),
    now,
  );
  const retry = () => {
    top.current?.focus();
    page.reload();
  };

  const range = page.data && rangeOf(page.data, text, format.number);
  useEffect(() => {
    if (range !== undefined && !page.loading) announce(fill(text.shown, { what: range }));
  }, [range, page.loading, announce, text]);

  const restored = useRef(focus === undefined);
  useEffect(() => {
    if (restored.current || page.loading) return;
    restored.current = true;
    const buttons = top.current?.querySelectorAll<HTMLElement>('[data-restaurant]') ?? [];
    (Array.from(buttons).find((button) => button.dataset['restaurant'] === focus) ?? top.current)?.focus();
  });

  return (
    <div className="sud-view" ref={top} tabIndex={-1} aria-busy={page.loading}>
      <header className="sud-head">
        <div className="sud-head-main">
          <h2 className="sud-title">{text.restaurants}</h2>
          <p className="sud-subtitle sud-note">{range ?? '\u00a0'}</p>
        </div>
        <RefreshButton at={page.at} busy={page.loading} refresh={page.reload} />
      </header>
      <div className="sud-toolbar">
        <FilterChoice value={filter} choose={(chosen) => select({ ...selection, filter: chosen, offset: 0 })} />
        {filter === 'nearing' && (
          <label className="sud-select">
            <span>{text.threshold}</span>
            <select value={threshold} onChange={(e) => select({ ...selection, threshold: Number(e.target.value), offset: 0 })}>
              {thresholds.map((share) => <option key={share} value={share}>{format.percent(share)}</option>)}
            </select>
          </label>
        )}
        <label className="sud-select">
          <span>{text.perPage}</span>
          <select value={limit} onChange={(e) => select({ ...selection, limit: Number(e.target.value), offset: 0 })}>
            {pageSizes.map((size) => <option key={size} value={size}>{format.number(size)}</option>)}
          </select>
        </label>
      </div>
      {page.error !== undefined && (page.data && page.at
        ? <Stale at={page.at} retry={retry} busy={page.loading} />
        : <Failure error={page.error} retry={retry} busy={page.loading} />)}
      {page.data && (page.data.data.length > 0
        ? 'threshold' in page.data
          ? <AlertTable rows={page.data.data} dimmed={page.loading} open={open} />
          : <RestaurantTable rows={page.data.data} dimmed={page.loading} open={open} />
        : (
          <div className="sud-empty">
            <p className="sud-note">{'threshold' in page.data ? text.noAlerts : text.noRestaurantsHint}</p>
          </div>
        ))}
      {!page.data && page.error === undefined && <Skeleton shape="rows" />}
      {page.data && (
        <nav className="sud-paging" aria-label={text.pages}>
          <PageButton
            direction="previous" enabled={offset > 0 && !page.loading}
            turn={() => select({ ...selection, offset: Math.max(0, offset - limit) })}
          />
          <span aria-hidden="true">{page.data.data.length > 0 && range}</span>
          <PageButton
            direction="next" enabled={page.data.pagination.hasMore && !page.loading}
            turn={() => select({ ...selection, offset: offset + limit })}
          />
        </nav>
      )}
    </div>
  );
}

/** Returns which of how many restaurants a page holds: "21–40 of 150". */
function rangeOf({ data, pagination: { offset, total } }: UsagePage | AlertPage, text: Messages, number: (n: number) => string): string {
  if (data.length === 0) return text.noRestaurants;
  return fill(text.range, { from: number(offset + 1), to: number(offset + data.length), total: number(total) });
}

/** Turns a page. At the end it keeps the focus, which a disabled button would lose. */
function PageButton({ direction, enabled, turn }: { direction: 'previous' | 'next'; enabled: boolean; turn: () => void }) {
  const { text } = useSurroundings();
  const arrow = <svg viewBox="0 0 16 16" aria-hidden="true"><path d={direction === 'next' ? 'm6 3 5 5-5 5' : 'M10 3 5 8l5 5'} /></svg>;
  return (
    <button type="button" className="sud-button" onClick={enabled ? turn : undefined} aria-disabled={!enabled}>
      {direction === 'previous' && arrow}
      {text[direction]}
      {direction === 'next' && arrow}
    </button>
  );
}

function FilterChoice({ value, choose }: { value: Selection['filter']; choose: (filter: Selection['filter']) => void }) {
  const { text } = useSurroundings();
  const name = useId();
  const choices = [['all', text.all], ['active', text.onlyActive], ['inactive', text.onlyInactive], ['nearing', text.nearing]] as const;
  return (
    <fieldset className="sud-segments">
      <legend className="sud-visually-hidden">{text.show}</legend>
      {choices.map(([filter, label]) => (
        <label key={filter}>
          <input type="radio" name={name} checked={value === filter} onChange={() => choose(filter)} />
          <span>{label}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** The restaurants of a page. On narrow screens each row is a card: the roles keep it a table for screen readers even then. */
function RestaurantTable({ rows, dimmed, open }: { rows: Usage[]; dimmed: boolean; open: (id: string) => void }) {
  const { text, format } = useSurroundings();
  return (
    <table className="sud-table" role="table" data-dimmed={dimmed}>
      <caption className="sud-visually-hidden">{text.restaurants}</caption>
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader" scope="col">{text.restaurant}</th>
          <th role="columnheader" scope="col" className="sud-numeric">{text.conversationsThisMonth}</th>
          <th role="columnheader" scope="col">{text.monthlyAllowance}</th>
          <th role="columnheader" scope="col" className="sud-numeric">{text.leftToday}</th>
          <th role="columnheader" scope="col">{text.lastActivity}</th>
          <th role="columnheader" scope="col">{text.status}</th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((usage) => {
          const { dailyLimit, dailyRemaining } = usage.allowance;
          return (
            <tr role="row" key={usage.restaurantId}>
              <NameCell of={usage} open={open} />
              <td role="cell" className="sud-numeric sud-cell-count" data-label={text.conversationsThisMonth}>
                {format.number(usage.conversationsThisMonth)}
              </td>
              <MonthCell month={monthOf(usage)} />
              <td role="cell" className="sud-numeric sud-cell-today" data-label={text.leftToday}>
                {isUnlimited({ limit: dailyLimit, remaining: dailyRemaining }) ? text.unlimited : format.number(dailyRemaining)}
              </td>
              <td role="cell" className="sud-cell-last" data-label={text.lastActivity}><Ago at={usage.lastActivity} /></td>
              <td role="cell" className="sud-cell-status"><ActiveBadge isActive={usage.isActive} /></td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** Names a restaurant, which can be opened there. */
function NameCell({ of, open }: { of: { restaurantId: string; restaurantName: string }; open: (id: string) => void }) {
  return (
    <th role="rowheader" scope="row" className="sud-cell-name">
      <button type="button" className="sud-open" data-restaurant={of.restaurantId} onClick={() => open(of.restaurantId)}>
        <bdi>{of.restaurantName}</bdi>
      </button>
      <span><bdi className="sud-id">{of.restaurantId}</bdi></span>
    </th>
  );
}

function MonthCell({ month }: { month: Allowance }) {
  const { text, format } = useSurroundings();
  const { limit, remaining } = month;
  return (
    <td role="cell" className="sud-cell-month" data-label={text.monthlyAllowance}>
      <AllowanceBar compact label={text.monthlyAllowance} allowance={month} />
      <span className="sud-note sud-between">
        {isUnlimited(month) ? text.unlimited : (
          <>
            <span>{fill(text.usedOfLimit, { used: format.number(limit - remaining), limit: format.number(limit) })}</span>
            <LevelBadge level={usedShare(month).level} />
          </>
        )}
      </span>
    </td>
  );
}

/** The restaurants over a threshold, the fullest first. */
function AlertTable({ rows, dimmed, open }: { rows: AlertPage['data']; dimmed: boolean; open: (id: string) => void }) {
  const { text, format } = useSurroundings();
  return (
    <table className="sud-table" role="table" data-dimmed={dimmed}>
      <caption className="sud-visually-hidden">{text.nearing}</caption>
      <thead role="rowgroup">
        <tr role="row">
          <th role="columnheader" scope="col">{text.restaurant}</th>
          <th role="columnheader" scope="col">{text.monthlyAllowance}</th>
          <th role="columnheader" scope="col" className="sud-numeric">{text.used}</th>
          <th role="columnheader" scope="col" className="sud-numeric">{text.leftThisMonth}</th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((alert) => (
          <tr role="row" key={alert.restaurantId}>
            <NameCell of={alert} open={open} />
            <MonthCell
              month={{
                limit: alert.limit, remaining: alert.remaining, percent: alert.usagePercent, isNearing: alert.isNearingQuota,
              }}
            />
            <td role="cell" className="sud-numeric sud-cell-count" data-label={text.used}>{format.percent((alert.usagePercent) / 100)}</td>
            <td role="cell" className="sud-numeric sud-cell-today" data-label={text.leftThisMonth}>{format.number(alert.remaining)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
