// @vitest-environment jsdom
import { cleanup, configure, render, screen, waitFor, within } from '@testing-library/react';
import { userEvent } from '@testing-library/user-event';
import { afterEach, describe, expect, test } from 'vitest';
import type {
  AdministratorClient, AlertOptions, AlertPage, ListOptions, MonthUsage, OwnerClient, RenewOptions, RestaurantDetails, RestaurantUsage,
  RestaurantUsageWithHistory, SentMessages, UsagePage,
} from '../index.js';
import { alertPage, details, quota, sentMessages } from '../../test/fixtures.js';
import { UsageApiError, UsagePages } from '../index.js';
import { placeToQuery, UsageDashboard } from './index.js';

// jsdom has no modal dialogs: a dialog is open or closed.
HTMLDialogElement.prototype.showModal = function showModal() { this.open = true; };

configure({ asyncUtilTimeout: 30_000 }); // for slow machines
afterEach(cleanup);

const now = () => new Date('2026-11-24T12:00:00.000Z');

function restaurant(id: string, change: Partial<RestaurantUsage> = {}): RestaurantUsage {
  return {
    restaurantId: id, restaurantName: `Restaurant ${id}`, conversationsToday: 2, conversationsThisMonth: 45, lastConversationAt: '2026-11-23T12:00:00.000Z',
    allowance: { dailyLimit: 1000, dailyRemaining: 998, monthlyLimit: 30000, monthlyRemaining: 29955 },
    adjustedBy: 0, usagePercent: 0.15, isNearingQuota: false, hasAccess: true,
    period: { year: 2026, month: 11, timeZone: 'UTC', startsAt: '2026-11-01T00:00:00.000Z', resetsAt: '2026-12-01T00:00:00.000Z' },
    firstActivity: '2026-10-20T14:30:00.000Z', lastActivity: '2026-11-23T12:00:00.000Z', isActive: true,
    ...change,
  };
}

const october: MonthUsage = { year: 2026, month: 10, conversationCount: 123, lastConversationAt: '2026-10-20T15:30:00.000Z' };

/** A promise that the test resolves or rejects. */
function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((done, failed) => {
    resolve = done;
    reject = failed;
  });
  return { promise, resolve, reject };
}

const failure = (status: number) => Object.assign(new Error('refused'), { status });

const detailsOf = (id: string): RestaurantDetails => ({ ...details(id), monthlyUsage: [october] });

const ownerOf = (
  listUsage: OwnerClient['listUsage'], read: OwnerClient['details'] = async () => detailsOf('r1'),
): OwnerClient => ({ role: 'owner', listUsage, details: read });

/** An administrator's client with count restaurants, every third of them inactive. It records its calls. */
function administrator(count: number) {
  const all = Array.from({ length: count }, (_, i) => restaurant(`r${i + 1}`, { isActive: i % 3 !== 2 }));
  const asked: ListOptions[] = [];
  const renewals: RenewOptions[] = []; // the first one fails
  const client: AdministratorClient = {
    role: 'administrator',
    async listUsage(options: ListOptions = {}): Promise<UsagePage> {
      asked.push(options);
      const { limit = 20, offset = 0, isActive } = options;
      const matching = all.filter((r) => isActive === undefined || r.isActive === isActive);
      return {
        data: matching.slice(offset, offset + limit),
        pagination: { total: matching.length, limit, offset, hasMore: offset + limit < matching.length },
      };
    },
    listAllUsage: (): UsagePages => { throw new Error('the dashboard reads single pages'); },
    async getUsage(id: string): Promise<RestaurantUsageWithHistory> {
      const found = all.find((r) => r.restaurantId === id);
      if (!found) throw failure(404);
      return { ...found, history: [october] };
    },
    details: async (id) => detailsOf(id),
    alerts: ({ threshold, limit, offset }: AlertOptions = {}) => {
      const query = new URLSearchParams(JSON.parse(JSON.stringify({ threshold, limit, offset })) as Record<string, string>);
      return new UsagePages<AlertPage>(async () => alertPage(query, 2), { offset });
    },
    async renew(_, options = {}) {
      renewals.push(options);
      if (renewals.length === 1) throw failure(503);
      return quota;
    },
  };
  return { client, asked, renewals };
}

describe('an owner', () => {
  test('sees the figures, and each allowance as a meter', async () => {
    render(<UsageDashboard client={ownerOf(async () => restaurant('r1'))} now={now} />);
    expect(await screen.findByRole('heading', { name: 'Restaurant r1' })).toBeTruthy();
    const today = screen.getByRole('meter', { name: 'Today’s allowance' });
    expect([today.getAttribute('aria-valuenow'), today.getAttribute('aria-valuemax')]).toEqual(['2', '1000']);
    expect(today.getAttribute('aria-valuetext')).toBe('2 of 1,000 used');
    const month = screen.getByRole('meter', { name: 'This month’s allowance' });
    expect(month.getAttribute('aria-valuetext')).toBe('45 of 30,000 used');
    expect(screen.getByText('29,955').parentElement!.textContent).toBe('29,955conversations left');
    expect(screen.getAllByText('yesterday').length).toBeGreaterThan(0);
  });

  test('sees months, days, sessions and what was added', async () => {
    render(<UsageDashboard client={ownerOf(async () => restaurant('r1'))} now={now} />);
    const chart = await screen.findByRole('img', { name: /last six months/ });
    expect(screen.getByRole('img', { name: /this month’s conversations: 45 in all, and the busiest day was 20 October with 45$/ })).toBeTruthy();
    expect(screen.getByRole('row', { name: /^20 October 45 90$/ })).toBeTruthy();
    expect(screen.getByText('+966*******01')).toBeTruthy();
    expect(screen.getByText('open now').parentElement!.textContent).toBe('2open now');
    expect(screen.getByText('+1,000')).toBeTruthy();
    expect(screen.getByText('Ramadan')).toBeTruthy();
    expect(chart.getAttribute('aria-label')).toContain('October 2026: 123');
    const rows = within(screen.getByRole('table', { name: 'Conversations by month' })).getAllByRole('row');
    expect(rows.map((row) => row.textContent)).toEqual([
      'MonthConversations', 'November 20260', 'October 2026123', 'September 20260', 'August 20260', 'July 20260', 'June 20260',
    ]);
  });

  test('sees the figures even if only the details fail', async () => {
    render(<UsageDashboard client={ownerOf(async () => restaurant('r1'), () => Promise.reject(failure(503)))} now={now} />);
    expect(await screen.findByText('The details can’t be shown right now.')).toBeTruthy();
    expect(screen.getByRole('heading', { name: 'Restaurant r1' })).toBeTruthy();
  });

  test.each([
    ['nothing used', 1000, 0, false, undefined],
    ['just below nine tenths', 101, 89.9, false, undefined],
    ['nine tenths', 100, 90, true, 'Nearly used up'],
    ['all but a little', 1, 99.99, true, 'Nearly used up'],
    ['everything', 0, 100, true, 'Used up'],
    ['nothing allowed and nothing used', 0, 0, false, undefined],
  ])('is warned as the API says with %s', async (_, monthlyRemaining, usagePercent, isNearingQuota, badge) => {
    const allowance = { dailyLimit: 1000, dailyRemaining: 1000, monthlyLimit: 1000, monthlyRemaining };
    render(<UsageDashboard client={ownerOf(async () => restaurant('r1', { allowance, usagePercent, isNearingQuota }))} now={now} />);
    await screen.findByRole('meter', { name: 'This month’s allowance' });
    expect(['Nearly used up', 'Used up'].filter((text) => screen.queryByText(text))).toEqual(badge ? [badge] : []);
  });

  test('has no meter without a limit, and no time where nothing ever happened', async () => {
    const unlimited = restaurant('r1', {
      allowance: { dailyLimit: -1, dailyRemaining: -1, monthlyLimit: -1, monthlyRemaining: -1 },
      firstActivity: null, lastActivity: null, lastConversationAt: null,
    });
    render(<UsageDashboard client={ownerOf(async () => unlimited)} now={now} />);
    expect(await screen.findAllByText('Unlimited')).toHaveLength(2);
    expect(screen.queryByRole('meter')).toBeNull();
    expect(screen.getAllByText('Never')).toHaveLength(3);
  });

  test('is told when figures are being read, can’t be read, and are read again', async () => {
    const user = userEvent.setup();
    const answers = [deferred<RestaurantUsage>(), deferred<RestaurantUsage>()];
    let calls = 0;
    render(<UsageDashboard client={ownerOf(() => answers[calls++]!.promise)} now={now} />);
    expect(screen.getByText('Loading…')).toBeTruthy();
    answers[0]!.reject(failure(503));
    const alert = await screen.findByRole('alert');
    expect(alert.textContent).toContain('Not available right now');
    expect(screen.queryByText('Loading…')).toBeNull();
    await user.click(screen.getByRole('button', { name: 'Try again' }));
    expect(document.activeElement).not.toBe(document.body); // although the button is gone
    answers[1]!.resolve(restaurant('r1'));
    expect(await screen.findByRole('heading', { name: 'Restaurant r1' })).toBeTruthy();
    expect(screen.queryByRole('alert')).toBeNull();
    expect(document.activeElement).not.toBe(document.body);
  });

  test.each([
    [401, 'No access'], [403, 'No access'], [404, 'Not found'], [400, 'Something went wrong'],
    [429, 'Not available right now'], [500, 'Not available right now'], [0, 'Not available right now'],
  ])('is told in words what %i means', async (status, title) => {
    render(<UsageDashboard client={ownerOf(async () => Promise.reject(failure(status)))} now={now} />);
    expect((await screen.findByRole('alert')).textContent).toContain(title);
  });

  test('sees older figures, and that they are older, when they can’t be read again', async () => {
    const answers = [async () => restaurant('r1'), async () => Promise.reject(failure(503))];
    let calls = 0;
    const client = ownerOf(() => answers[calls++]!());
    const { rerender } = render(<UsageDashboard client={client} now={now} revision={1} timeZone="UTC" />);
    await screen.findByRole('heading', { name: 'Restaurant r1' });
    rerender(<UsageDashboard client={client} now={now} revision={2} timeZone="UTC" />);
    expect((await screen.findByRole('alert')).textContent).toContain('as of 12:00');
    expect(screen.getByRole('meter', { name: 'Today’s allowance' })).toBeTruthy();
  });

  test('never sees the figures of another client', async () => {
    const other = deferred<RestaurantUsage>();
    const { rerender } = render(<UsageDashboard client={ownerOf(async () => restaurant('r1'))} now={now} />);
    await screen.findByRole('heading', { name: 'Restaurant r1' });
    rerender(<UsageDashboard client={ownerOf(() => other.promise)} now={now} />);
    expect(screen.queryByRole('heading', { name: 'Restaurant r1' })).toBeNull();
    other.resolve(restaurant('r2'));
    expect(await screen.findByRole('heading', { name: 'Restaurant r2' })).toBeTruthy();
  });

  test('reads Arabic from right to left, in Latin digits unless told otherwise', async () => {
    const { container } = render(<UsageDashboard client={ownerOf(async () => restaurant('r1'))} now={now} locale="ar" theme="dark" />);
    expect((await screen.findAllByText('29,955')).length).toBeGreaterThan(0);
    const root = container.firstElementChild as HTMLElement;
    expect([root.dir, root.lang, root.dataset['theme']]).toEqual(['rtl', 'ar', 'dark']);
    expect(screen.getByRole('meter', { name: 'رصيد اليوم' }).getAttribute('aria-valuetext')).toBe('استُخدم 2 من 1,000');
  });
});

describe('an administrator', () => {
  const names = () => screen.getAllByRole('rowheader').map((cell) => within(cell).getByRole('button').textContent);

  test('turns pages, up to the last one', async () => {
    const user = userEvent.setup();
    const { client, asked } = administrator(45);
    render(<UsageDashboard client={client} now={now} />);
    await screen.findByRole('table');
    expect(names()).toHaveLength(20);
    const [previous, next] = [screen.getByRole('button', { name: 'Previous' }), screen.getByRole('button', { name: 'Next' })];
    expect(previous.getAttribute('aria-disabled')).toBe('true');
    await user.click(previous);
    expect(asked).toHaveLength(1);
    await user.click(next);
    await screen.findByRole('button', { name: 'Restaurant r21' });
    await user.click(next);
    await screen.findByRole('button', { name: 'Restaurant r41' });
    expect(names()).toHaveLength(5);
    await waitFor(() => expect(screen.getByText('Shown: 41–45 of 45')).toBeTruthy()); // announced to screen readers
    expect(next.getAttribute('aria-disabled')).toBe('true');
    await user.click(next);
    await user.click(previous);
    await screen.findByRole('button', { name: 'Restaurant r21' });
    expect(asked.map(({ offset }) => offset)).toEqual([0, 20, 40, 20]);
  });

  test('filters, and chooses how much a page holds, each from the first page on', async () => {
    const user = userEvent.setup();
    const { client, asked } = administrator(45);
    render(<UsageDashboard client={client} now={now} />);
    await user.click(await screen.findByRole('button', { name: 'Next' }));
    await screen.findByRole('button', { name: 'Restaurant r21' });
    await user.click(screen.getByRole('radio', { name: 'Switched off' }));
    await screen.findByText('Shown: 1–15 of 15');
    await user.click(screen.getByRole('radio', { name: 'Active' }));
    await screen.findByText('Shown: 1–20 of 30');
    await user.selectOptions(screen.getByRole('combobox', { name: 'Rows per page' }), '50');
    await screen.findByText('Shown: 1–30 of 30');
    expect(asked.map(({ limit, offset, isActive }) => ({ limit, offset, isActive }))).toEqual([
      { limit: 20, offset: 0 }, { limit: 20, offset: 20 }, { limit: 20, offset: 0, isActive: false },
      { limit: 20, offset: 0, isActive: true }, { limit: 50, offset: 0, isActive: true },
    ]);
  });

  test('is told when no restaurant matches', async () => {
    const { client } = administrator(0);
    render(<UsageDashboard client={client} now={now} />);
    expect(await screen.findByText('No restaurants found')).toBeTruthy();
    expect(screen.queryByRole('table')).toBeNull();
  });

  test('opens a restaurant and comes back to where the list was', async () => {
    const user = userEvent.setup();
    const { client } = administrator(45);
    render(<UsageDashboard client={client} now={now} />);
    await user.click(await screen.findByRole('button', { name: 'Next' }));
    const row = await screen.findByRole('button', { name: 'Restaurant r23' });
    row.focus();
    await user.keyboard('{Enter}');
    expect(await screen.findByRole('heading', { name: 'Restaurant r23' })).toBeTruthy();
    expect(screen.getByRole('img', { name: /last six months/ }).getAttribute('aria-label')).toContain('October 2026: 123');
    expect(document.activeElement?.contains(screen.getByRole('heading', { name: 'Restaurant r23' }))).toBe(true);
    await user.click(screen.getByRole('button', { name: 'All restaurants' }));
    const again = await screen.findByRole('button', { name: 'Restaurant r23' });
    await waitFor(() => expect(document.activeElement).toBe(again));
  });

  test('can go back from a restaurant that can’t be shown', async () => {
    const user = userEvent.setup();
    const { client } = administrator(3);
    render(<UsageDashboard client={{ ...client, getUsage: async () => Promise.reject(failure(404)) }} now={now} />);
    await user.click(await screen.findByRole('button', { name: 'Restaurant r1' }));
    expect((await screen.findByRole('alert')).textContent).toContain('We could not find this restaurant.');
    await user.click(screen.getByRole('button', { name: 'All restaurants' }));
    expect(await screen.findByRole('table')).toBeTruthy();
  });

  test('never sees an earlier page that arrives late', async () => {
    const user = userEvent.setup();
    const { client } = administrator(45);
    const slow = deferred<UsagePage>();
    const signals: (AbortSignal | undefined)[] = [];
    render(<UsageDashboard
      now={now}
      client={{
        ...client,
        listUsage: (options: ListOptions = {}) => {
          signals.push(options.signal);
          return options.isActive === undefined && signals.length > 1 ? slow.promise : client.listUsage(options);
        },
      }}
    />);
    await user.click(await screen.findByRole('button', { name: 'Next' })); // this call is never answered
    await user.click(screen.getByRole('radio', { name: 'Switched off' }));
    await screen.findByText('Shown: 1–15 of 15');
    expect(signals[1]?.aborted).toBe(true);
    slow.resolve(await client.listUsage({ offset: 20 }));
    await slow.promise;
    expect(names()[0]).toBe('Restaurant r3');
  });
});

describe('an administrator who adds to an allowance', () => {
  test('can try again without adding twice, and sees what came of it', async () => {
    const user = userEvent.setup();
    const { client, renewals } = administrator(3);
    render(<UsageDashboard client={client} now={now} />);
    await user.click(await screen.findByRole('button', { name: 'Restaurant r1' }));
    await user.click(await screen.findByRole('button', { name: 'Add to allowance' }));
    await user.clear(screen.getByRole('spinbutton', { name: 'Conversations' }));
    await user.type(screen.getByRole('spinbutton', { name: 'Conversations' }), '500');
    await user.click(screen.getByRole('button', { name: 'Add' }));
    expect((await screen.findByRole('alert')).textContent).toContain('it will count only once.');
    await user.click(screen.getByRole('button', { name: 'Add' }));
    expect(await screen.findByText(/limit is now 31,000, with 30,955 left/)).toBeTruthy();
    expect(renewals).toHaveLength(2);
    expect(renewals[0]).toMatchObject({ amount: 500, reason: undefined });
    expect(renewals[1]).toMatchObject({ amount: 500, idempotencyKey: renewals[0]?.idempotencyKey });
    await user.click(screen.getByRole('button', { name: 'Done' }));
    expect(screen.queryByRole('dialog')).toBeNull();
  });

  test('has another key for another amount', async () => {
    const user = userEvent.setup();
    const { client, renewals } = administrator(3);
    render(<UsageDashboard client={client} now={now} />);
    await user.click(await screen.findByRole('button', { name: 'Restaurant r1' }));
    await user.click(await screen.findByRole('button', { name: 'Add to allowance' }));
    await user.click(screen.getByRole('button', { name: 'Add' }));
    await screen.findByRole('alert');
    await user.type(screen.getByRole('textbox', { name: 'Reason (optional)' }), 'Ramadan');
    await user.click(screen.getByRole('button', { name: 'Add' }));
    await screen.findByRole('button', { name: 'Done' });
    expect(renewals[1]).toMatchObject({ amount: 1000, reason: 'Ramadan' });
    expect(renewals[1]?.idempotencyKey).not.toBe(renewals[0]?.idempotencyKey);
  });
});

test('an administrator sees who has nearly used up the allowance, from a threshold on', async () => {
  const user = userEvent.setup();
  render(<UsageDashboard client={administrator(3).client} now={now} />);
  await user.click(await screen.findByRole('radio', { name: 'Nearly used up' }));
  const table = await screen.findByRole('table', { name: 'Nearly used up' });
  expect(within(table).getAllByRole('row')[1]!.textContent).toContain('95 of 100 used');
  await user.selectOptions(screen.getByRole('combobox', { name: 'Used at least' }), '50%');
  expect(await screen.findByText('1–2 of 2', { selector: '.sud-range' })).toBeTruthy();
});

describe('an owner who used more than the allowance', () => {
  test('sees by how much, and the plan and top-ups apart', async () => {
    const over = restaurant('r1', {
      allowance: { dailyLimit: 10, dailyRemaining: 0, monthlyLimit: 200, monthlyRemaining: 0 }, adjustedBy: 100,
      conversationsToday: 12, conversationsThisMonth: 310, usagePercent: 100, isNearingQuota: true, hasAccess: false,
    });
    render(<UsageDashboard client={ownerOf(async () => over)} now={now} help={{ whenUsedUp: 'Then we call you.', contact: { name: 'Huda', href: 'mailto:huda@example.com' } }} />);
    const month = await screen.findByRole('meter', { name: 'This month’s allowance' });
    expect(month.getAttribute('aria-valuetext')).toBe('310 of 300 used');
    expect(screen.getAllByText('conversations over the limit').map((unit) => unit.parentElement!.textContent))
      .toEqual(['10conversations over the limit', '2conversations over the limit']);
    expect(screen.getByRole('meter', { name: 'Today’s allowance' }).getAttribute('aria-valuetext')).toBe('12 of 10 used');
    expect(screen.getByText('Plan').parentElement!.textContent).toBe('Plan200');
    expect(screen.getByText('Top-ups this month', { selector: 'dt' }).parentElement!.textContent).toBe('Top-ups this month+100');
    expect(screen.getByText('Then we call you.')).toBeTruthy();
    expect(screen.getByRole('link', { name: 'Huda' }).getAttribute('href')).toBe('mailto:huda@example.com');
  });

  test('is told when the count restarts, and where the month is heading', async () => {
    render(<UsageDashboard client={ownerOf(async () => restaurant('r1'))} now={now} />);
    expect((await screen.findByText('Count restarts')).parentElement!.textContent).toContain('1 Dec 2026, 00:00 (Coordinated Universal Time)');
    expect(screen.getByText('about 57')).toBeTruthy();
  });

  test('sees today marked, by the days of the API’s zone', async () => {
    const riyadh = { year: 2026, month: 12, timeZone: 'Asia/Riyadh', startsAt: '2026-11-30T21:00:00.000Z', resetsAt: '2026-12-31T21:00:00.000Z' };
    const days = ['2026-12-01', '2026-12-02'].map((date) => ({ date, conversationsStarted: 3, messages: 5 }));
    const client = ownerOf(async () => restaurant('r1', { period: riyadh }), async () => ({ ...detailsOf('r1'), period: riyadh, dailyBreakdown: days }));
    const { container } = render(<UsageDashboard client={client} now={() => new Date('2026-11-30T22:00:00.000Z')} />);
    await screen.findByRole('img', { name: /last six months/ });
    expect(container.querySelector('.sud-chart-days [data-current="true"]')?.getAttribute('title')).toBe('1 December: 3');
    expect(container.querySelector('.sud-history [data-current="true"] .sud-chart-label')?.textContent).toBe('Dec');
  });

  test('reads a server that is older than these figures', async () => {
    const { conversationsToday: _, period: __, hasAccess: ___, ...older } = restaurant('r1');
    const { conversationsToday: _a, period: _b, hasAccess: _c, ...olderDetails } = detailsOf('r1');
    render(<UsageDashboard client={ownerOf(async () => older as RestaurantUsage, async () => olderDetails as RestaurantDetails)} now={now} />);
    expect((await screen.findByRole('meter', { name: 'Today’s allowance' })).getAttribute('aria-valuetext')).toBe('2 of 1,000 used');
    expect(screen.queryByText('Count restarts')).toBeNull();
  });
});

describe('the messages sent', () => {
  const owner = (sent: SentMessages | undefined) =>
    ownerOf(async () => restaurant('r1'), async () => ({ ...detailsOf('r1'), sentMessages: sent as SentMessages }));

  /** Returns a section once it is rendered, with the texts of its lists. */
  async function section(name: string) {
    const found = await screen.findByRole('region', { name });
    const terms = [...found.querySelectorAll('dl > div')].map((div) => [...div.children].map((part) => part.textContent).join(' | '));
    return { found, terms };
  }
  const rows = (table: HTMLElement) =>
    within(table).getAllByRole('row', { hidden: true }).map((row) => [...row.children].map((cell) => cell.textContent).join(' | '));

  test('are shown with what became of them, by kind and by day, and with what they cost', async () => {
    render(<UsageDashboard client={owner(sentMessages)} now={now} />);
    const { found, terms } = await section('Messages sent');
    expect(terms).toEqual([
      'Sent | 1,284messages', 'Delivered | 1,281messages', 'Read | 903messages', 'Failed | 2messages', 'Not confirmed yet | 1message',
      'Replies to customers | 1,235 messages', 'Notices | 45 messages', 'Replies after an ad (usually free) | 1 message',
    ]);
    expect(rows(within(found).getByRole('table', { name: 'By kind' }))).toEqual([
      'Kind | Sent | Delivered | Read | Failed',
      'Welcomes | 45 | 44 | 40 | 1', 'Menu and branch lists | 1,000 | 1,000 | 800 | 0', 'Text replies | 238 | 236 | 62 | 1', 'Allowance alerts | 1 | 1 | 1 | 0',
    ]);
    expect(rows(within(found).getByRole('table', { name: 'Messages sent', hidden: true }))).toEqual([
      'Day | Sent | Delivered | Read | Failed', '19 October | 284 | 283 | 203 | 0', '20 October | 1,000 | 998 | 700 | 2',
    ]);
    expect(within(found).getByText('26.50 Saudi riyals')).toBeTruthy();
    expect(within(found).getByText(/^Only delivered messages are charged/)).toBeTruthy();
  });

  test('have the right Arabic nouns for their numbers', async () => {
    const { sentMessages: _, ...rest } = detailsOf('r1');
    const few: SentMessages = {
      sent: 11, delivered: 3, read: 2, failed: 1, byKind: { quota_alert: { sent: 11, delivered: 3, read: 2, failed: 1 } },
      byCategory: { marketing: { sent: 11, delivered: 3, read: 2, failed: 1 } }, days: [], cost: { currency: 'SAR', amount: '0.065' },
    };
    render(<UsageDashboard client={ownerOf(async () => restaurant('r1'), async () => ({ ...rest, sentMessages: few }))} now={now} locale="ar" />);
    const { found, terms } = await section('الرسائل المرسلة');
    expect(terms).toEqual([
      'أُرسلت | 11رسالة', 'وصلت | 3رسائل', 'قُرئت | رسالتان', 'لم تصل | رسالة واحدة', 'بانتظار التأكيد | 7رسائل', 'الرسائل التسويقية | 3 رسائل',
    ]);
    expect(rows(within(found).getByRole('table', { name: 'حسب النوع' }))[1]).toBe('تنبيهات الرصيد | 11 | 3 | 2 | 1');
    expect(within(found).getByText('0.065 ريال سعودي')).toBeTruthy();
  });

  test('show no cost without prices, and no waiting messages once all are confirmed', async () => {
    const { cost: _, ...unpriced } = sentMessages;
    render(<UsageDashboard client={owner({ ...unpriced, failed: 3 })} now={now} />);
    const { found, terms } = await section('Messages sent');
    expect(terms).toEqual(['Sent | 1,284messages', 'Delivered | 1,281messages', 'Read | 903messages', 'Failed | 3messages']);
    expect(within(found).queryByText('Cost so far')).toBeNull();
  });

  test('are said to be none if none was sent', async () => {
    const none = { sent: 0, delivered: 0, read: 0, failed: 0, byKind: {}, byCategory: {}, days: [], cost: { currency: 'SAR', amount: '0.00' } };
    render(<UsageDashboard client={owner(none)} now={now} />);
    const { found } = await section('Messages sent');
    expect(found.textContent).toBe('Messages sentThis monthNo message was sent this month.');
  });

  test('aren’t shown if the server doesn’t count them', async () => {
    render(<UsageDashboard client={owner(undefined)} now={now} />);
    await screen.findByRole('region', { name: 'Latest conversations' });
    expect(screen.queryByRole('region', { name: 'Messages sent' })).toBeNull();
  });

  test('are shown to an administrator too', async () => {
    render(<UsageDashboard client={administrator(1).client} now={now} place={{ restaurant: 'r1' }} />);
    expect((await section('Messages sent')).terms[0]).toBe('Sent | 1,284messages');
  });
});

test('a fault while showing leaves a message and no blank page', async () => {
  const broken = { restaurantId: 'r1' } as RestaurantUsage; // from a client of the host's own, which checks nothing
  const error = console.error;
  console.error = () => {};
  try {
    render(<UsageDashboard client={ownerOf(async () => broken)} now={now} />);
    expect((await screen.findByRole('alert')).textContent).toContain('Something went wrong');
  } finally {
    console.error = error;
  }
});

test('an answer of the wrong shape is shown with its request’s id', async () => {
  const fault = Object.assign(new Error('x'), { status: 200, code: 'invalid_response', requestId: 'q7' });
  render(<UsageDashboard client={ownerOf(() => Promise.reject(fault))} now={now} />);
  expect((await screen.findByRole('alert')).textContent).toContain('q7');
});

test('figures are read again every so often, and say how fresh they are', async () => {
  let reads = 0;
  const client = ownerOf(async () => { reads++; return restaurant('r1'); });
  const { rerender } = render(<UsageDashboard client={client} now={now} refreshMs={1_000} />);
  await waitFor(() => expect(reads).toBeGreaterThan(1));
  rerender(<UsageDashboard client={client} now={() => new Date('2026-11-24T12:00:20.000Z')} />);
  expect(screen.getByText('Updated 20 seconds ago')).toBeTruthy();
});

test('what failed is read again once the connection is back', async () => {
  const answers = [() => Promise.reject(failure(0)), async () => restaurant('r1')];
  let calls = 0;
  render(<UsageDashboard client={ownerOf(() => answers[Math.min(calls++, 1)]!())} now={now} />);
  await screen.findByRole('alert');
  window.dispatchEvent(new Event('online'));
  expect(await screen.findByRole('heading', { name: 'Restaurant r1' })).toBeTruthy();
});

describe('an administrator’s place', () => {
  test('is reported at each step, and follows a router that sets it', async () => {
    const user = userEvent.setup();
    const { client, asked } = administrator(45);
    const steps: string[] = [];
    const onPlace = (place: object, change: string) => steps.push(`${change} ${placeToQuery(place)}`);
    const { rerender } = render(<UsageDashboard client={client} now={now} place={{ limit: 10, page: 2 }} onPlace={onPlace} />);
    await screen.findByText('11–20 of 45');
    await user.type(screen.getByRole('searchbox', { name: 'Search restaurants' }), 'rest');
    await waitFor(() => expect(steps).toEqual(['replace search=rest&limit=10']));
    expect(screen.getByText('11–20 of 45')).toBeTruthy(); // only the router changes the place
    rerender(<UsageDashboard client={client} now={now} place={{ search: 'rest', limit: 10 }} onPlace={onPlace} />);
    await screen.findByText('1–10 of 45');
    expect(asked.at(-1)).toMatchObject({ search: 'rest', limit: 10, offset: 0 });
    rerender(<UsageDashboard client={client} now={now} place={{ restaurant: 'r3' }} onPlace={onPlace} />);
    await screen.findByRole('heading', { name: 'Restaurant r3' });
    await user.click(screen.getByRole('button', { name: 'All restaurants' }));
    expect(steps.at(-1)).toBe('push ');
  });

  test('beyond the last page shows the last page', async () => {
    render(<UsageDashboard client={administrator(45).client} now={now} place={undefined} />);
    const user = userEvent.setup();
    const page = await screen.findByRole('spinbutton', { name: 'Page' });
    await user.clear(page);
    await user.type(page, '3{Enter}');
    await screen.findByText('41–45 of 45');
  });
});

test('an administrator’s search asks the API from the second letter on', async () => {
  const user = userEvent.setup();
  const { client, asked } = administrator(45);
  const counting: AdministratorClient = {
    ...client,
    listUsage: async (options = {}) => {
      const page = await client.listUsage(options);
      return options.search ? { ...page, pagination: { ...page.pagination, total: 1000, totalAtLeast: true } } : page;
    },
  };
  render(<UsageDashboard client={counting} now={now} />);
  const box = await screen.findByRole('searchbox', { name: 'Search restaurants' });
  expect(screen.getByRole('option', { name: 'Newest' })).toBeTruthy();
  await user.type(box, 'ب');
  await waitFor(() => expect(asked.length).toBeGreaterThan(1));
  await screen.findByText('1–20 of 45');
  expect(asked.every(({ search }) => search === undefined)).toBe(true);
  await user.type(box, 'َي ');
  await screen.findByText('1–20 of 1,000+');
  expect(asked.at(-1)).toMatchObject({ search: 'بَي' });
  expect(screen.getByRole('option', { name: 'Match' })).toBeTruthy();
});

test('an administrator sees how many are nearing their limit, before looking at them', async () => {
  render(<UsageDashboard client={administrator(3).client} now={now} />);
  expect((await screen.findByText('2', { selector: '.sud-count' })).parentElement!.textContent).toBe('Nearly used up2');
});

test('an administrator sorts all restaurants, and is told if there are too many', async () => {
  const user = userEvent.setup();
  const { client } = administrator(45);
  let total = 45;
  const used = (i: number) => (i * 37) % 45;
  const all = Array.from({ length: 45 }, (_, i) => restaurant(`r${i}`, { conversationsThisMonth: used(i) }));
  const sorting: AdministratorClient = {
    ...client,
    listAllUsage: (options = {}) => new UsagePages(
      async () => ({ data: all, pagination: { total, limit: options.limit ?? 20, offset: 0, hasMore: false } }), {},
    ),
  };
  render(<UsageDashboard client={sorting} now={now} />);
  await user.selectOptions(await screen.findByRole('combobox', { name: 'Sort by' }), 'Use');
  await waitFor(() => expect(screen.getAllByRole('rowheader')[0]!.textContent).toContain(`r${all.findIndex((r) => r.conversationsThisMonth === 44)}`));
  total = 100_000;
  await user.click(screen.getByRole('button', { name: 'Refresh' }));
  expect(await screen.findByText(/^At most 1,000 restaurants can be sorted/)).toBeTruthy();
});

describe('a top-up', () => {
  const openDialog = async (user: ReturnType<typeof userEvent.setup>) =>
    user.click(await screen.findByRole('button', { name: 'Add to allowance: Restaurant r1' }));

  test('from a row names the restaurant, and its limit now and after', async () => {
    const user = userEvent.setup();
    render(<UsageDashboard client={administrator(3).client} now={now} />);
    await openDialog(user);
    const dialog = screen.getByRole('dialog');
    expect(dialog.textContent).toContain('Restaurant r1');
    expect(within(dialog).getByText('Limit now').parentElement!.textContent).toBe('Limit now30,000');
    await user.clear(within(dialog).getByRole('spinbutton'));
    await user.type(within(dialog).getByRole('spinbutton'), '500');
    expect(within(dialog).getByText('Limit after').parentElement!.textContent).toBe('Limit after30,500');
  });

  test('whose answer was lost keeps its key when the dialog is opened again, and a new one has another', async () => {
    const user = userEvent.setup();
    const { client, renewals } = administrator(3);
    render(<UsageDashboard client={client} now={now} />);
    await openDialog(user);
    await user.click(screen.getByRole('button', { name: 'Add' }));
    await screen.findByText(/could not confirm this change/);
    await user.click(screen.getByRole('button', { name: 'Cancel' }));
    await openDialog(user);
    expect(screen.getByText(/could not confirm this change/)).toBeTruthy(); // still unknown
    await user.click(screen.getByRole('button', { name: 'Add' }));
    await user.click(await screen.findByRole('button', { name: 'Done' }));
    await openDialog(user);
    expect(screen.queryByText(/could not confirm this change/)).toBeNull();
    await user.click(screen.getByRole('button', { name: 'Add' }));
    await screen.findByRole('button', { name: 'Done' });
    const keys = renewals.map(({ idempotencyKey }) => idempotencyKey);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
  });

  test('that is cancelled while it runs is called off, and the dialog says that this isn’t certain', async () => {
    const user = userEvent.setup();
    const { client } = administrator(3);
    let signal: AbortSignal | undefined;
    const slow: AdministratorClient = {
      ...client,
      renew: (_, options) => new Promise((_, reject) => {
        signal = options?.signal;
        signal?.addEventListener('abort', () => reject(signal?.reason));
      }),
    };
    render(<UsageDashboard client={slow} now={now} />);
    await openDialog(user);
    await user.click(screen.getByRole('button', { name: 'Add' }));
    await user.click(screen.getByRole('button', { name: 'Cancel' }));
    expect(signal?.aborted).toBe(true);
    expect(await screen.findByText(/could not confirm this change/)).toBeTruthy();
    await user.click(screen.getByRole('button', { name: 'Cancel' }));
    expect(screen.queryByRole('dialog')).toBeNull();
  });

  test.each([
    [409, 'unlimited_allowance', 'This restaurant’s plan has no limit, so there is nothing to add to.'],
    [409, 'limit_below_zero', 'This would take the limit below 0, so nothing was changed.'],
    [422, 'idempotency_key_reused', 'This change was not accepted. Please check the amount and the reason.'],
    [409, 'some_later_reason', 'This change was not accepted. Please check the amount and the reason.'],
    [503, 'unavailable', /could not confirm this change/],
  ])('that the API refuses with %i %s says why', async (status, code, said) => {
    const user = userEvent.setup();
    const { client } = administrator(3);
    const refusing: AdministratorClient = { ...client, renew: async () => { throw new UsageApiError('refused', status, code); } };
    render(<UsageDashboard client={refusing} now={now} />);
    await openDialog(user);
    await user.click(screen.getByRole('button', { name: 'Add' }));
    expect(await screen.findByText(said)).toBeTruthy();
  });

  test('is undone by a correction, whose key follows from it', async () => {
    const user = userEvent.setup();
    const { client, renewals } = administrator(3);
    render(<UsageDashboard client={client} now={now} place={{ restaurant: 'r1' }} />);
    await user.click(await screen.findByRole('button', { name: 'Undo' }));
    const dialog = screen.getByRole('dialog', { name: 'Undo this top-up?' });
    await user.click(within(dialog).getByRole('button', { name: 'Undo' }));
    await waitFor(() => expect(renewals).toHaveLength(1));
    expect(renewals[0]).toMatchObject({ amount: -1000, reason: 'Correction of adj_1', idempotencyKey: 'undo-adj_1' });
  });

  test('that was undone can’t be undone again', async () => {
    const { client } = administrator(3);
    const correction = { id: 'adj_2', amount: -1000, type: 'renewal', reason: 'Correction of adj_1', createdAt: '2026-11-24T11:00:00.000Z', createdBy: 'cr_1' };
    const undone: AdministratorClient = { ...client, details: async (id) => ({ ...detailsOf(id), adjustments: [correction, ...detailsOf(id).adjustments] }) };
    render(<UsageDashboard client={undone} now={now} place={{ restaurant: 'r1' }} />);
    expect(await screen.findByText('Undone')).toBeTruthy();
    expect(screen.getByText('Correction of an earlier top-up')).toBeTruthy(); // without its id, which means nothing to a person
    expect(screen.queryByRole('button', { name: 'Undo' })).toBeNull();
  });
});
