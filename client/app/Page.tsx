import { useCallback, useEffect, useMemo, useState } from 'react';
import { UsageApiClient } from '../src/index.js';
import { type Locale, UsageDashboard, usePlaceInAddress } from '../src/react/index.js';
import { pageMessages } from './messages.js';
import { Phone } from './Phone.js';
import { type Demo, readDemo } from './stack.js';

const views = ['owner', 'admin', 'chat'] as const;
const themes = ['auto', 'light', 'dark'] as const;

/** The page's appearance, as its address has it. */
interface Look {
  view: (typeof views)[number];
  lang: Locale;
  theme: (typeof themes)[number];
}

function readLook(): Look {
  const query = new URLSearchParams(location.search);
  const arabic = query.has('lang') ? query.get('lang') === 'ar' : navigator.language.startsWith('ar');
  return {
    view: views.find((view) => view === query.get('view')) ?? 'owner',
    lang: arabic ? 'ar' : 'en',
    theme: themes.find((theme) => theme === query.get('theme')) ?? 'auto',
  };
}

/** Returns the address of a look. An administrator's place in the list stays in it. */
function address(look: Look): string {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(look)) query.set(name, value);
  return `?${query}`;
}

/** Keeps the page's look in its address, so that each look has a link of its own. */
function useLook(): [Look, (look: Look) => void] {
  const [look, setLook] = useState(readLook);
  useEffect(() => {
    const reread = () => setLook(readLook());
    addEventListener('popstate', reread);
    return () => removeEventListener('popstate', reread);
  }, []);
  const go = useCallback((next: Look) => {
    history.pushState(null, '', address(next));
    setLook(next);
  }, []);
  return [look, go];
}

/** The page: the dashboard with the demo data, and a customer's phone. */
export function Page() {
  const [look, go] = useLook();
  const text = pageMessages[look.lang];
  const [demo, setDemo] = useState<Demo | 'unreachable'>();
  const [revision, setRevision] = useState(0);
  const reread = useCallback(() => setRevision((n) => n + 1), []);

  useEffect(() => {
    const controller = new AbortController();
    readDemo(controller.signal).then(setDemo, () => controller.signal.aborted || setDemo('unreachable'));
    return () => controller.abort();
  }, []);
  useEffect(() => {
    const root = document.documentElement;
    root.lang = look.lang;
    root.dir = look.lang === 'ar' ? 'rtl' : 'ltr';
    root.dataset['theme'] = look.theme;
    document.title = text.title;
  }, [look, text]);

  return (
    <>
      <header className="page-bar">
        <h1 className="page-brand">
          <img src="/page/icon.svg" alt="" width="28" height="28" />
          {text.title}
          <span className="page-tag">{text.local}</span>
        </h1>
        <nav className="page-views" aria-label={text.views}>
          {views.map((view) => (
            <a
              key={view} href={address({ ...look, view })} data-view={view}
              aria-current={view === look.view ? 'page' : undefined}
              onClick={(event) => {
                if (event.metaKey || event.ctrlKey || event.shiftKey) return;
                event.preventDefault();
                go({ ...look, view });
              }}
            >
              {text[view]}
            </a>
          ))}
        </nav>
        <div className="page-looks">
          <select
            aria-label={text.theme} value={look.theme}
            onChange={(event) => go({ ...look, theme: event.target.value as Look['theme'] })}
          >
            {themes.map((theme) => <option key={theme} value={theme}>{text[theme]}</option>)}
          </select>
          <button
            type="button" lang={look.lang === 'ar' ? 'en' : 'ar'}
            onClick={() => go({ ...look, lang: look.lang === 'ar' ? 'en' : 'ar' })}
          >
            {text.otherLanguage}
          </button>
        </div>
      </header>
      <main className="page-main" data-view={look.view}>
        {demo === 'unreachable' && <p className="page-failure" role="alert">{text.noStack}</p>}
        {demo && demo !== 'unreachable' && (
          <>
            <div className="page-dashboard"><Dashboard demo={demo} look={look} revision={revision} /></div>
            <Phone demo={demo} text={text} lang={look.lang} answered={reread} />
          </>
        )}
      </main>
    </>
  );
}

const refreshMs = 30_000;
const help = {
  en: { contact: { name: 'Sufrah support', href: 'mailto:support@sufrah.example' } },
  ar: { contact: { name: 'دعم سفرة', href: 'mailto:support@sufrah.example' } },
};

function Dashboard({ demo, look, revision }: { demo: Demo; look: Look; revision: number }) {
  const { place, onPlace } = usePlaceInAddress();
  const { owner, admin } = useMemo(() => ({
    owner: new UsageApiClient(location.origin, demo.ownerToken, undefined, demo.restaurantId),
    admin: new UsageApiClient(location.origin, undefined, demo.adminKey),
  }), [demo]);
  const appearance = { locale: look.lang, theme: look.theme, revision, refreshMs };
  if (look.view === 'admin') return <UsageDashboard client={admin} {...appearance} place={place} onPlace={onPlace} />;
  return <UsageDashboard client={owner} {...appearance} help={help[look.lang]} />;
}
