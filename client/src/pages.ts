import { UsageApiError } from './errors.js';
import type { AlertPage, UsagePage } from './schemas.js';

/** All restaurants above a threshold of their allowance, page by page. */
export type AlertPages = UsagePages<AlertPage>;

/** The page to read: at a cursor, or at an offset. */
export interface PageAt {
  offset?: number | undefined;
  cursor?: string | undefined;
}

/**
 * All restaurants that a call of listAllUsage or alerts asks for, page by page. Nothing is requested before it is used:
 *
 * - `await pages` is the first page,
 * - `for await (const page of pages)` is one page after the other, each requested when it is its turn,
 * - `for await (const restaurant of pages.restaurants())` is one restaurant after the other.
 *
 * Pages follow one another by the cursor that each names, so that nothing is skipped or comes twice where restaurants come or
 * are switched meanwhile. An API that names none is paged by offset, which promises neither.
 */
export class UsagePages<Page extends UsagePage | AlertPage = UsagePage> implements Promise<Page>, AsyncIterable<Page> {
  readonly [Symbol.toStringTag] = 'UsagePages';
  readonly #read: (at: PageAt) => Promise<Page>;
  readonly #start: PageAt;
  #first: Promise<Page> | undefined;

  /** read reads a page; start is the first page. */
  constructor(read: (at: PageAt) => Promise<Page>, start: PageAt) {
    this.#read = read;
    this.#start = start;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Page, void, undefined> {
    for (let at = this.#start; ;) {
      const page = await this.#read(at);
      yield page;
      const next = following(page);
      if (!next) return;
      if (next.cursor !== undefined ? next.cursor === at.cursor : next.offset === at.offset) {
        throw new UsageApiError('The usage API named a page as the one that follows it.', 200, 'invalid_response');
      }
      at = next;
    }
  }

  /** Returns the restaurants of all pages. */
  async *restaurants(): AsyncGenerator<Page['data'][number], void, undefined> {
    for await (const page of this) yield* page.data as Page['data'][number][];
  }

  then<A = Page, B = never>(
    onFulfilled?: ((page: Page) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#first ??= this.#read(this.#start);
    return this.#first.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<Page | B> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<Page> {
    return this.then().finally(onFinally);
  }
}

/**
 * Returns the place of the next page, or undefined after the last. A page may be empty without being the last: its
 * restaurants may have been switched off since they were counted.
 */
function following({ data, pagination: { nextCursor, hasMore, offset, limit, total } }: UsagePage | AlertPage): PageAt | undefined {
  if (nextCursor !== undefined) return { cursor: nextCursor };
  if (!hasMore) return undefined;
  const next = offset + (data.length || limit);
  return data.length > 0 || next < total ? { offset: next } : undefined;
}
