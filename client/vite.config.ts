import { defineConfig } from 'vite';

// The local stack's page. `npm run dev` serves it from its sources, with a `make dev` that runs beside it.
const stack = process.env['STACK'] ?? 'http://localhost:8080';

export default defineConfig({
  root: 'app',
  build: {
    outDir: '../../internal/local/page/dist',
    emptyOutDir: true,
    target: ['chrome123', 'firefox120', 'safari17.5'], // the style's light-dark() needs these
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    // Fixed names, so that a rebuilt page changes the same files.
    rollupOptions: { output: { entryFileNames: 'page/page.js', assetFileNames: 'page/page[extname]' } },
  },
  server: { proxy: { '/api': stack, '/sandbox': stack, '/webhooks': stack } },
});
