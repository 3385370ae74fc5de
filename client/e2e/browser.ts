import { existsSync } from 'node:fs';
import axe from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';

const executables = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'];
const actionTimeoutMs = 120_000; // for slow machines

/** The stack under test. */
export const baseUrl = process.env['SUFRAH_API'] ?? 'http://localhost:8080';

/** Sets the behaviour of one of the stack's stand-ins. */
export async function behave(standIn: 'store' | 'sufrah' | 'twilio', behavior: object): Promise<void> {
  const response = await fetch(`${baseUrl}/sandbox/${standIn}`, { method: 'PUT', body: JSON.stringify(behavior) });
  expect(response.status).toBe(200);
}

/** The options of opening a page. */
export interface Look {
  view?: 'owner' | 'admin' | 'chat';
  lang?: 'en' | 'ar';
  width?: number;
}

/**
 * Gives the tests of a file a shared browser. open opens the page in a window of its own, which is closed at the end of the
 * test. A test fails if its page logs an error, violates its content security policy, or sends a request to another host.
 */
export function useBrowser(): { open: (look?: Look, before?: (page: Page) => Promise<unknown>) => Promise<Page> } {
  let browser: Browser;
  let contexts: BrowserContext[] = [];
  let faults: string[] = [];

  beforeAll(async () => {
    const executablePath = executables.find((path) => path && existsSync(path));
    if (!executablePath) throw new Error('There is no Chromium: install it, or name it in CHROMIUM.');
    // Chromium's own sandbox doesn't work for root, and CI runs as root.
    browser = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [], timeout: actionTimeoutMs });
  });
  afterAll(() => browser?.close());
  afterEach(async () => {
    await Promise.all(contexts.map((context) => context.close()));
    await Promise.all([behave('store', {}), behave('sufrah', {}), behave('twilio', {})]);
    const found = faults;
    [contexts, faults] = [[], []];
    expect(found).toEqual([]);
  });

  return {
    async open({ view = 'owner', lang = 'en', width = 1440 } = {}, before) {
      const context = await browser.newContext({ viewport: { width, height: width < 1000 ? 844 : 900 }, reducedMotion: 'reduce' });
      contexts.push(context);
      context.setDefaultTimeout(actionTimeoutMs);
      const page = await context.newPage();
      page.on('pageerror', (error) => faults.push(error.message));
      page.on('console', (message) => {
        // Chromium logs every failing answer. Tests that cause failures check what the page shows.
        if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text());
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(`${baseUrl}/`)) faults.push(`asks for ${request.url()}`);
      });
      await before?.(page);
      await page.goto(`${baseUrl}/?${new URLSearchParams({ view, lang })}`);
      return page;
    },
  };
}

/** Expects that axe finds no fault, by the given rules or by all of them, and that nothing is wider than the window. */
export async function expectAccessible(page: Page, rules: string[] = []): Promise<void> {
  await page.evaluate(axe.source);
  const violations = await page.evaluate(async (rules) => {
    const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
    const { violations } = await axe.run(rules.length > 0 ? { runOnly: rules } : {});
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join('\n')}`);
  }, rules);
  expect(violations).toEqual([]);
  const { scrollWidth, clientWidth } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return { scrollWidth, clientWidth };
  });
  expect(scrollWidth).toBeLessThanOrEqual(clientWidth);
}
