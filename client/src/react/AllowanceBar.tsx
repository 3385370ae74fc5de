import type { ReactNode } from 'react';
import { useSurroundings } from './context.js';
import { fill, type Plural } from './messages.js';

/** How much of an allowance is used up. */
export type Level = 'ok' | 'near' | 'full';

/** The used share from which an allowance is nearly used up. */
const nearShare = 0.9;

/** The API's value for no limit. */
const unlimited = -1;

/** An allowance and the used part of it, which may exceed it. */
export interface Allowance {
  used: number;
  /** The whole allowance, top-ups included. */
  limit: number;
  remaining: number;
  /** The used percentage, if the API gives it. The level is then the API's too. */
  percent?: number | undefined;
  isNearing?: boolean;
}

/** Returns the used share of a limited allowance, and its level. */
export function usedShare({ used, limit, remaining, percent, isNearing }: Allowance): { share: number; level: Level } {
  const share = limit > 0 ? used / limit : 1;
  if (percent !== undefined) {
    return { share: used > limit ? share : percent / 100, level: percent >= 100 ? 'full' : isNearing ? 'near' : 'ok' };
  }
  return { share, level: remaining <= 0 ? 'full' : share >= nearShare ? 'near' : 'ok' };
}

/** Reports whether an allowance has no limit. */
export const isUnlimited = ({ limit }: { limit: number }): boolean => limit === unlimited;

/** Shows the used number and the limit. */
export function UsedOfLimit({ allowance: { used, limit } }: { allowance: Allowance }) {
  const { text, format } = useSurroundings();
  return <span>{fill(text.usedOfLimit, { used: format.number(used), limit: format.number(limit) })}</span>;
}

/** Shows how much of an allowance is used: a bar, with words for screen readers. */
export function AllowanceBar({ label, allowance, compact = false }: { label: string; allowance: Allowance; compact?: boolean }) {
  const { text, format } = useSurroundings();
  if (isUnlimited(allowance)) {
    return <div className="sud-bar sud-bar-unlimited" data-compact={compact} aria-hidden="true" />;
  }
  const { share, level } = usedShare(allowance);
  const { used, limit } = allowance;
  const most = Math.max(1, limit);
  return (
    <div
      className="sud-bar" data-compact={compact} role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={most}
      aria-valuenow={Math.min(used, most)} aria-valuetext={fill(text.usedOfLimit, { used: format.number(used), limit: format.number(limit) })}
    >
      <div className="sud-bar-fill" data-level={level} style={{ inlineSize: `${Math.min(1, share) * 100}%` }} />
    </div>
  );
}

/** Shows a large number with its noun. If the noun's form contains no digits, all of it is large. */
export function Figure({ value, forms, main = false }: { value: number; forms: Plural; main?: boolean }) {
  const { format } = useSurroundings();
  const { number, words } = format.parts(value, forms);
  return (
    <p className={main ? 'sud-figure sud-figure-main' : 'sud-figure'}>
      {number === undefined ? <span className="sud-figure-words">{words}</span> : (
        <>
          <span>{number}</span>
          <span className="sud-figure-unit">{words}</span>
        </>
      )}
    </p>
  );
}

/** Shows an allowance on a card: the bar and its figures. */
export function AllowanceCard({ title, label, allowance, children }: {
  title: string; label: string; allowance: Allowance; children?: ReactNode;
}) {
  const { text, format } = useSurroundings();
  const limited = !isUnlimited(allowance);
  const { share, level } = limited ? usedShare(allowance) : { share: 0, level: 'ok' as Level };
  const over = allowance.used - allowance.limit;
  return (
    <section className="sud-card" aria-label={label}>
      <div className="sud-card-head">
        <h3 className="sud-card-title">{title}</h3>
        {limited && <LevelBadge level={level} />}
      </div>
      {!limited
        ? <p className="sud-figure">{text.unlimited}</p>
        : over > 0 ? <Figure value={over} forms={text.over} /> : <Figure value={allowance.remaining} forms={text.left} />}
      <AllowanceBar label={label} allowance={allowance} />
      <p className="sud-note sud-between">
        {limited ? (
          <>
            <UsedOfLimit allowance={allowance} />
            <span>{format.percent(share)}</span>
          </>
        ) : (
          <>
            <span>{format.counted(allowance.used, text.conversationCount)}</span>
            <span>{text.noLimit}</span>
          </>
        )}
      </p>
      {children}
    </section>
  );
}

/** Warns of an allowance that is nearly or wholly used up. */
export function LevelBadge({ level }: { level: Level }) {
  const { text } = useSurroundings();
  if (level === 'ok') return null;
  return <span className="sud-badge" data-tone={level}>{level === 'near' ? text.nearLimit : text.atLimit}</span>;
}
