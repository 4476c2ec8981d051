/** Call all listeners, even if one of them throws. */
export function emitAll<T extends unknown[]>(listeners: Iterable<(...news: T) => void>, ...news: T): void {
  for (const listener of [...listeners]) {
    try {
      listener(...news);
    } catch (error) {
      console.error('jupyter_bgstream: a listener failed', error);
    }
  }
}
