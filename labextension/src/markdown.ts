/** Lab's Markdown, made safe for what a model writes. */

import { type IRenderMime, type IRenderMimeRegistry, renderMarkdown } from '@jupyterlab/rendermime';

import { harmless } from './harmless';
import type { Markdown } from './text';

type Services = Pick<IRenderMimeRegistry, 'sanitizer' | 'latexTypesetter' | 'markdownParser'>;

/** Return a renderer that never trusts the text, whatever the notebook's trust: trusted Markdown runs scripts. */
export function safeMarkdown(services: Services, remoteImages: () => boolean): Markdown {
  const sanitizer: IRenderMime.ISanitizer = harmless(services.sanitizer, remoteImages);
  return {
    render: (host, source) =>
      renderMarkdown({
        host,
        source,
        trusted: false,
        sanitizer,
        // Addresses of a model's answer are not relative to this notebook.
        resolver: null,
        linkHandler: null,
        // Typesetting looks at every node: only where there is something to set.
        shouldTypeset: /\$|\\[([]|\\begin/.test(source),
        latexTypesetter: services.latexTypesetter,
        markdownParser: services.markdownParser
      })
  };
}
