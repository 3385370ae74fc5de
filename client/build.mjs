// Builds the package into dist: ES modules, the same as CommonJS, and the style. Each folder of modules has its types beside
// them, so that TypeScript takes those of the kind that is run.
import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';

rmSync('dist', { recursive: true, force: true });
for (const project of ['tsconfig.build.json', 'tsconfig.cjs.json']) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--project', project], { stdio: 'inherit' });
}
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n'); // the package's own says "module"
copyFileSync('src/react/usage-dashboard.css', 'dist/usage-dashboard.css');
// With noUncheckedSideEffectImports even a style that is imported must have types.
writeFileSync('dist/cjs/usage-dashboard.css.d.ts', 'export {};\n');
