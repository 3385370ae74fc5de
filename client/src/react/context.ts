import { createContext, useContext } from 'react';
import { type Format, makeFormat } from './format.js';
import { type Messages, messages } from './messages.js';

/** What an owner is told beside the figures, in the host's own words. */
export interface Help {
  /** What happens when the allowance is used up. */
  whenUsedUp?: string | undefined;
  /** Whom to ask for more, with an address such as "mailto:…" or "https://wa.me/…". */
  contact?: { name: string; href?: string | undefined } | undefined;
}

/** What every part of the dashboard is shown with. */
export interface Surroundings {
  text: Messages;
  format: Format;
  now: () => Date;
  help: Help;
  /** How often everything is read again, if it is. */
  refreshMs: number | undefined;
  /** Has a screen reader say something that the eye sees anyway. */
  announce: (what: string) => void;
}

/** Surrounds the dashboard's parts. */
export const Surrounding = createContext<Surroundings>({
  text: messages.en, format: makeFormat('en'), now: () => new Date(), help: {}, refreshMs: undefined, announce: () => {},
});

/** Returns what the part is shown with. */
export const useSurroundings = (): Surroundings => useContext(Surrounding);
