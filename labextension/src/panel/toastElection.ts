/**
 * Of all windows of this browser that could say the same thing, one does.
 *
 * Not Web Locks: a Jupyter server in a lab's network is often reached by plain http, where they do not exist.
 */

/** How long a window waits for others that want to speak too. */
const HEARING = 200; // ms
/** What has been said: nobody goes below. */
const SAID = -1;

interface Claim {
  what: string;
  rank: number;
}

export interface Channel {
  postMessage(claim: Claim): void;
  onmessage: ((message: MessageEvent<Claim>) => void) | null;
  close(): void;
}

export class WindowElection {
  constructor(
    private readonly _channel: Channel | null,
    private readonly _random: () => number = Math.random
  ) {
    if (_channel !== null) {
      _channel.onmessage = ({ data }) => this._hear(data);
    }
  }

  dispose(): void {
    this._channel?.close();
  }

  /** Whether this window is the one to say it; asked of several at about the same time, one hears yes. */
  async mayShow(what: string): Promise<boolean> {
    if (this._lowest(what) === SAID) {
      return false;
    }
    // The window that somebody works in before others that are in sight too.
    const rank = this._random() + (document.hasFocus() ? 0 : 1);
    this._note({ what, rank });
    this._channel?.postMessage({ what, rank });
    await new Promise(resolve => setTimeout(resolve, this._channel === null ? 0 : HEARING));
    if (this._lowest(what) !== rank) {
      return false;
    }
    this._note({ what, rank: SAID });
    this._channel?.postMessage({ what, rank: SAID });
    return true;
  }

  private _hear(claim: Claim): void {
    if (this._lowest(claim.what) === SAID && claim.rank !== SAID) {
      this._channel?.postMessage({ what: claim.what, rank: SAID }); // a window that opened since then does not know
    }
    this._note(claim);
  }

  private _note({ what, rank }: Claim): void {
    this._ranks.set(what, Math.min(rank, this._lowest(what)));
  }

  private _lowest(what: string): number {
    return this._ranks.get(what) ?? Infinity;
  }

  /** The lowest rank that was heard, by what is to be said. */
  private readonly _ranks = new Map<string, number>();
}
