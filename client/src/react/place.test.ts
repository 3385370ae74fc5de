import { expect, test } from 'vitest';
import { type Place, placeFromQuery, placeOf, placeToQuery } from './place.js';

test.each<Partial<Place>>([
  {}, { search: 'كبسة & more', page: 3 }, { filter: 'nearing', threshold: 0.5 }, { sort: 'use', limit: 100 }, { restaurant: 'a/b?c' },
])('%j is found again in an address, beside what else is there', (place) => {
  const query = placeToQuery(place, new URLSearchParams('lang=ar&page=9'));
  expect(query.get('lang')).toBe('ar');
  expect(placeFromQuery(query)).toEqual(placeOf(place));
});

test('the start has an empty address', () => {
  expect(placeToQuery({}).toString()).toBe('');
});

test.each(['page=0', 'page=-1', 'page=x', 'limit=7', 'sort=up', 'filter=none', 'threshold=2', 'restaurant='])('%s is shown like the start', (query) => {
  expect(placeFromQuery(new URLSearchParams(query))).toEqual(placeOf({}));
});
