import type { ReactNode } from 'react';
import type { RestaurantUsage as Usage } from '../index.js';
import { type Allowance, AllowanceCard } from './AllowanceBar.js';
import { useSurroundings } from './context.js';

/** Shows one restaurant's figures, and below them what belongs to them. */
export function RestaurantUsage({ usage, children }: { usage: Usage; children?: ReactNode }) {
  const { text, format } = useSurroundings();
  const { allowance } = usage;
  return (
    <>
      <div className="sud-cards">
        <section className="sud-card sud-card-main" aria-label={text.conversationsThisMonth}>
          <h3 className="sud-card-title">{text.conversationsThisMonth}</h3>
          <p className="sud-figure sud-figure-main">{format.number(usage.conversationsThisMonth)}</p>
          <p className="sud-note">
            {text.lastConversation}: <Ago at={usage.lastConversationAt} />
          </p>
        </section>
        <AllowanceCard
          title={text.today} label={text.todaysAllowance}
          allowance={{ limit: allowance.dailyLimit, remaining: allowance.dailyRemaining }}
        />
        <AllowanceCard
          title={text.thisMonth} label={text.monthsAllowance}
          allowance={monthOf(usage)}
        />
      </div>
      <div className="sud-columns">
        {children}
        <section className="sud-card" aria-label={text.activity}>
          <h3 className="sud-card-title">{text.activity}</h3>
          <dl className="sud-list">
            <Moment label={text.lastActivity} at={usage.lastActivity} />
            <Moment label={text.lastConversation} at={usage.lastConversationAt} />
            <Moment label={text.firstActivity} at={usage.firstActivity} />
          </dl>
        </section>
      </div>
    </>
  );
}

/** Returns a restaurant's allowance of the month. */
export const monthOf = ({ allowance, adjustedBy, usagePercent, isNearingQuota }: Usage): Allowance => ({
  limit: allowance.monthlyLimit < 0 ? allowance.monthlyLimit : Math.max(0, allowance.monthlyLimit + adjustedBy), remaining: allowance.monthlyRemaining, percent: usagePercent, isNearing: isNearingQuota,
});

/** Says whether a restaurant is active. */
export function ActiveBadge({ isActive }: { isActive: boolean }) {
  const { text } = useSurroundings();
  return (
    <span className="sud-badge" data-tone={isActive ? 'active' : 'inactive'}>
      {isActive ? text.active : text.inactive}
    </span>
  );
}

/** Says how long ago something was. */
export function Ago({ at }: { at: string | null }) {
  const { text, format, now } = useSurroundings();
  return at === null ? <>{text.never}</> : <time dateTime={at} title={format.dateTime(at)}>{format.ago(at, now())}</time>;
}

function Moment({ label, at }: { label: string; at: string | null }) {
  const { text, format } = useSurroundings();
  return (
    <div>
      <dt>{label}</dt>
      <dd>
        {at === null ? text.never : (
          <>
            <time dateTime={at}>{format.dateTime(at)}</time>
            <span className="sud-note"><Ago at={at} /></span>
          </>
        )}
      </dd>
    </div>
  );
}
