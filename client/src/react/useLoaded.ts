import { useCallback, useEffect, useRef, useState } from 'react';
import type { Surroundings } from './context.js';

/** The state of a read. */
export interface Loaded<T> {
  /** The latest result of the source; while another key is being read, still the result for the previous key. */
  data: T | undefined;
  /** When data was read. */
  at: Date | undefined;
  /** The reason that the latest read failed. data, if any, is older and has the same key. */
  error: unknown;
  loading: boolean;
  reload: () => void;
}

/** The source and the key to read. */
interface Wanted {
  source: unknown;
  key: string;
  /** Any value: when it changes, the key is read again. */
  revision: unknown;
}

interface State<T> extends Pick<Wanted, 'source' | 'key'> {
  data?: T;
  at?: Date;
  error?: unknown;
  loading: boolean;
}

/**
 * Reads a key from a source. It reads again when the key, the source or the revision changes, or reload is called. A read
 * that is no longer wanted is cancelled, and its result ignored.
 */
export function useLoaded<T>(wanted: Wanted, read: (signal: AbortSignal) => Promise<T>, { now, refreshMs }: Pick<Surroundings, 'now' | 'refreshMs'>): Loaded<T> {
  const { source, key, revision } = wanted;
  const [state, setState] = useState<State<T>>({ source, key, loading: true });
  const [attempt, setAttempt] = useState(0);
  const latest = useRef({ read, now });
  latest.current = { read, now };

  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    setState((before) => before.source === source ? { ...before, loading: true } : { source, key, loading: true });
    latest.current.read(signal).then(
      (data) => {
        if (!signal.aborted) setState({ source, key, data, at: latest.current.now(), loading: false });
      },
      (error: unknown) => {
        if (signal.aborted) return;
        setState((before) => before.key === key ? { ...before, error, loading: false } : { source, key, error, loading: false });
      },
    );
    return () => controller.abort();
  }, [source, key, revision, attempt]);

  const reload = useCallback(() => setAttempt((n) => n + 1), []);
  useRefresh(reload, refreshMs, state.error !== undefined);
  const { data, at, error, loading } = state.source === source ? state : { ...state, data: undefined, error: undefined };
  return { data, at, error, loading, reload };
}

/** Reads again at an interval while somebody can see it, and when a lost connection is back. */
function useRefresh(reload: () => void, everyMs: number | undefined, hasFailed: boolean): void {
  useEffect(() => {
    if (everyMs === undefined || !(everyMs > 0)) return;
    const timer = setInterval(() => {
      if (document.visibilityState !== 'hidden') reload();
    }, Math.max(1_000, everyMs));
    return () => clearInterval(timer);
  }, [reload, everyMs]);
  useEffect(() => {
    if (!hasFailed) return;
    addEventListener('online', reload);
    return () => removeEventListener('online', reload);
  }, [reload, hasFailed]);
}
