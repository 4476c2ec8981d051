/**
 * Elects the one window of this browser that shows a toast.
 *
 * It does not use Web Locks: these need https, and many Jupyter servers are reached by plain http.
 */

/** How long a window waits for the claims of other windows. */
const WAIT = 200; // ms
/** The rank of a toast that was shown: the lowest of all. */
const SHOWN = -1;

/** A window's claim to show a toast; the lowest rank wins. */
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

  /** Return whether this window is to show a toast. Of windows that ask at about the same time, one gets true. */
  async mayShow(what: string): Promise<boolean> {
    if (this._lowest(what) === SHOWN) {
      return false;
    }
    // The window with the focus precedes other visible windows.
    const rank = this._random() + (document.hasFocus() ? 0 : 1);
    this._note({ what, rank });
    this._channel?.postMessage({ what, rank });
    await new Promise(resolve => setTimeout(resolve, this._channel === null ? 0 : WAIT));
    if (this._lowest(what) !== rank) {
      return false;
    }
    this._note({ what, rank: SHOWN });
    this._channel?.postMessage({ what, rank: SHOWN });
    return true;
  }

  private _hear(claim: Claim): void {
    if (this._lowest(claim.what) === SHOWN && claim.rank !== SHOWN) {
      this._channel?.postMessage({ what: claim.what, rank: SHOWN }); // for windows that opened later
    }
    this._note(claim);
  }

  private _note({ what, rank }: Claim): void {
    this._ranks.set(what, Math.min(rank, this._lowest(what)));
  }

  private _lowest(what: string): number {
    return this._ranks.get(what) ?? Infinity;
  }

  /** The lowest received rank, by toast. */
  private readonly _ranks = new Map<string, number>();
}
