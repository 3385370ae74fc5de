import type { components } from './generated/openapi.js';

/** How much of its allowance one restaurant has used. */
export type RestaurantUsage = components['schemas']['RestaurantUsage'];
/** One page of restaurants' usage. */
export type UsagePage = components['schemas']['UsagePage'];
/** A restaurant whose allowance is used up to a threshold. */
export type Alert = components['schemas']['Alert'];
/** One page of such restaurants. */
export type AlertPage = components['schemas']['AlertPage'];
/** All such restaurants, page by page. */
export type AlertPages = UsagePages<AlertPage>;

/**
 * All restaurants that a call of listAllUsage or alerts asks for, page by page. Nothing is requested before it is used:
 *
 * - `await pages` is the first page,
 * - `for await (const page of pages)` is one page after the other, each requested when it is its turn,
 * - `for await (const restaurant of pages.restaurants())` is one restaurant after the other.
 *
 * A restaurant that is created meanwhile moves the others by one place, so that one of them may come twice.
 */
export class UsagePages<Page extends UsagePage | AlertPage = UsagePage> implements Promise<Page>, AsyncIterable<Page> {
  readonly [Symbol.toStringTag] = 'UsagePages';
  readonly #read: (offset: number | undefined) => Promise<Page>;
  readonly #offset: number | undefined;
  #first: Promise<Page> | undefined;

  /** Takes what reads the page at an offset, and the first page's offset. */
  constructor(read: (offset: number | undefined) => Promise<Page>, offset: number | undefined) {
    this.#read = read;
    this.#offset = offset;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Page, void, undefined> {
    for (let offset = this.#offset; ; ) {
      const page = await this.#read(offset);
      yield page;
      if (!page.pagination.hasMore || page.data.length === 0) return;
      offset = page.pagination.offset + page.data.length;
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
    this.#first ??= this.#read(this.#offset);
    return this.#first.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<Page | B> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<Page> {
    return this.then().finally(onFinally);
  }
}
