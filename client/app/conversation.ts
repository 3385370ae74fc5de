import { type Demo, type Job, readJobs, readMessages, type SentMessage } from './stack.js';
import { type Incoming, post } from './webhook.js';

/** An entry of a chat. */
export type Entry =
  | { kind: 'sent'; key: string; text: string; outcome?: { status: number; ms: number } | 'unsent' | undefined }
  | { kind: 'received'; key: string; message: SentMessage; ms: number }
  | { kind: 'job'; key: string; job: Job };

const replyWaitMs = 1_000; // for another delivery of the message: the service itself sends before it answers
const jobWaitMs = 30_000;
const pollMs = 100;

/**
 * Delivers a message and reports each effect as it happens: the webhook's answer, the replies, and the background job if
 * the customer was new. answered is called as soon as the service has answered.
 */
export async function deliver(
  message: Incoming, demo: Demo, signal: AbortSignal, tell: (entry: Entry) => void, answered: () => void,
): Promise<void> {
  const key = crypto.randomUUID();
  const sent: Entry = { kind: 'sent', key, text: message.text };
  tell(sent);
  try {
    const [before, jobsBefore] = await Promise.all([readMessages(message.from), readJobs()]);
    const start = performance.now();
    const outcome = await post(message, demo);
    tell({ ...sent, outcome });
    answered();
    if (outcome.status !== 200) return;
    const replies = await poll(replyWaitMs, signal, async () => {
      const after = await readMessages(message.from);
      return after.slice(0, Math.max(0, after.length - before.length)).reverse();
    });
    // Messages found at the first look were sent before the webhook answered.
    const seenMs = performance.now() - start;
    replies.found.forEach((reply, i) =>
      tell({ kind: 'received', key: `${key}-${i}`, message: reply, ms: replies.tries === 1 ? outcome.ms : seenMs }));
    if (before.length > 0 || replies.found.length === 0) return;
    const known = new Set(jobsBefore.map((job) => job.jobId));
    const jobs = await poll(jobWaitMs, signal, async () => (await readJobs()).filter((job) => !known.has(job.jobId)).slice(-1));
    for (const job of jobs.found) tell({ kind: 'job', key: `${key}-job`, job });
  } catch (error) {
    if (!signal.aborted) tell({ ...sent, outcome: 'unsent' });
    if (!(error instanceof TypeError || signal.aborted)) throw error; // fetch throws a TypeError if there is no answer
  }
}

/** Looks again and again until it finds something or the time is over. */
async function poll<T>(forMs: number, signal: AbortSignal, look: () => Promise<T[]>): Promise<{ found: T[]; tries: number }> {
  const end = performance.now() + forMs;
  for (let tries = 1; ; tries++) {
    const found = await look();
    if (found.length > 0 || performance.now() >= end) return { found, tries };
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    signal.throwIfAborted();
  }
}
