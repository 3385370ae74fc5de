// Requests of the page to its local stack, besides the API.

/** Credentials for the API, and the data for writing to the example restaurant. */
export interface Demo {
  adminKey: string;
  ownerToken: string;
  restaurantId: string;
  restaurantName: string;
  restaurantNumber: string;
  /** The address for which webhooks are signed. */
  webhookUrl: string;
  twilioAuthToken: string;
  templates: Template[];
}

/** A message template: a text with variables such as {{1}}, and buttons. */
export interface Template {
  sid: string;
  body: string;
  buttons: Button[];
}

/** Buttons that a customer can press instead of writing. */
export interface Button {
  title: string;
  payload: string;
}

/** A message that Twilio was asked to send. */
export interface SentMessage {
  at: string;
  contentSid: string;
  contentVariables: Record<string, string> | null;
  body: string;
  /** The content of a list with rows to tap. */
  listPicker?: ListPicker;
}

/** A list with rows to tap. */
export interface ListPicker {
  body: string;
  button: string;
  items: ListItem[];
}

/** A row: its title, and the id that a tap sends. */
export interface ListItem {
  item: string;
  id: string;
  description: string;
}

/** The outcome of one attempt at a job. */
export interface Job {
  jobId: string;
  outcome: string;
  durationMs: number;
}

/** Returns the demo's credentials and numbers. */
export const readDemo = (signal: AbortSignal): Promise<Demo> => read('/sandbox/demo', { signal });

/** Returns the messages that a customer has been sent, newest first. */
export const readMessages = (to: string): Promise<SentMessage[]> => read(`/sandbox/messages?to=${encodeURIComponent(to)}`);

/** Returns the latest outcomes of jobs, the newest first. */
export const readJobs = (): Promise<Job[]> => read('/sandbox/jobs');

/** Returns how long the Sufrah API takes for each answer. */
export const readMenuLatency = async (signal: AbortSignal): Promise<number> =>
  (await read<{ latencyMs: number }>('/sandbox/sufrah', { signal })).latencyMs;

/** Sets how long the Sufrah API takes for each answer. */
export const setMenuLatency = (latencyMs: number): Promise<unknown> =>
  read('/sandbox/sufrah', { method: 'PUT', body: JSON.stringify({ latencyMs }) });

async function read<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(path, init);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json() as Promise<T>;
}
