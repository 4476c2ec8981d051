/** Growing plain text of any length, in pieces: the page lays out only the visible ones. */

const PIECE = 2000; // characters, and then up to the end of the line
const LONGEST = 2 * PIECE;

export class PlainText {
  /** @param node is filled with the text; no other code may change its content. */
  constructor(readonly node: HTMLElement) {}

  show(text: string): void {
    if (!text.startsWith(this._text)) {
      this.node.replaceChildren();
      this._last = null;
      this._text = '';
    }
    for (let at = this._text.length; at < text.length;) {
      const piece = this._piece();
      const least = Math.max(PIECE - 1 - piece.length, 0);
      const room = text.slice(at, at + LONGEST - piece.length);
      const line = room.indexOf('\n', least);
      const end = at + (line < 0 ? withoutHalf(room) : line + 1);
      piece.appendData(text.slice(at, end));
      at = end;
    }
    this._text = text;
  }

  /** The last piece, or a new one if that is full. */
  private _piece(): Text {
    const last = this._last;
    if (last !== null && last.length < LONGEST - 1 && !(last.length >= PIECE && last.data.endsWith('\n'))) {
      return last;
    }
    const piece = document.createElement('div');
    piece.className = 'jp-bgstream-piece';
    this._last = piece.appendChild(document.createTextNode(''));
    this.node.append(piece);
    return this._last;
  }

  private _text = '';
  private _last: Text | null = null;
}

/** Return the length of a text without a last half of a surrogate pair. */
function withoutHalf(text: string): number {
  return text.length > 1 && /[\ud800-\udbff]$/.test(text) ? text.length - 1 : text.length;
}
