import { useCallback, useEffect, useState } from 'react';

/** The order of a list of restaurants. */
export type Sort = 'newest' | 'name' | 'use' | 'activity';

/** An administrator's place in the dashboard. */
export interface Place {
  search: string;
  filter: 'all' | 'active' | 'inactive' | 'nearing';
  /** For the restaurants near their limit: the least used share that is listed. */
  threshold: number;
  sort: Sort;
  /** Restaurants on a page. */
  limit: number;
  /** The page, counted from 1. */
  page: number;
  /** The id of the open restaurant, if any. */
  restaurant: string | undefined;
}

/** Whether a place is a new step of the browser's history, or changes the current step, as while somebody types. */
export type PlaceChange = 'push' | 'replace';

export const pageSizes = [10, 20, 50, 100];
export const thresholds = [0.5, 0.8, 0.9, 1];
export const filters = ['all', 'active', 'inactive', 'nearing'] as const;
export const sorts = ['newest', 'name', 'use', 'activity'] as const;

const start: Place = { search: '', filter: 'all', threshold: 0.9, sort: 'newest', limit: 20, page: 1, restaurant: undefined };

/** Returns a place with all its parts. */
export const placeOf = (place: Partial<Place> | undefined): Place => ({
  ...start, ...Object.fromEntries(Object.entries(place ?? {}).filter(([, value]) => value !== undefined)),
});

/** Returns the place in the query of an address. Missing and invalid parts have their initial values. */
export function placeFromQuery(query: URLSearchParams): Place {
  const one = <T extends string | number>(name: string, choices: readonly T[], fallback: T): T =>
    choices.find((choice) => String(choice) === query.get(name)) ?? fallback;
  const page = Number(query.get('page') ?? 1);
  return {
    search: query.get('search') ?? '',
    filter: one('filter', filters, start.filter),
    threshold: one('threshold', thresholds, start.threshold),
    sort: one('sort', sorts, start.sort),
    limit: one('limit', pageSizes, start.limit),
    page: Number.isSafeInteger(page) && page >= 1 ? page : 1,
    restaurant: query.get('restaurant') || undefined,
  };
}

/** Writes the place's differences from the initial place into a query, and leaves its other parameters alone. */
export function placeToQuery(place: Partial<Place>, query: URLSearchParams = new URLSearchParams()): URLSearchParams {
  const written = new URLSearchParams(query);
  for (const [name, value] of Object.entries(placeOf(place))) {
    if (value === undefined || value === '' || value === start[name as keyof Place]) written.delete(name);
    else written.set(name, String(value));
  }
  return written;
}

/**
 * Keeps the place in the page's address, for pages without a router: back, forward and reload restore it. On a server, and in
 * the browser's first rendering, the place is the initial one.
 */
export function usePlaceInAddress(): { place: Place; onPlace: (place: Place, change: PlaceChange) => void } {
  const [place, setPlace] = useState(start);
  useEffect(() => {
    const read = () => setPlace(placeFromQuery(new URLSearchParams(location.search)));
    read();
    addEventListener('popstate', read);
    return () => removeEventListener('popstate', read);
  }, []);
  const onPlace = useCallback((next: Place, change: PlaceChange) => {
    const query = placeToQuery(next, new URLSearchParams(location.search)).toString();
    const address = location.pathname + (query && `?${query}`) + location.hash;
    if (change === 'push') history.pushState(history.state, '', address);
    else history.replaceState(history.state, '', address);
    setPlace(next);
  }, []);
  return { place, onPlace };
}
