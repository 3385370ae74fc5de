import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where the stack is. */
    baseUrl: string;
  }
}

/** Runs `make dev` on a free port for as long as the tests take. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const make = spawn('make', ['--no-print-directory', 'dev', 'PORT=0'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    detached: true, // a process group of its own, which ends together
    stdio: ['ignore', 'pipe', 'ignore'], // not the functions' log
  });
  const ended = once(make, 'exit');
  for await (const line of createInterface(make.stdout)) {
    const ready = /^ready (http:\/\/\S+)$/.exec(line);
    if (!ready) continue;
    project.provide('baseUrl', ready[1]!);
    make.stdout.resume();
    return async () => {
      process.kill(-make.pid!, 'SIGINT');
      await ended;
    };
  }
  throw new Error('make dev ended before it was ready: run it to see why');
}
