/** Detects a block of code that a Markdown text leaves open. The same as `jupyter_bgstream/outputs/open_code_block.py`. */

/** Follows the lines of a text and knows the block of code that is open, if any. */
export class Fence {
  /** Take the next line, without its end. */
  follow(line: string): void {
    if (this._marks === '') {
      const opening = /^( {0,3})(?:(`{3,})[^`]*$|(~{3,}))/.exec(line);
      this._indent = opening?.[1] ?? '';
      this._marks = opening?.[2] ?? opening?.[3] ?? '';
    } else {
      const bare = line.replace(/^[ \t\r]+/, '');
      if (bare.startsWith(this._marks) && /^(?:`+|~+)[ \t\r]*$/.test(bare)) {
        this._marks = '';
      }
    }
  }

  /** The line that closes the code; empty if none is open. */
  get closing(): string {
    return this._marks && this._indent + this._marks;
  }

  private _indent = '';
  private _marks = '';
}

/** Return the line that closes code left open at the end of a text, so that text below it is no code. */
export function closingFence(text: string): string {
  const fence = new Fence();
  for (const line of text.split('\n')) {
    fence.follow(line);
  }
  return fence.closing && (text.endsWith('\n') ? '' : '\n') + fence.closing;
}
