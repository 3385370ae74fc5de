import { readFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import type { RestaurantDetails, SentMessages } from '../src/index.js';
import { baseUrl, behave, expectAccessible, useBrowser } from './browser.js';

const { open } = useBrowser();

const example = 'clxyz123abc';

/** Returns the number of the example restaurant's conversations, from the API. */
async function conversations(): Promise<number> {
  const response = await fetch(`${baseUrl}/api/usage/${example}`, { headers: { 'X-API-Key': 'local-admin-key' } });
  return ((await response.json()) as { conversationsThisMonth: number }).conversationsThisMonth;
}

/** Returns the figures of the example restaurant's sent messages, from the API. */
async function sentMessages(): Promise<SentMessages> {
  const response = await fetch(`${baseUrl}/api/usage/${example}/details`, { headers: { 'X-API-Key': 'local-admin-key' } });
  return ((await response.json()) as RestaurantDetails).sentMessages;
}

/** Returns the page's large figure. */
const figure = (page: Page) => page.locator('.sud-figure-main');

/** Waits until a locator has the wanted text. */
const shows = (page: Page, selector: string, wanted: string) =>
  page.locator(selector).filter({ hasText: new RegExp(`^${wanted}$`) }).first().waitFor();

test('an owner sees the restaurant', async () => {
  const page = await open();
  await page.getByRole('heading', { name: 'Example Restaurant' }).waitFor();
  await page.getByRole('img', { name: /^Bar chart of conversations .*: 123/ }).waitFor();
  expect(await figure(page).innerText()).toBe(String(await conversations()));
  expect(await page.getByRole('meter', { name: 'This month’s allowance' }).getAttribute('aria-valuemax')).toBe('30000');
});

test('a history’s bars are as high as its months', async () => {
  const page = await open({ view: 'admin' });
  await page.locator('[data-restaurant="demo-144"]').click();
  await page.locator('.sud-history .sud-chart').waitFor();
  const months = await page.locator('.sud-history .sud-chart-month').evaluateAll((all) => all.map((month) => ({
    count: Number(month.querySelector('.sud-chart-value')!.textContent),
    height: month.querySelector('.sud-chart-bar')!.getBoundingClientRect().height,
  })));
  const highest = months.reduce((a, b) => (a.count > b.count ? a : b));
  for (const { count, height } of months) expect(height / highest.height).toBeCloseTo(count / highest.count, 1);
  expect(highest.height).toBeGreaterThan(100);
});

test('an administrator goes through all restaurants, page by page', async () => {
  const page = await open({ view: 'admin' });
  const seen = new Set<string>();
  for (let from = 1; ; from += 20) {
    await shows(page, '.sud-range', `${from}–${Math.min(from + 19, 150)} of 150`);
    for (const id of await page.locator('.sud-cell-name .sud-id').allInnerTexts()) seen.add(id);
    const next = page.getByRole('button', { name: 'Next' });
    if (await next.getAttribute('aria-disabled') === 'true') break;
    await next.click();
  }
  expect(seen.size).toBe(150);
});

test('an administrator works with the keyboard alone', async () => {
  const page = await open({ view: 'admin' });
  await page.getByRole('table').waitFor();
  await page.getByRole('radio', { name: 'All' }).focus();
  await page.keyboard.press('ArrowRight');
  await shows(page, '.sud-range', '1–20 of 149');
  await page.keyboard.press('ArrowRight');
  await shows(page, '.sud-range', '1–1 of 1');
  await page.getByRole('button', { name: 'Save as CSV' }).focus();
  await page.keyboard.press('Tab');
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('مطعم مغلق');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'مطعم مغلق' }).waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter'); // back
  await page.getByRole('table').waitFor();
  await page.waitForFunction(() => document.activeElement?.textContent === 'مطعم مغلق');
});

test('an administrator finds who has nearly used up the allowance, and adds to it with the keyboard alone', async () => {
  const page = await open({ view: 'admin' });
  await page.getByRole('radio', { name: 'Nearly used up' }).check();
  await page.getByRole('table', { name: 'Nearly used up' }).waitFor();
  await page.getByRole('combobox', { name: 'Used at least' }).selectOption('100%');
  await shows(page, '.sud-range', '1–1 of 1');
  const name = await page.locator('[data-restaurant="demo-002"]').innerText();
  await page.locator('[data-restaurant="demo-002"]').press('Enter');
  await page.getByRole('heading', { name }).waitFor();

  const add = page.getByRole('button', { name: 'Add to allowance', exact: true });
  await add.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Add to this month’s allowance' });
  await dialog.getByRole('spinbutton', { name: 'Conversations' }).fill('0');
  await page.keyboard.press('Enter'); // an invalid amount, which the browser refuses
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await add.evaluate((button) => button === document.activeElement)).toBe(true);

  await page.keyboard.press('Enter');
  await dialog.getByRole('spinbutton', { name: 'Conversations' }).fill('500');
  await dialog.getByRole('textbox', { name: 'Reason (optional)' }).fill('Ramadan');
  await page.keyboard.press('Enter');
  await dialog.getByRole('status').waitFor();
  await page.keyboard.press('Enter'); // done
  await page.locator('.sud-adjustments').getByText('+500').waitFor();
  await page.locator('.sud-adjustments').getByText('Ramadan').waitFor();
  await page.getByRole('button', { name: 'All restaurants' }).click();
  await page.getByText('No restaurant has used that much of its allowance.').waitFor();
});

test('a renewal whose answer is lost is added once', async () => {
  const keys: (string | null)[] = [];
  const page = await open({ view: 'admin' }, (page) => page.route('**/renew', async (route) => {
    keys.push(await route.request().headerValue('Idempotency-Key'));
    if (keys.length > 1) return route.continue();
    await route.fetch(); // the API carries it out, but its answer is lost
    return route.abort();
  }));
  await page.locator('[data-restaurant="demo-142"]').click();
  await page.getByRole('button', { name: 'Add to allowance', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('spinbutton', { name: 'Conversations' }).fill('700');
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await dialog.getByRole('alert').waitFor();
  await dialog.getByRole('button', { name: 'Add', exact: true }).click();
  await dialog.getByRole('button', { name: 'Done' }).click();
  await page.locator('.sud-adjustments').getByText('+700').waitFor();
  expect(await page.locator('.sud-adjustments').getByText('+700').count()).toBe(1);
  expect(keys[1]).toBe(keys[0]);
});

test('an owner’s days are as high as their conversations, and say the same as the table', async () => {
  const page = await open();
  await page.locator('.sud-chart-days').waitFor();
  const heights = await page.locator('.sud-chart-days .sud-chart-bar').evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect().height));
  const table = page.getByRole('table', { name: 'Conversations by day', includeHidden: true });
  const counts = await table.locator('tbody tr td:nth-child(2)').evaluateAll((all) => all.map((cell) => Number(cell.textContent)));
  expect(counts.length).toBe(heights.length);
  const [most, highest] = [Math.max(...counts), Math.max(...heights)];
  expect(highest).toBeGreaterThan(50);
  counts.forEach((count, i) => expect(heights[i]! / highest).toBeCloseTo(count / most, 1));
});

test('everything turns with the language, and the address keeps it', async () => {
  const page = await open({ view: 'admin' });
  await page.getByRole('table').waitFor();
  await page.getByRole('button', { name: 'العربية' }).click();
  await page.getByRole('heading', { name: 'المطاعم' }).waitFor();
  await shows(page, '.sud-range', '1–20 من 150');
  expect(await page.evaluate(() => [document.documentElement.dir, document.documentElement.lang])).toEqual(['rtl', 'ar']);
  const [name, status] = await Promise.all([
    page.locator('thead th').first().boundingBox(), page.locator('thead th').last().boundingBox(),
  ]);
  expect(name!.x).toBeGreaterThan(status!.x);
  await page.reload();
  await page.getByRole('heading', { name: 'المطاعم' }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: 'Restaurants' }).waitFor();
  expect(await page.evaluate(() => document.documentElement.dir)).toBe('ltr');
});

test('the theme is the system’s until one is chosen', async () => {
  const page = await open({}, (page) => page.emulateMedia({ colorScheme: 'dark' }));
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  await page.getByRole('combobox', { name: 'Theme' }).selectOption('dark');
  const dark = await background();
  await page.getByRole('combobox', { name: 'Theme' }).selectOption('auto');
  expect(await background()).toBe(dark);
  await page.getByRole('combobox', { name: 'Theme' }).selectOption('light');
  expect(await background()).not.toBe(dark);
});

test('what fails can be tried again', async () => {
  await behave('store', { failRate: 1, status: 503 });
  const page = await open({ view: 'admin' });
  await page.getByRole('alert').filter({ hasText: 'Not available right now' }).waitFor(); // after the client's last retry
  await behave('store', {});
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('table').waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);

  await behave('store', { failRate: 1, status: 500 });
  await page.getByRole('button', { name: 'Refresh' }).click();
  await page.getByRole('alert').filter({ hasText: 'Could not refresh' }).waitFor();
  expect(await page.getByRole('row').count()).toBe(21); // the figures are still there
  await behave('store', {});
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByRole('alert').waitFor({ state: 'detached' });
});

test('a new customer’s message is welcomed and counted, and the menu follows', async () => {
  const page = await open();
  await figure(page).waitFor();
  const before = await conversations();
  await shows(page, '.sud-figure-main', String(before));

  await page.getByRole('textbox', { name: 'Message' }).fill('hello');
  await page.keyboard.press('Enter');
  const received = page.locator('[data-kind="received"]');
  await received.filter({ hasText: 'Hello Noura, welcome to Example Restaurant!' }).filter({ hasText: /after [\d.,]+ ms/ }).waitFor();
  await page.getByText(/^Menu fetched in the background in/).waitFor();
  await shows(page, '.sud-figure-main', String(before + 1));

  await page.getByRole('button', { name: 'القائمة · Menu' }).click();
  await received.filter({ hasText: /مشويات/ }).waitFor();
  await received.last().getByText('عرض القائمة').click();
  await expectAccessible(page);
  await page.getByRole('button', { name: /^مشويات/ }).click(); // tapping a row shows its dishes
  await received.nth(2).getByText('عرض الأصناف').click();
  await received.nth(2).getByRole('button', { name: /^المزيد/ }).click(); // the next page
  await received.nth(3).getByText('عرض الأصناف').click();
  await received.nth(3).getByRole('button', { name: /^Soft drink/ }).waitFor();
  await page.getByRole('textbox', { name: 'Message' }).fill('branches');
  await page.getByRole('button', { name: 'Send' }).click();
  await received.nth(4).getByText('See the branches').click();
  await received.nth(4).getByRole('button', { name: /^Olaya branch/ }).click();
  await received.nth(5).filter({ hasText: 'https://maps.google.com/?q=24.6949,46.6853' }).waitFor();
  expect(await conversations()).toBe(before + 1); // in the same session
  await expectAccessible(page);

  await page.getByRole('button', { name: 'New customer' }).click();
  expect(await received.count()).toBe(0);
  await page.getByRole('group', { name: 'Suggestions' }).getByRole('button', { name: 'Hello' }).click();
  await received.waitFor();
  await shows(page, '.sud-figure-main', String(before + 2));
});

test('the messages that were sent are shown with what became of them, as the API says', async () => {
  const page = await open();
  const section = page.getByRole('region', { name: 'Messages sent' });
  await section.waitFor();
  const before = (await sentMessages()).byKind.welcome ?? { sent: 0, delivered: 0, read: 0, failed: 0 };

  await page.getByRole('textbox', { name: 'Message' }).fill('hello');
  await page.keyboard.press('Enter');
  await expect.poll(async () => (await sentMessages()).byKind.welcome?.delivered, { timeout: 120_000 }).toBe(before.delivered + 1);
  await expect.poll(async () => (await sentMessages()).byKind.welcome?.read, { timeout: 120_000 }).toBe(before.read + 1);
  await page.getByRole('button', { name: 'Refresh' }).click();
  const counts = [before.sent + 1, before.delivered + 1, before.read + 1, before.failed];
  await section.getByRole('row', { name: ['Welcomes', ...counts].join(' '), exact: true }).waitFor();
  await expectAccessible(page);
});

test('a chat stays at its end when the phone gets smaller', async () => {
  const page = await open({ view: 'chat', width: 390 });
  for (const [n, words] of ['Hello', 'Menu', 'Branches'].entries()) {
    await page.getByRole('group', { name: 'Suggestions' }).getByRole('button', { name: words }).click();
    await page.locator('[data-kind="received"]').nth(n).waitFor();
  }
  await page.setViewportSize({ width: 390, height: 560 }); // as if the keyboard were open
  await page.waitForFunction(() => {
    const { scrollTop, clientHeight, scrollHeight } = document.querySelector('.phone-log')!;
    return scrollHeight > clientHeight && Math.abs(scrollTop + clientHeight - scrollHeight) < 2;
  });
});

test('a message that the service can’t take is shown as refused', async () => {
  await behave('store', { failRate: 1, status: 500 });
  const page = await open({ view: 'chat', width: 390 });
  await page.getByRole('button', { name: 'Menu' }).click();
  await page.getByText(/^refused with 5\d\d$/).waitFor();
});

test('the menu service can be made slow', async () => {
  const page = await open();
  await page.getByRole('checkbox', { name: /^Slow menu service/ }).check();
  await page.waitForFunction(async () => ((await (await fetch('/sandbox/sufrah')).json()) as { latencyMs: number }).latencyMs === 2000);
  await page.reload();
  await page.getByRole('checkbox', { name: /^Slow menu service/, checked: true }).uncheck();
  await page.waitForFunction(async () => ((await (await fetch('/sandbox/sufrah')).json()) as { latencyMs: number }).latencyMs === 0);
});

test('back, forward and reload come to where the administrator was', async () => {
  const page = await open({ view: 'admin' });
  await shows(page, '.sud-range', '1–20 of 150');
  await page.getByRole('button', { name: 'Next' }).click();
  await shows(page, '.sud-range', '21–40 of 150');
  const opened = page.locator('[data-restaurant]').nth(4);
  const name = await opened.innerText();
  await opened.click();
  await page.getByRole('heading', { name, exact: true }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name, exact: true }).waitFor();
  await page.goBack();
  await shows(page, '.sud-range', '21–40 of 150');
  await page.waitForFunction((name) => document.activeElement?.textContent === name, name);
  await page.goBack();
  await shows(page, '.sud-range', '1–20 of 150');
  await page.goForward();
  await page.goForward();
  await page.getByRole('heading', { name, exact: true }).waitFor();
});

test('a page that is turned on a phone begins at the list’s top', async () => {
  const page = await open({ view: 'admin', width: 390 });
  await shows(page, '.sud-range', '1–20 of 150');
  await page.getByRole('button', { name: 'Next' }).scrollIntoViewIfNeeded();
  await page.getByRole('button', { name: 'Next' }).click();
  await shows(page, '.sud-range', '21–40 of 150');
  await page.waitForFunction(() => Math.abs(document.querySelector('.sud-view')!.getBoundingClientRect().top) < 120);
});

test('what is shown can be saved as CSV', async () => {
  const page = await open({ view: 'admin' });
  await shows(page, '.sud-range', '1–20 of 150');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save as CSV' }).click()]);
  const lines = readFileSync(await download.path(), 'utf8').trim().split('\r\n');
  expect(lines).toHaveLength(21);
  expect(lines.some((line) => line.startsWith(`Example Restaurant,${example},Active,`))).toBe(true);
});

test('an administrator who goes offline and comes back sees the figures again', async () => {
  const page = await open({ view: 'admin' });
  await page.getByRole('table').waitFor();
  await page.context().setOffline(true);
  await page.getByRole('radio', { name: 'Switched off' }).check();
  await page.getByRole('alert').filter({ hasText: 'No connection' }).waitFor();
  await page.context().setOffline(false);
  await shows(page, '.sud-range', '1–1 of 1');
});

test('an administrator finds restaurants by typing, in any spelling, and the address keeps it', async () => {
  const page = await open({ view: 'admin' });
  await shows(page, '.sud-range', '1–20 of 150');
  const box = page.getByRole('searchbox', { name: 'Search restaurants' });
  const names = () => page.locator('[data-restaurant]').allInnerTexts();
  await box.pressSequentially('الرِّيَاض');
  await shows(page, '.sud-range', '1–20 of 21');
  await page.getByRole('button', { name: 'Next' }).click();
  await shows(page, '.sud-range', '21–21 of 21');
  await page.reload();
  await shows(page, '.sud-range', '21–21 of 21');
  expect(await box.inputValue()).toBe('الرِّيَاض');
  for (const name of await names()) expect(name).toMatch(/^مشويات الرياض \d+$/);

  await box.fill('NAJD kit');
  await shows(page, '.sud-range', '1–20 of 21');
  await page.getByRole('combobox', { name: 'Sort by' }).selectOption('Name');
  await page.locator('[data-restaurant="demo-002"]').waitFor();
  await page.waitForFunction(() => document.querySelector('[data-restaurant]')?.textContent === 'Najd Kitchen 2');
  expect((await names()).slice(0, 4)).toEqual(['Najd Kitchen 2', 'Najd Kitchen 9', 'Najd Kitchen 16', 'Najd Kitchen 23']);
  await box.fill('najd 2');
  await shows(page, '.sud-range', '1–2 of 2');
  await box.fill('demo-14');
  await shows(page, '.sud-range', '1–6 of 6'); // found by their ids
  await box.fill('مغلق');
  await shows(page, '.sud-range', '1–1 of 1');
  await page.getByRole('radio', { name: 'Active' }).check();
  await shows(page, '.sud-range', 'No restaurants found');
  await box.fill('');
  await shows(page, '.sud-range', '1–20 of 149');
});
