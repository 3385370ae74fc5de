// Builds the package into dist: ES modules, CommonJS modules, and the style. Each kind of modules has its own types in its
// folder, so that TypeScript takes the types of the modules that run.
import { execFileSync } from 'node:child_process';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';

rmSync('dist', { recursive: true, force: true });
for (const project of ['tsconfig.build.json', 'tsconfig.cjs.json']) {
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--project', project], { stdio: 'inherit' });
}
writeFileSync('dist/cjs/package.json', '{ "type": "commonjs" }\n'); // overrides the package's own "module"
copyFileSync('src/react/usage-dashboard.css', 'dist/usage-dashboard.css');
// With noUncheckedSideEffectImports, even an imported style must have types.
writeFileSync('dist/cjs/usage-dashboard.css.d.ts', 'export {};\n');
