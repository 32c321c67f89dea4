import { expect, it } from 'vitest';
import { country } from '../format';
import { size, tiles } from './grid';

it('has each country once, and only countries that have a name', () => {
  expect(new Set(tiles.map((tile) => tile.code)).size).toBe(tiles.length);
  expect(tiles.filter((tile) => country(tile.code) === tile.code)).toEqual([]);
  expect(tiles.length).toBeGreaterThan(200);
});

it('has no two countries in one place, and all of them on the grid', () => {
  expect(new Set(tiles.map(({ x, y }) => `${x} ${y}`)).size).toBe(tiles.length);
  expect(tiles.every(({ x, y }) => x < size.columns && y < size.rows)).toBe(true);
});
