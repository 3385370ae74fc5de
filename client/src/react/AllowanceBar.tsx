import { useSurroundings } from './context.js';
import { fill } from './messages.js';

/** How much of an allowance is used up. */
export type Level = 'ok' | 'near' | 'full';

/** From this share of the allowance on, it is nearly used up. */
const nearShare = 0.9;

/** The API's word for no limit. */
const unlimited = -1;

/** An allowance, as a part of it was used. */
export interface Allowance {
  limit: number;
  remaining: number;
  /** How much of it is used, where the API says it: then the API also decides what that means. */
  percent?: number | undefined;
  isNearing?: boolean;
}

/** Returns what was used of a limited allowance, as a share from 0 to 1, and what that means. */
export function usedShare({ limit, remaining, percent, isNearing }: Allowance): { share: number; level: Level } {
  if (percent !== undefined) return { share: percent / 100, level: percent >= 100 ? 'full' : isNearing ? 'near' : 'ok' };
  const share = limit > 0 ? (limit - remaining) / limit : 1;
  return { share, level: remaining <= 0 ? 'full' : share >= nearShare ? 'near' : 'ok' };
}

/** Reports whether an allowance has no limit. */
export const isUnlimited = ({ limit }: Allowance): boolean => limit === unlimited;

/** Shows how much of an allowance is used, as a bar that a screen reader reads in words. */
export function AllowanceBar({ label, allowance, compact = false }: { label: string; allowance: Allowance; compact?: boolean }) {
  const { text, format } = useSurroundings();
  if (isUnlimited(allowance)) {
    return <div className="sud-bar sud-bar-unlimited" data-compact={compact} aria-hidden="true" />;
  }
  const { share, level } = usedShare(allowance);
  const used = allowance.limit - allowance.remaining;
  const spoken = fill(text.usedOfLimit, { used: format.number(used), limit: format.number(allowance.limit) });
  return (
    <div
      className="sud-bar" data-compact={compact} role="meter" aria-label={label}
      aria-valuemin={0} aria-valuemax={Math.max(1, allowance.limit)} aria-valuenow={used} aria-valuetext={spoken}
    >
      <div className="sud-bar-fill" data-level={level} style={{ inlineSize: `${Math.min(1, share) * 100}%` }} />
    </div>
  );
}

/** Shows an allowance on a card of its own: the bar and its figures. */
export function AllowanceCard({ title, label, allowance }: { title: string; label: string; allowance: Allowance }) {
  const { text, format } = useSurroundings();
  const limited = !isUnlimited(allowance);
  const { share, level } = limited ? usedShare(allowance) : { share: 0, level: 'ok' as Level };
  return (
    <section className="sud-card" aria-label={label}>
      <div className="sud-card-head">
        <h3 className="sud-card-title">{title}</h3>
        {limited && <LevelBadge level={level} />}
      </div>
      <p className="sud-figure">
        {limited ? format.number(allowance.remaining) : text.unlimited}
        {limited && <span className="sud-figure-unit">{text.left}</span>}
      </p>
      <AllowanceBar label={label} allowance={allowance} />
      <p className="sud-note sud-between">
        {limited ? (
          <>
            <span>
              {fill(text.usedOfLimit, {
                used: format.number(allowance.limit - allowance.remaining), limit: format.number(allowance.limit),
              })}
            </span>
            <span>{format.percent(share)}</span>
          </>
        ) : (
          <span>{text.noLimit}</span>
        )}
      </p>
    </section>
  );
}

/** Warns of an allowance that is nearly or wholly used up. */
export function LevelBadge({ level }: { level: Level }) {
  const { text } = useSurroundings();
  if (level === 'ok') return null;
  return <span className="sud-badge" data-tone={level}>{level === 'near' ? text.nearLimit : text.atLimit}</span>;
}
