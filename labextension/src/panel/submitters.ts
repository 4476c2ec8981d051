/** Names of the people that submit jobs, on a server whose identity provider has them. */

import { element, setText } from '../render/dom';
import { trans } from '../translation';
import type { JobInfo } from '../wire/types';

/** Return whether a list of jobs names submitters: only if one of them is another person than the viewer. */
export function namesPeople(jobs: readonly Pick<JobInfo, 'submitted_by'>[], viewer: string | null): boolean {
  return jobs.some(({ submitted_by }) => submitted_by != null && submitted_by !== viewer);
}

/**
 * Return the label of a question's author; `named`: several people take part in the conversation.
 *
 * A question without a name came from a kernel, which any of them may use.
 */
export function askerLabel(asker: string | null, viewer: string | null, named: boolean): string {
  if (!named) {
    return trans.__('You');
  }
  return asker === null ? trans.__('Question') : asker === viewer ? trans.__('You') : asker;
}

/** Stands for the name in a translated sentence. */
const MARK = '\ufffc';

/** The words "by NAME". A name comes from outside: it is text, and its direction stays its own. */
export class SubmitterLabel {
  readonly node = element('span', 'by');

  constructor() {
    this._name.dir = 'auto';
  }

  update(name: string | null): void {
    setText(this._name, name ?? '');
    this.node.title = name === null ? '' : trans.__('Submitted by %1', name);
    if (name === null) {
      this.node.replaceChildren();
    } else if (this._name.parentElement === null) {
      // Translations put the name where their language has it.
      const [before = '', after = ''] = trans.__('by %1', MARK).split(MARK);
      this.node.replaceChildren(before, this._name, after);
    }
  }

  private readonly _name = document.createElement('bdi');
}
