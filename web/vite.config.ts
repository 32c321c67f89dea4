import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { contract } from './dev/contract.ts';

export default defineConfig({
  base: '/static/',
  plugins: [svelte(), contract()],
  build: {
    outDir: '../src/tenfold/static',
    emptyOutDir: true,
    target: 'es2022',
    // light-dark() and nesting stay as written: every browser since the spring of 2024 knows them.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
  },
  test: { include: ['src/**/*.test.ts'] },
});
