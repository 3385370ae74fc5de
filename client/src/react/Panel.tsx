import { type ReactNode, useId } from 'react';

/** Shows its children on a card with a title. */
export function Panel({ title, note, children }: { title: string; note?: string | undefined; children: ReactNode }) {
  const id = useId();
  const heading = <h3 className="sud-card-title" id={id}>{title}</h3>;
  return (
    <section className="sud-card" aria-labelledby={id}>
      {note === undefined ? heading : <div className="sud-card-head">{heading}<span className="sud-note">{note}</span></div>}
      {children}
    </section>
  );
}
