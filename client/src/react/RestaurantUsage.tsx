import type { ReactNode } from 'react';
import type { RestaurantUsage as Usage } from '../index.js';
import { type Allowance, AllowanceCard, isUnlimited } from './AllowanceBar.js';
import { useSurroundings } from './context.js';
import { fill } from './messages.js';
import { project } from './months.js';

/** Shows a restaurant's figures, and its children below them. */
export function RestaurantUsage({ usage, children }: { usage: Usage; children?: ReactNode }) {
  const { text, format } = useSurroundings();
  const { allowance, adjustedBy } = usage;
  const month = monthOf(usage);
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
        <AllowanceCard title={text.thisMonth} label={text.monthsAllowance} allowance={month}>
          {!isUnlimited(month) && (
            <dl className="sud-sum">
              <div><dt>{text.plan}</dt><dd>{format.number(allowance.monthlyLimit)}</dd></div>
              <div><dt>{text.topUps}</dt><dd><bdi dir="ltr">{format.signed(adjustedBy)}</bdi></dd></div>
            </dl>
          )}
        </AllowanceCard>
        <AllowanceCard title={text.today} label={text.todaysAllowance} allowance={dayOf(usage)} />
      </div>
      <div className="sud-columns">
        <div className="sud-stack">{children}</div>
        <div className="sud-stack">
          <Counting usage={usage} />
          <section className="sud-card" aria-label={text.activity}>
            <h3 className="sud-card-title">{text.activity}</h3>
            <dl className="sud-list">
              <Moment label={text.lastActivity} at={usage.lastActivity} />
              <Moment label={text.lastConversation} at={usage.lastConversationAt} />
              <Moment label={text.firstActivity} at={usage.firstActivity} />
            </dl>
          </section>
        </div>
      </div>
    </>
  );
}

/** Says when counting starts again, the month's projection, which messages count, and the effect of a used-up allowance. */
function Counting({ usage }: { usage: Usage }) {
  const { text, format, now, help } = useSurroundings();
  const { period, conversationsThisMonth: used } = usage;
  const month = monthOf(usage);
  const projected = period && project(used, isUnlimited(month) ? undefined : month.limit, period, now());
  return (
    <section className="sud-card" aria-label={text.help}>
      <h3 className="sud-card-title">{text.help}</h3>
      <dl className="sud-list">
        {period?.resetsAt && (
          <div>
            <dt>{text.startsAnew}</dt>
            <dd><time dateTime={period.resetsAt}>{format.inZone(period.resetsAt, period.timeZone)}</time></dd>
          </div>
        )}
        {projected && (
          <div>
            <dt>{text.projected}</dt>
            <dd>
              <span>{fill(text.projectedAbout, { n: format.number(projected.conversations) })}</span>
              {projected.usedUpAt && (
                <span className="sud-note">
                  {fill(text.projectedOver, { day: format.day(projected.usedUpAt.toISOString().slice(0, 10)) })}
                </span>
              )}
            </dd>
          </div>
        )}
      </dl>
      <p className="sud-note">{text.whatCounts}</p>
      {!isUnlimited(month) && <p className="sud-note">{help.whenUsedUp ?? text.whenUsedUp}</p>}
      {help.contact && (
        <p className="sud-note">
          {text.whomToAsk} {help.contact.href === undefined
            ? <bdi>{help.contact.name}</bdi>
            : <a href={help.contact.href}><bdi>{help.contact.name}</bdi></a>}
        </p>
      )}
    </section>
  );
}

/** Returns a restaurant's allowance for the month, with its top-ups. */
export const monthOf = ({ allowance, adjustedBy, conversationsThisMonth, usagePercent, isNearingQuota }: Usage): Allowance => ({
  used: conversationsThisMonth,
  limit: isUnlimited({ limit: allowance.monthlyLimit }) ? allowance.monthlyLimit : Math.max(0, allowance.monthlyLimit + adjustedBy),
  remaining: allowance.monthlyRemaining, percent: usagePercent, isNearing: isNearingQuota,
});

/** Returns a restaurant's allowance for the day. From an older API, the used number is the limit less the remainder. */
export const dayOf = ({ allowance: { dailyLimit, dailyRemaining }, conversationsToday }: Usage): Allowance => ({
  used: (conversationsToday as number | undefined) ?? Math.max(0, dailyLimit - dailyRemaining), limit: dailyLimit, remaining: dailyRemaining,
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
