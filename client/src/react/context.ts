import { createContext, useContext } from 'react';
import { type Format, makeFormat } from './format.js';
import { type Messages, messages } from './messages.js';

/** Texts for owners next to the figures, in the host's own words. */
export interface Help {
  /** Your text about the effect of a used-up allowance. */
  whenUsedUp?: string | undefined;
  /** The contact for a larger allowance, with an address such as "mailto:…" or "https://wa.me/…". */
  contact?: { name: string; href?: string | undefined } | undefined;
}

/** The context that all parts of the dashboard have. */
export interface Surroundings {
  text: Messages;
  format: Format;
  now: () => Date;
  help: Help;
  /** The interval at which everything is read again, if it is. */
  refreshMs: number | undefined;
  /** Makes a screen reader say what others can see. */
  announce: (what: string) => void;
}

/** Gives the dashboard's parts their context. */
export const Surrounding = createContext<Surroundings>({
  text: messages.en, format: makeFormat('en'), now: () => new Date(), help: {}, refreshMs: undefined, announce: () => {},
});

/** Returns the context of a part. */
export const useSurroundings = (): Surroundings => useContext(Surrounding);
