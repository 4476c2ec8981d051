/** Lab's Markdown renderer, made safe for models' text. */

import { type IRenderMimeRegistry, renderMarkdown } from '@jupyterlab/rendermime';

import type { Markdown } from './blockHost';
import { drawsDiagrams, withoutLoadingDiagrams } from './diagrams';
import { withFormulas } from './formulas';
import { disarmLinks, sanitize } from './sanitize';
import { TimeSlicer } from './timeSlicer';
import { typeset } from './typesetting';

type Services = Pick<IRenderMimeRegistry, 'sanitizer' | 'latexTypesetter' | 'markdownParser'>;

/** Return a renderer that never trusts the text, not even in a trusted notebook: trusted Markdown runs scripts. */
export function safeMarkdown(services: Services, remoteImages: () => boolean): Markdown {
  const { markdownParser: parser, latexTypesetter: typesetter } = services;
  return {
    render: async (host, source) => {
      const slicer = new TimeSlicer();
      const written = withoutLoadingDiagrams(withFormulas(source));
      await renderMarkdown({
        host,
        source: written,
        trusted: false,
        sanitizer: sanitize(services.sanitizer, { remote: remoteImages(), drawings: drawsDiagrams(written) }),
        // Addresses of a model's answer are not relative to this notebook.
        resolver: null,
        linkHandler: null,
        shouldTypeset: false,
        latexTypesetter: null,
        markdownParser: parser && {
          render: async text => {
            const html = await parser.render(text);
            await slicer.pause(); // the next step takes equally long
            return html;
          }
        }
      });
      withoutNames(host);
      disarmLinks(host); // Lab gives them a relation of its own
      // The search for formulas visits every node: do it only if there may be one.
      if (typesetter !== null && /\$|\\[([]|\\begin/.test(source)) {
        await slicer.pause();
        await typeset(host, typesetter);
        disarmLinks(host); // formulas can hold some, which the sanitizer has not seen
      }
    }
  };
}

/** Remove the ids that Lab gives to headings, made from their text. */
function withoutNames(host: HTMLElement): void {
  host.querySelectorAll('.jp-InternalAnchorLink').forEach(link => link.remove());
  for (const heading of host.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    heading.removeAttribute('id');
    heading.removeAttribute('data-jupyter-id');
  }
}
