import { createContext, useContext } from 'react';
import { type Format, makeFormat } from './format.js';
import { type Messages, messages } from './messages.js';

/** Texts for owners beside the figures, in the host's own words. */
export interface Help {
  /** The effect of a used-up allowance. */
  whenUsedUp?: string | undefined;
  /** The contact for a larger allowance, with an address such as "mailto:…" or "https://wa.me/…". */
  contact?: { name: string; href?: string | undefined } | undefined;
}

/** The context of every part of the dashboard. */
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

/** Returns the context of the part. */
export const useSurroundings = (): Surroundings => useContext(Surrounding);
