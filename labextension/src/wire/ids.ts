/** Ids of jobs and batches that a notebook or a kernel names. */

/** Return whether the server accepts an id. It refuses a whole request with one other id in it. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(value);
}
