import { svelte } from '@sveltejs/vite-plugin-svelte';
import { readFileSync } from 'node:fs';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { contract } from './dev/contract.ts';

const FONTS = ['archivo', 'martian-mono'];

/** Fetches the two Latin fonts with the page instead of after its styles, and puts the fonts' licences beside them. */
function fonts(): Plugin {
  return {
    name: 'tenfold-fonts',
    apply: 'build',
    generateBundle() {
      for (const font of FONTS)
        this.emitFile({
          type: 'asset',
          fileName: `assets/${font}-license.txt`,
          source: readFileSync(`node_modules/@fontsource-variable/${font}/LICENSE`, 'utf8'),
        });
    },
    transformIndexHtml: {
      order: 'post',
      handler: (_, { bundle }) =>
        Object.keys(bundle ?? {})
          .filter((file) => /-latin-w(dth|ght)-normal-.*\.woff2$/.test(file))
          .map((file) => ({
            tag: 'link',
            attrs: { rel: 'preload', href: `/static/${file}`, as: 'font', type: 'font/woff2', crossorigin: '' },
            injectTo: 'head',
          })),
    },
  };
}

export default defineConfig({
  base: '/static/',
  plugins: [svelte(), fonts(), contract()],
  build: {
    outDir: '../src/tenfold/static',
    emptyOutDir: true,
    target: 'es2022',
    // light-dark() and nesting stay as written: every browser since the spring of 2024 knows them.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    // Olm looks for Node's modules before it takes the browser's; there is nothing to do about it.
    rolldownOptions: {
      onLog: (level, log, handle) => {
        if (!(log.message.includes('@matrix-org/olm') && log.message.includes('externalized'))) handle(level, log);
      },
    },
    // The notices of what is bundled travel with it.
    license: { fileName: 'assets/licenses.md' },
  },
  test: { include: ['src/**/*.test.ts'] },
});
