import type { components } from './generated/openapi.js';

/** How much of its allowance one restaurant has used. */
export type RestaurantUsage = components['schemas']['RestaurantUsage'];
/** One page of restaurants' usage. */
export type UsagePage = components['schemas']['UsagePage'];

/**
 * All restaurants that a call of listAllUsage asks for, page by page. Nothing is requested before it is used:
 *
 * - `await pages` is the first page,
 * - `for await (const page of pages)` is one page after the other, each requested when it is its turn,
 * - `for await (const restaurant of pages.restaurants())` is one restaurant after the other.
 *
 * A restaurant that is created meanwhile moves the others by one place, so that one of them may come twice.
 */
export class UsagePages implements Promise<UsagePage>, AsyncIterable<UsagePage> {
  readonly [Symbol.toStringTag] = 'UsagePages';
  readonly #read: (offset: number | undefined) => Promise<UsagePage>;
  readonly #offset: number | undefined;
  #first: Promise<UsagePage> | undefined;

  /** Takes what reads the page at an offset, and the first page's offset. */
  constructor(read: (offset: number | undefined) => Promise<UsagePage>, offset: number | undefined) {
    this.#read = read;
    this.#offset = offset;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<UsagePage, void, undefined> {
    for (let offset = this.#offset; ; ) {
      const page = await this.#read(offset);
      yield page;
      if (!page.pagination.hasMore || page.data.length === 0) return;
      offset = page.pagination.offset + page.data.length;
    }
  }

  /** Returns the restaurants of all pages. */
  async *restaurants(): AsyncGenerator<RestaurantUsage, void, undefined> {
    for await (const page of this) yield* page.data;
  }

  then<A = UsagePage, B = never>(
    onFulfilled?: ((page: UsagePage) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#first ??= this.#read(this.#offset);
    return this.#first.then(onFulfilled, onRejected);
  }

  catch<B = never>(onRejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<UsagePage | B> {
    return this.then(undefined, onRejected);
  }

  finally(onFinally?: (() => void) | null): Promise<UsagePage> {
    return this.then().finally(onFinally);
  }
}
