/** The people who submit jobs, on a server whose identity provider names them. */

import { element, setText } from '../render/dom';
import type { Job } from '../wire/wire';

/** Return whether a list of jobs names submitters: only if one of them is another person than the viewer. */
export function namesPeople(jobs: readonly Pick<Job, 'submitted_by'>[], viewer: string | null): boolean {
  return jobs.some(({ submitted_by }) => submitted_by != null && submitted_by !== viewer);
}

/**
 * Return who asked, in a conversation in which `named` people take part.
 *
 * A question without a name came from a kernel, which may be anybody's.
 */
export function askerWords(asker: string | null, viewer: string | null, named: boolean): string {
  if (!named) {
    return 'You';
  }
  return asker === null ? 'Question' : asker === viewer ? 'You' : asker;
}

/** The words "by NAME". A name comes from outside: it is text, and its direction stays its own. */
export class SubmitterLabel {
  readonly node = element('span', 'by');

  constructor() {
    this._name.dir = 'auto';
  }

  update(name: string | null): void {
    setText(this._name, name ?? '');
    this.node.title = name === null ? '' : `Submitted by ${name}`;
    if (name === null) {
      this.node.replaceChildren();
    } else if (this._name.parentElement === null) {
      this.node.replaceChildren('by ', this._name);
    }
  }

  private readonly _name = document.createElement('bdi');
}
