/** The server's sentences about failed, interrupted and waiting jobs, in the page's language. */

import { english, type Trans, trans } from '../translation';
import type { ErrorInfo } from '../wire/types';

/** What each code means. The codes are listed in PROTOCOL.md. */
const MESSAGES: Record<string, ((trans: Trans) => string) | undefined> = {
  answer_gone: trans => trans.__('The provider no longer has this response, so it cannot be resumed.'),
  answer_too_long: trans => trans.__('The answer is too long.'),
  bad_request: trans => trans.__('The provider rejected the request.'),
  context_too_long: trans => trans.__('The prompt is too long for this model.'),
  event_too_large: trans => trans.__('The provider sent an event that is too large.'),
  idle_timeout: trans => trans.__('The provider sent nothing for too long.'),
  internal: trans => trans.__('Internal error in jupyter_bgstream; see the Jupyter server log.'),
  invalid_config: trans => trans.__('The configuration of the provider is wrong.'),
  malformed_stream: trans => trans.__('The answer could not be read.'),
  missing_key: trans => trans.__('The provider has no API key.'),
  model_not_found: trans => trans.__('The provider does not have this model.'),
  no_provider: trans => trans.__('No server that runs has this provider.'),
  not_stored: trans => trans.__('The answer could not be stored.'),
  provider_error: trans => trans.__('The provider returned an error.'),
  rate_limited: trans => trans.__('The provider is busy, or a limit is reached.'),
  server_died: trans => trans.__('The server died.'),
  server_stopped: trans => trans.__('The server was stopped.'),
  tls_error: trans => trans.__('The connection to the provider is not secure.'),
  total_timeout: trans => trans.__('The attempt took too long.'),
  truncated: trans => trans.__('The answer broke off.'),
  unauthorized: trans => trans.__('The provider rejected the API key.'),
  unknown_provider: trans => trans.__('The provider is unknown.'),
  unreachable: trans => trans.__('The provider cannot be reached.')
};

/**
 * Return the sentence about an error.
 *
 * The server's sentence is English and has the details. Where the page's language has a sentence for the code, that
 * comes first and the server's follows in parentheses.
 */
export function errorMessage({ code, message }: ErrorInfo): string {
  const meaning = Object.hasOwn(MESSAGES, code) ? MESSAGES[code] : undefined;
  const translated = meaning?.(trans);
  return translated === undefined || translated === meaning?.(english) ? message : `${translated} (${message})`;
}
