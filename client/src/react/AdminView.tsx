import { useCallback, useEffect, useId, useRef, useState } from 'react';
import type { AdministratorClient, Alert, RestaurantUsage as Usage } from '../index.js';
import { type Allowance, AllowanceBar, isUnlimited, LevelBadge, usedShare, UsedOfLimit } from './AllowanceBar.js';
import { useSurroundings } from './context.js';
import { save, toCsv } from './csv.js';
import { Days, DetailPanels, DetailsFailure } from './Details.js';
import { Heading, RefreshButton } from './Heading.js';
import { HistoryChart } from './HistoryChart.js';
import { fill, type Messages } from './messages.js';
import { Failure, Skeleton, Stale } from './Notices.js';
import { filters, pageSizes, type Place, type PlaceChange, placeOf, type Sort, sorts, thresholds } from './place.js';
import { Renewal, Undo } from './Renewal.js';
import { ActiveBadge, Ago, dayOf, monthOf, RestaurantUsage } from './RestaurantUsage.js';
import { useLoaded } from './useLoaded.js';

type Go = (change: Partial<Place>, kind?: PlaceChange) => void;

/** The most restaurants that are read in order to sort them, since the API sorts by creation only. */
const mostSorted = 1000;
const typingPauseMs = 250;

/** Shows an administrator all restaurants, or the opened one. Going back restores the list. */
export function AdminView({ client, revision, place: given, onPlace }: {
  client: AdministratorClient; revision: unknown; place: Partial<Place> | undefined;
  onPlace: ((place: Place, change: PlaceChange) => void) | undefined;
}) {
  const [own, setOwn] = useState(() => placeOf(given));
  const place = given === undefined ? own : placeOf(given);
  const [left, setLeft] = useState<string>(); // the restaurant with the button that gets the focus back
  const latest = useRef({ place, onPlace });
  latest.current = { place, onPlace };
  const go: Go = useCallback((change, kind = 'push') => {
    const next = { ...latest.current.place, ...change };
    latest.current.place = next;
    setOwn(next);
    latest.current.onPlace?.(next, kind);
  }, []);
  // However the administrator went back, the list gives the focus to the restaurant that was open.
  const shown = useRef(place.restaurant);
  useEffect(() => {
    if (shown.current !== undefined && place.restaurant === undefined) setLeft(shown.current);
    shown.current = place.restaurant;
  }, [place.restaurant]);

  if (place.restaurant !== undefined) {
    return (
      <OpenedRestaurant
        key={place.restaurant} client={client} id={place.restaurant} revision={revision}
        close={() => { setLeft(place.restaurant); go({ restaurant: undefined }); }}
      />
    );
  }
  return <RestaurantList client={client} revision={revision} place={place} go={go} focus={left} />;
}

function OpenedRestaurant({ client, id, revision, close }: {
  client: AdministratorClient; id: string; revision: unknown; close: () => void;
}) {
  const surroundings = useSurroundings();
  const { text } = surroundings;
  const top = useRef<HTMLDivElement>(null);
  const { data, at, error, loading, reload } = useLoaded(
    { source: client, key: id, revision }, (signal) => client.getUsage(id, { signal }), surroundings,
  );
  const details = useLoaded({ source: client, key: id, revision }, (signal) => client.details(id, { signal }), surroundings);
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
  const target = data && { id, name: data.restaurantName, limit: monthOf(data).limit };
  const isLimited = target !== undefined && !isUnlimited(target);
  return (
    <div className="sud-view" ref={top} tabIndex={-1} aria-busy={loading} aria-label={data?.restaurantName ?? text.restaurant} role="group">
      {data ? (
        <Heading
          title={data.restaurantName} id={data.restaurantId} isActive={data.isActive}
          at={at} busy={loading} refresh={retry} before={back}
          actions={isLimited && <Renewal client={client} target={target} renewed={readAgain} />}
        />
      ) : back}
      {error !== undefined && (data && at
        ? <Stale at={at} retry={retry} busy={loading} />
        : <Failure error={error} retry={retry} busy={loading} />)}
      {data
        ? (
          <>
            <RestaurantUsage usage={data}>
              <HistoryChart history={data.history} period={data.period} />
              {details.data && <Days details={details.data} />}
            </RestaurantUsage>
            {details.data && (
              <DetailPanels
                details={details.data}
                undo={isLimited ? (adjustment) => <Undo client={client} target={target} adjustment={adjustment} renewed={readAgain} /> : undefined}
              />
            )}
            <DetailsFailure details={details} />
          </>
        )
        : error === undefined && <Skeleton shape="cards" />}
    </div>
  );
}

/** The rows of a list, usages or alerts, and their position among all. */
interface Rows {
  usages?: Usage[];
  alerts?: Alert[];
  total: number;
  /** Whether the total may be too low. */
  atLeast?: boolean | undefined;
  offset: number;
  /** Whether they are sorted as asked: too many restaurants are not. */
  isSorted: boolean;
}

async function readRows(client: AdministratorClient, place: Place, locale: string, signal: AbortSignal): Promise<Rows> {
  const { filter, threshold, search, sort, limit } = place;
  const offset = (place.page - 1) * limit;
  if (filter === 'nearing') {
    const { data, pagination } = await client.alerts({ threshold, limit, offset, signal });
    return { alerts: data, total: pagination.total, offset, isSorted: true };
  }
  const which = { signal, ...(filter === 'all' ? {} : { isActive: filter === 'active' }), ...(isSearch(search) ? { search: search.trim() } : {}) };
  if (sort !== 'newest') {
    const all: Usage[] = [];
    let total = 0;
    for await (const page of client.listAllUsage({ ...which, limit: 100 })) {
      ({ total } = page.pagination);
      all.push(...page.data);
      if (Math.max(total, all.length) > mostSorted) break;
    }
    if (total <= mostSorted) {
      return { usages: sorted(all, sort, locale).slice(offset, offset + limit), total: all.length, offset, isSorted: true };
    }
  }
  const { data, pagination } = await client.listUsage({ ...which, limit, offset });
  return { usages: data, total: pagination.total, atLeast: pagination.totalAtLeast, offset, isSorted: sort === 'newest' };
}

/** Returns whether the API accepts a text as a search: it must have a word of two letters. */
function isSearch(text: string): boolean {
  return /[\p{L}\p{Nd}]{2}/u.test(text.normalize('NFKD').replace(/[\p{Mn}\p{Cf}\u0640'’ʼ`]/gu, ''));
}

/** Returns restaurants in an order. Equal ones keep theirs. */
function sorted(usages: Usage[], sort: Sort, locale: string): Usage[] {
  const names = new Intl.Collator(locale, { numeric: true });
  const compare: Record<Exclude<Sort, 'newest'>, (a: Usage, b: Usage) => number> = {
    name: (a, b) => names.compare(a.restaurantName, b.restaurantName),
    use: (a, b) => b.conversationsThisMonth - a.conversationsThisMonth,
    activity: (a, b) => (b.lastActivity ?? '').localeCompare(a.lastActivity ?? ''),
  };
  return sort === 'newest' ? usages : [...usages].sort(compare[sort]);
}

function RestaurantList({ client, revision, place, go, focus }: {
  client: AdministratorClient; revision: unknown; place: Place; go: Go; focus: string | undefined;
}) {
  const surroundings = useSurroundings();
  const { text, format, announce } = surroundings;
  const top = useRef<HTMLDivElement>(null);
  const { filter, threshold, limit, search, sort } = place;
  const { restaurant: _, ...selection } = place;
  const page = useLoaded<Rows>(
    { source: client, key: JSON.stringify(selection), revision }, (signal) => readRows(client, place, text.locale, signal), surroundings,
  );
  const alertCount = useLoaded(
    { source: client, key: `alerts ${threshold}`, revision },
    async (signal) => (await client.alerts({ threshold, limit: 1, signal })).pagination.total, surroundings,
  );
  const readAgain = () => {
    page.reload();
    alertCount.reload();
  };
  const retry = () => {
    top.current?.focus();
    readAgain();
  };
  const rows = page.data;
  const shown = rows?.usages ?? rows?.alerts ?? [];
  const pages = rows ? Math.max(1, Math.ceil(rows.total / limit)) : 1;
  const range = rows && rangeOf(rows, shown.length, text, format.number);
  useEffect(() => {
    if (range !== undefined && !page.loading) announce(fill(text.shown, { what: range }));
  }, [range, page.loading, announce, text]);
  useEffect(() => { // the page may be beyond the last one, if fewer restaurants match now
    if (!page.loading && rows && rows.total > 0 && shown.length === 0 && place.page > pages) go({ page: pages }, 'replace');
  });

  const turned = useRef(place.page);
  useEffect(() => {
    if (page.loading || turned.current === place.page) return;
    turned.current = place.page;
    const list = top.current;
    if (list && list.getBoundingClientRect().top < 0) list.scrollIntoView?.({ block: 'start' });
  }, [place.page, page.loading]);

  const restored = useRef(false);
  useEffect(() => {
    if (focus === undefined || restored.current || page.loading) return;
    restored.current = true;
    const buttons = top.current?.querySelectorAll<HTMLElement>('[data-restaurant]') ?? [];
    (Array.from(buttons).find((button) => button.dataset['restaurant'] === focus) ?? top.current)?.focus();
  });

  const used = shown.reduce((sum, row) => sum + ('used' in row ? row.used : row.conversationsThisMonth), 0);
  const open = (restaurant: string) => go({ restaurant });
  return (
    <div className="sud-view" ref={top} tabIndex={-1} aria-busy={page.loading}>
      <header className="sud-head">
        <div className="sud-head-main">
          <h2 className="sud-title">{text.restaurants}</h2>
          <p className="sud-subtitle sud-note">
            <span className="sud-range">{range ?? '\u00a0'}</span>
            {shown.length > 0 && <span>{fill(text.onPage, { n: format.counted(used, text.conversationCount) })}</span>}
          </p>
        </div>
        <RefreshButton at={page.at} busy={page.loading} refresh={readAgain} />
      </header>
      <div className="sud-toolbar">
        <FilterChoice value={filter} alerts={alertCount.data} choose={(chosen) => go({ filter: chosen, page: 1 })} />
        {filter !== 'nearing' && <Search value={search} find={(words) => go({ search: words, page: 1 }, 'replace')} />}
        <div className="sud-choices">
          {filter === 'nearing' ? (
            <Choice
              label={text.threshold} value={threshold} choices={thresholds.map((share) => [share, format.percent(share)])}
              choose={(chosen) => go({ threshold: Number(chosen), page: 1 })}
            />
          ) : (
            <Choice
              label={text.sortBy} value={sort} choose={(chosen) => go({ sort: chosen as Sort, page: 1 })}
              choices={sorts.map((by) => [by, { newest: isSearch(search) ? text.sortMatch : text.sortNewest, name: text.sortName, use: text.sortUse, activity: text.sortActivity }[by]])}
            />
          )}
          <Choice
            label={text.perPage} value={limit} choices={pageSizes.map((size) => [size, format.number(size)])}
            choose={(chosen) => go({ limit: Number(chosen), page: 1 })}
          />
          <button
            type="button" className="sud-button sud-button-quiet" aria-disabled={shown.length === 0}
            onClick={shown.length === 0 ? undefined : () => save('restaurants.csv', 'text/csv;charset=utf-8', rows?.usages ? usagesCsv(rows.usages, text) : alertsCsv(rows?.alerts ?? [], text))}
          >
            {text.csv}
          </button>
        </div>
      </div>
      {rows && !rows.isSorted && <p className="sud-note" role="status">{fill(text.tooManyToSort, { n: format.number(mostSorted) })}</p>}
      {page.error !== undefined && (rows && page.at
        ? <Stale at={page.at} retry={retry} busy={page.loading} />
        : <Failure error={page.error} retry={retry} busy={page.loading} />)}
      {rows && (shown.length > 0
        ? rows.alerts
          ? <AlertTable rows={rows.alerts} dimmed={page.loading} open={open} client={client} renewed={readAgain} />
          : <RestaurantTable rows={rows.usages ?? []} dimmed={page.loading} open={open} client={client} renewed={readAgain} />
        : (
          <div className="sud-empty">
            <p className="sud-note">{rows.alerts ? text.noAlerts : text.noRestaurantsHint}</p>
          </div>
        ))}
      {!rows && page.error === undefined && <Skeleton shape="rows" />}
      {rows && (
        <nav className="sud-paging" aria-label={text.pages}>
          <PageButton direction="previous" enabled={place.page > 1 && !page.loading} turn={() => go({ page: place.page - 1 })} />
          <PageJump page={Math.min(place.page, pages)} pages={pages} jump={(chosen) => go({ page: chosen })} />
          <PageButton direction="next" enabled={place.page < pages && !page.loading} turn={() => go({ page: place.page + 1 })} />
        </nav>
      )}
    </div>
  );
}

/** Returns the position of a page's restaurants among all: "21–40 of 150". */
function rangeOf({ offset, total, atLeast }: Rows, length: number, text: Messages, number: (n: number) => string): string {
  if (length === 0) return text.noRestaurants;
  return fill(text.range, { from: number(offset + 1), to: number(offset + length), total: number(total) + (atLeast ? '+' : '') });
}

function usagesCsv(usages: Usage[], text: Messages): string {
  return toCsv([
    [
      text.restaurant, 'id', text.status, text.conversationsThisMonth, text.plan, text.topUps, text.leftThisMonth, text.today, text.leftToday,
      text.lastActivity,
    ],
    ...usages.map((usage) => {
      const limited = (n: number) => (isUnlimited({ limit: usage.allowance.monthlyLimit }) ? text.unlimited : n);
      return [
        usage.restaurantName, usage.restaurantId, usage.isActive ? text.active : text.inactive, usage.conversationsThisMonth,
        limited(usage.allowance.monthlyLimit), usage.adjustedBy, limited(usage.allowance.monthlyRemaining), dayOf(usage).used,
        limited(usage.allowance.dailyRemaining), usage.lastActivity,
      ];
    }),
  ]);
}

function alertsCsv(alerts: Alert[], text: Messages): string {
  return toCsv([
    [text.restaurant, 'id', text.conversationsThisMonth, text.monthlyAllowance, text.leftThisMonth, '%'],
    ...alerts.map((a) => [a.restaurantName, a.restaurantId, a.used, a.limit, a.remaining, a.usagePercent]),
  ]);
}

/** Finds restaurants while somebody types, after each pause. */
function Search({ value, find }: { value: string; find: (words: string) => void }) {
  const { text } = useSurroundings();
  const [typed, setTyped] = useState(value);
  const sent = useRef(value);
  useEffect(() => { // the browser went back, or to another address
    if (value === sent.current) return;
    sent.current = value;
    setTyped(value);
  }, [value]);
  useEffect(() => {
    if (typed === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = typed;
      find(typed);
    }, typingPauseMs);
    return () => clearTimeout(timer);
  });
  return (
    <input
      type="search" className="sud-search" aria-label={text.search} placeholder={text.search} dir="auto" autoComplete="off" maxLength={100}
      value={typed} onChange={(event) => setTyped(event.target.value)}
    />
  );
}

/** A choice among a few values. */
function Choice({ label, value, choices, choose }: {
  label: string; value: string | number; choices: (readonly [string | number, string])[]; choose: (chosen: string) => void;
}) {
  return (
    <label className="sud-select">
      <span>{label}</span>
      <select value={value} onChange={(event) => choose(event.target.value)}>
        {choices.map(([of, words]) => <option key={of} value={of}>{words}</option>)}
      </select>
    </label>
  );
}

/** Goes to a page by its number. */
function PageJump({ page, pages, jump }: { page: number; pages: number; jump: (page: number) => void }) {
  const { text, format } = useSurroundings();
  return (
    <form
      className="sud-jump"
      onSubmit={(event) => {
        event.preventDefault();
        const chosen = Number(new FormData(event.currentTarget).get('page'));
        if (chosen !== page) jump(Math.min(pages, Math.max(1, Math.round(chosen) || 1)));
      }}
    >
      <label>
        <span>{text.page}</span>
        <input key={page} name="page" type="number" inputMode="numeric" min={1} max={pages} defaultValue={page} dir="ltr" onBlur={(event) => event.target.form?.requestSubmit()} />
      </label>
      <span>{fill(text.ofPages, { pages: format.number(pages) })}</span>
    </form>
  );
}

/** Turns a page. On the last page it isn't disabled, because it would lose the focus. */
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

function FilterChoice({ value, alerts, choose }: {
  value: Place['filter']; alerts: number | undefined; choose: (filter: Place['filter']) => void;
}) {
  const { text, format } = useSurroundings();
  const name = useId();
  const labels = { all: text.all, active: text.onlyActive, inactive: text.onlyInactive, nearing: text.nearing };
  return (
    <fieldset className="sud-segments">
      <legend className="sud-visually-hidden">{text.show}</legend>
      {filters.map((filter) => (
        <label key={filter}>
          <input type="radio" name={name} checked={value === filter} onChange={() => choose(filter)} aria-label={labels[filter]} />
          <span>
            {labels[filter]}
            {filter === 'nearing' && alerts !== undefined && alerts > 0 && <b className="sud-count">{format.number(alerts)}</b>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

interface TableProps<Row> {
  rows: Row[];
  dimmed: boolean;
  open: (id: string) => void;
  client: AdministratorClient;
  renewed: () => void;
}

/** The restaurants of a page. On narrow screens each row is a card; the roles keep it a table for screen readers. */
function RestaurantTable({ rows, dimmed, open, client, renewed }: TableProps<Usage>) {
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
          <th role="columnheader" scope="col"><span className="sud-visually-hidden">{text.renew}</span></th>
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
                {isUnlimited({ limit: dailyLimit }) ? text.unlimited : format.number(dailyRemaining)}
              </td>
              <td role="cell" className="sud-cell-last" data-label={text.lastActivity}><Ago at={usage.lastActivity} /></td>
              <td role="cell" className="sud-cell-status"><ActiveBadge isActive={usage.isActive} /></td>
              <AddCell client={client} of={usage} limit={monthOf(usage).limit} renewed={renewed} />
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** Shows a restaurant's name, as a button that opens it. */
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

/** Adds to a restaurant's allowance, from its row. */
function AddCell({ client, of, limit, renewed }: {
  client: AdministratorClient; of: { restaurantId: string; restaurantName: string }; limit: number; renewed: () => void;
}) {
  return (
    <td role="cell" className="sud-cell-add">
      {!isUnlimited({ limit }) && (
        <Renewal compact client={client} target={{ id: of.restaurantId, name: of.restaurantName, limit }} renewed={renewed} />
      )}
    </td>
  );
}

function MonthCell({ month }: { month: Allowance }) {
  const { text } = useSurroundings();
  return (
    <td role="cell" className="sud-cell-month" data-label={text.monthlyAllowance}>
      <AllowanceBar compact label={text.monthlyAllowance} allowance={month} />
      <span className="sud-note sud-between">
        {isUnlimited(month) ? text.unlimited : (
          <>
            <UsedOfLimit allowance={month} />
            <LevelBadge level={usedShare(month).level} />
          </>
        )}
      </span>
    </td>
  );
}

/** The restaurants above a threshold, the fullest first. */
function AlertTable({ rows, dimmed, open, client, renewed }: TableProps<Alert>) {
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
          <th role="columnheader" scope="col"><span className="sud-visually-hidden">{text.renew}</span></th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((alert) => {
          const month = { ...alert, percent: alert.usagePercent, isNearing: alert.isNearingQuota };
          return (
            <tr role="row" key={alert.restaurantId}>
              <NameCell of={alert} open={open} />
              <MonthCell month={month} />
              <td role="cell" className="sud-numeric sud-cell-count" data-label={text.used}>{format.percent(usedShare(month).share)}</td>
              <td role="cell" className="sud-numeric sud-cell-today" data-label={text.leftThisMonth}>{format.number(alert.remaining)}</td>
              <AddCell client={client} of={alert} limit={alert.limit} renewed={renewed} />
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
