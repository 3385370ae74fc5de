import { defineConfig } from 'vite';

// The page of the local stack. `npm run dev` serves it while its sources change, against a `make dev` that runs beside it.
const stack = process.env['STACK'] ?? 'http://localhost:8080';

export default defineConfig({
  root: 'app',
  build: {
    outDir: '../../internal/local/page/dist',
    emptyOutDir: true,
    target: ['chrome123', 'firefox120', 'safari17.5'], // as the style's light-dark() needs them
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    // Names that don't change with the content: a rebuilt page is a change to the same files.
    rollupOptions: { output: { entryFileNames: 'page/page.js', assetFileNames: 'page/page[extname]' } },
  },
  server: { proxy: { '/api': stack, '/sandbox': stack, '/webhooks': stack } },
});
