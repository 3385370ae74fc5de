import { expect, test } from 'vitest';
import { sign, toForm } from './webhook.js';

test('signs as Twilio does', async () => {
  // The example of Twilio's documentation.
  const form = new URLSearchParams({
    To: '+18005551212', From: '+14158675309', Digits: '1234', Caller: '+14158675309', CallSid: 'CA1234567890ABCDE',
  });
  expect(await sign('12345', 'https://mycompany.com/myapp.php?foo=1&bar=2', form)).toBe('RSOYDt4T1cUTdK1PDd93/VVr8B8=');
});

test('signs the bytes of texts in any language', async () => {
  const form = new URLSearchParams({ Body: 'القائمة' });
  expect(await sign('token', 'http://localhost/', form)).not.toBe(await sign('token', 'http://localhost/', new URLSearchParams({ Body: 'الفروع' })));
});

test('posts a message as Twilio does', () => {
  const message = { from: '+966500000001', profileName: 'Noura', text: 'hello' };
  expect(Object.fromEntries(toForm(message, '+966110000000', 'SM1'))).toEqual({
    MessageSid: 'SM1', SmsMessageSid: 'SM1', NumMedia: '0', From: 'whatsapp:+966500000001', To: 'whatsapp:+966110000000',
    WaId: '966500000001', Body: 'hello', ProfileName: 'Noura',
  });
  expect(Object.fromEntries(toForm({ ...message, button: 'browse_menu' }, '+966110000000', 'SM2'))).toMatchObject({
    ButtonPayload: 'browse_menu', ButtonText: 'hello',
  });
  expect(Object.fromEntries(toForm({ ...message, text: 'Grills', row: 'v1/en/category/1' }, '+966110000000', 'SM3'))).toMatchObject({
    ListId: 'v1/en/category/1', ListTitle: 'Grills', Body: 'Grills',
  });
});
