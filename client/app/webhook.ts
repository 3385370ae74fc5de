import type { Demo } from './stack.js';

/** A customer's message: a text, or the title of a tapped button or row. */
export interface Incoming {
  from: string;
  profileName: string;
  text: string;
  /** The payload of the tapped button. */
  button?: string | undefined;
  /** The id of the row that was tapped. */
  row?: string | undefined;
}

/** Returns a message as Twilio posts it. */
export function toForm(message: Incoming, to: string, id: string): URLSearchParams {
  const form = new URLSearchParams({
    MessageSid: id, SmsMessageSid: id, NumMedia: '0', From: `whatsapp:${message.from}`, To: `whatsapp:${to}`,
    WaId: message.from.replace('+', ''), Body: message.text,
  });
  if (message.profileName) form.set('ProfileName', message.profileName);
  if (message.button) {
    form.set('ButtonPayload', message.button);
    form.set('ButtonText', message.text);
  }
  if (message.row) {
    form.set('ListId', message.row);
    form.set('ListTitle', message.text);
  }
  return form;
}

/** Returns Twilio's signature: HMAC-SHA1 of the URL followed by the sorted parameters. */
export async function sign(token: string, url: string, form: URLSearchParams): Promise<string> {
  const text = url + [...form.keys()].sort().map((name) => name + form.get(name)).join('');
  const encoder = new TextEncoder();
  const key = await crypto.subtle.importKey('raw', encoder.encode(token), { name: 'HMAC', hash: 'SHA-1' }, false, ['sign']);
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.sign('HMAC', key, encoder.encode(text)))));
}

/** Posts a message to the restaurant as Twilio does. Returns the answer's status and duration. */
export async function post(message: Incoming, demo: Demo): Promise<{ status: number; ms: number }> {
  const form = toForm(message, demo.restaurantNumber, `SM${crypto.randomUUID().replaceAll('-', '')}`);
  const signature = await sign(demo.twilioAuthToken, demo.webhookUrl, form);
  const start = performance.now();
  const { pathname } = new URL(demo.webhookUrl);
  const response = await fetch(pathname, { method: 'POST', body: form, headers: { 'X-Twilio-Signature': signature } });
  await response.text();
  return { status: response.status, ms: performance.now() - start };
}
