import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { describe, test } from 'vitest';
import { sentMessages } from '../test/fixtures.js';
import { behave, expectAccessible, type Look as Opened, useBrowser } from './browser.js';

// Every state of the page, in both languages, both themes and at two widths, must be accessible. A picture is taken of each,
// for people to look at.
const pictures = fileURLToPath(new URL('../../.cache/screenshots', import.meta.url));
mkdirSync(pictures, { recursive: true });

/** A state of the page: its address, and the steps that lead to it. */
interface State {
  view: NonNullable<Opened['view']>;
  before?: (page: Page) => Promise<unknown>;
  until: (page: Page) => Promise<void>;
  /** The looks in which the state is shown. Default: all. */
  looks?: (look: Look) => boolean;
}

/** Opens the dialog that adds to a restaurant's allowance. */
async function openRenewal(page: Page): Promise<void> {
  await page.locator('[data-restaurant="demo-143"]').click();
  await page.locator('.sud-actions [aria-haspopup="dialog"]').click();
  await page.locator('.sud-dialog').waitFor();
}

/** Answers requests for details with sent messages and their cost. */
const withMessages = (page: Page) => page.route('**/details', async (route) => {
  const response = await route.fetch();
  await route.fulfill({ response, json: { ...await response.json() as object, sentMessages } });
});

/** A look, with the rules that axe checks in it. An empty list means all rules. */
interface Look {
  width: number;
  theme: string;
  rules: string[];
}
const isPlain = ({ width, theme }: Look) => width === 1440 && theme === 'light';
const isChecked = ({ rules }: Look) => rules.length === 0; // by all rules

const states: Record<string, State> = {
  owner: {
    view: 'owner',
    until: (page) => page.locator('.sud-history .sud-chart').waitFor(),
  },
  'history as a table': {
    view: 'owner',
    until: async (page) => {
      await page.locator('.sud-history summary').click();
      await page.locator('.sud-history .sud-plain-table').waitFor();
    },
  },
  list: {
    view: 'admin',
    until: (page) => page.locator('.sud-table').waitFor(),
  },
  restaurant: {
    view: 'admin',
    until: async (page) => {
      await page.locator('[data-restaurant="demo-144"]').click();
      await page.locator('.sud-history .sud-chart').waitFor();
    },
  },
  unlimited: {
    view: 'admin',
    until: async (page) => {
      await page.locator('[data-restaurant="demo-unlimited"]').click();
      await page.locator('.sud-history .sud-chart').waitFor();
    },
  },
  'days as a table': {
    view: 'owner',
    until: async (page) => {
      await page.locator('.sud-chart-days').waitFor();
      await page.locator('.sud-details summary').nth(1).click();
    },
  },
  'messages sent': {
    view: 'owner',
    before: withMessages,
    until: (page) => page.locator('.sud-sent').waitFor(),
  },
  'messages by day, with no cost': {
    view: 'admin',
    before: (page) => page.route('**/details', async (route) => {
      const { cost: _, ...unpriced } = sentMessages;
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...await response.json() as object, sentMessages: unpriced } });
    }),
    until: async (page) => {
      await page.locator('[data-restaurant="demo-144"]').click();
      await page.locator('.sud-sent summary').click();
      await page.locator('.sud-sent details .sud-counts').waitFor();
    },
  },
  alerts: {
    view: 'admin',
    until: async (page) => {
      await page.locator('.sud-segments input').nth(3).check();
      await page.locator('[data-restaurant="demo-001"]').waitFor();
    },
  },
  renewal: { view: 'admin', until: openRenewal },
  'renewal done': {
    view: 'admin',
    until: async (page) => {
      await openRenewal(page);
      await page.locator('.sud-dialog [name="reason"]').fill('Ramadan');
      await page.locator('.sud-dialog [type="submit"]').click();
      await page.locator('.sud-dialog [role="status"]').waitFor();
    },
  },
  renewed: {
    view: 'admin',
    until: async (page) => {
      await openRenewal(page);
      await page.locator('.sud-dialog [type="submit"]').click();
      await page.locator('.sud-dialog [role="status"]').waitFor();
      await page.locator('.sud-dialog button').click();
      await page.locator('.sud-adjustments li').first().waitFor();
    },
  },
  'renewal failed': {
    view: 'admin',
    before: (page) => page.route('**/renew', (route) => route.fulfill({ status: 500, json: { error: 'x', code: 'internal_error' } })),
    until: async (page) => {
      await openRenewal(page);
      await page.locator('.sud-dialog [type="submit"]').click();
      await page.locator('.sud-dialog [role="alert"]').waitFor();
    },
  },
  'never used': {
    view: 'admin',
    until: async (page) => {
      await page.locator('[data-restaurant="demo-never"]').click();
      await page.locator('.sud-history').waitFor();
    },
  },
  'nothing found': {
    view: 'admin',
    before: (page) => page.route('**/api/usage?*', (route) => route.fulfill({
      json: { data: [], pagination: { total: 0, limit: 20, offset: 0, hasMore: false } },
    })),
    until: (page) => page.locator('.sud-empty').waitFor(),
  },
  'nearly used up': {
    view: 'owner',
    before: (page) => page.route('**/api/usage', async (route) => {
      const response = await route.fetch();
      const usage = await response.json() as { allowance: object };
      Object.assign(usage.allowance, { dailyRemaining: 0, monthlyRemaining: 1_500 });
      Object.assign(usage, { usagePercent: 95, isNearingQuota: true });
      await route.fulfill({ response, json: usage });
    }),
    until: (page) => page.locator('.sud-history .sud-chart').waitFor(),
  },
  loading: {
    view: 'owner',
    before: (page) => page.route('**/api/usage', () => new Promise(() => {})),
    until: (page) => page.locator('.sud-skeleton').waitFor(),
  },
  'loading the list': {
    view: 'admin',
    before: (page) => page.route('**/api/usage?*', () => new Promise(() => {})),
    until: (page) => page.locator('.sud-skeleton').waitFor(),
  },
  failed: {
    view: 'owner',
    before: () => behave('store', { failRate: 1, status: 500 }),
    until: (page) => page.locator('.sud-notice').waitFor(),
  },
  'not refreshed': {
    view: 'owner',
    until: async (page) => {
      await page.locator('.sud-history .sud-chart').waitFor();
      await behave('store', { failRate: 1, status: 500 });
      await page.locator('.sud-refresh button').click();
      await page.locator('.sud-notice').waitFor();
    },
  },
  'more than allowed': {
    view: 'owner',
    before: (page) => page.route('**/api/usage', async (route) => {
      const response = await route.fetch();
      const usage = await response.json() as { allowance: object };
      Object.assign(usage.allowance, { dailyLimit: 10, dailyRemaining: 0, monthlyLimit: 300, monthlyRemaining: 0 });
      Object.assign(usage, { adjustedBy: 100, conversationsToday: 11, conversationsThisMonth: 410, usagePercent: 100, isNearingQuota: true, hasAccess: false });
      await route.fulfill({ response, json: usage });
    }),
    until: (page) => page.locator('.sud-history .sud-chart').waitFor(),
  },
  'long names': {
    view: 'admin',
    looks: isChecked,
    before: (page) => page.route('**/api/usage?*', async (route) => {
      const response = await route.fetch();
      const list = await response.json() as { data: { restaurantName: string }[] };
      list.data.forEach((usage, i) => { usage.restaurantName = (i % 2 ? 'ق' : 'W').repeat(60); });
      await route.fulfill({ response, json: list });
    }),
    until: (page) => page.locator('.sud-table').waitFor(),
  },
  offline: {
    view: 'admin',
    looks: isChecked,
    until: async (page) => {
      await page.locator('.sud-table').waitFor();
      await page.context().setOffline(true);
      await page.locator('.sud-segments input').nth(2).check();
      await page.locator('.sud-notice').waitFor();
    },
  },
  'forced colours': {
    view: 'owner',
    looks: isPlain, // it has no colours of the theme
    before: async (page) => {
      await withMessages(page);
      await page.emulateMedia({ forcedColors: 'active' });
    },
    until: (page) => page.locator('.sud-sent').waitFor(),
  },
  print: {
    view: 'owner',
    looks: isPlain,
    before: withMessages,
    until: async (page) => {
      await page.locator('.sud-sent').waitFor();
      await page.emulateMedia({ media: 'print' });
    },
  },
  'large text': {
    view: 'owner',
    looks: isChecked,
    before: withMessages,
    until: async (page) => {
      await page.locator('.sud-sent').waitFor();
      await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
    },
  },
  'large text in the list': {
    view: 'admin',
    looks: isChecked,
    until: async (page) => {
      await page.locator('.sud-table').waitFor();
      await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
    },
  },
  chat: {
    view: 'chat',
    until: async (page) => {
      await page.locator('.phone-suggestions button').first().click();
      await page.locator('.phone-buttons').waitFor();
      await page.locator('.phone-chip').waitFor();
      await page.locator('.phone-buttons button').first().click();
      await page.locator('[data-kind="received"]').nth(1).waitFor();
    },
  },
};

// The layout depends on the width, and the colours on the theme, so it is enough to check all rules in two of the four.
const looks: Look[] = [
  { width: 1440, theme: 'light', rules: [] }, { width: 1440, theme: 'dark', rules: ['color-contrast'] },
  { width: 390, theme: 'dark', rules: [] }, { width: 390, theme: 'light', rules: ['color-contrast'] },
];

const structure = ['aria-required-children', 'button-name', 'label', 'region', 'heading-order', 'list'];

const { open } = useBrowser();

describe.each(['en', 'ar'] as const)('%s', (lang) => {
  test.each(Object.entries(states))('%s', async (name, { view, before, until, looks: chosen = () => true }) => {
    const page = await open({ lang, view }, before);
    await until(page);
    for (const { width, theme, rules } of looks.filter(chosen)) {
      await page.setViewportSize({ width, height: width < 1000 ? 844 : 900 });
      await page.locator('.page-looks select').selectOption(theme);
      // With forced colours, axe would check the style's own colours, which aren't shown.
      await expectAccessible(page, name === 'forced colours' ? structure : rules);
      await page.screenshot({ path: `${pictures}/${width}-${lang}-${theme}-${name.replaceAll(/,? /g, '-')}.png`, fullPage: true });
    }
  });
});
