import { createContext, useContext } from 'react';
import { type Format, makeFormat } from './format.js';
import { type Messages, messages } from './messages.js';

/** What every part of the dashboard is shown with. */
export interface Surroundings {
  text: Messages;
  format: Format;
  now: () => Date;
  /** Has a screen reader say something that the eye sees anyway. */
  announce: (what: string) => void;
}

/** Surrounds the dashboard's parts. */
export const Surrounding = createContext<Surroundings>({
  text: messages.en, format: makeFormat('en'), now: () => new Date(), announce: () => {},
});

/** Returns what the part is shown with. */
export const useSurroundings = (): Surroundings => useContext(Surrounding);
