/**
 * Decides which diagrams of an answer are drawn.
 *
 * Lab draws a diagram in the page itself and then makes an image of it. By then everything that the diagram names has
 * loaded: an image as a shape, a style, a tag in a label. So a diagram that could name a resource stays code. Lab draws
 * in one task, and diagrams of many kinds can take forever. So only small diagrams of known kinds are drawn.
 */

/** Opening of a diagram for any parser: between the fence and its word are characters that `trim()` removes. */
const OPENING = /((?<!`)`{3,}|(?<!~)~{3,})([^\S\r\n]*)mermaid/gi;
/** An address, or a way to load one, however it is written. */
const MAY_LOAD = new RegExp(
  [
    'https?:',
    '//',
    '@\\{', // properties of a shape: an image
    '%%\\{|^[\\s>]*---[ \\t]*$|@import', // a configuration: styles of its own
    'url\\(|image-set|image\\(',
    'icon\\W{0,3}:|sprite', // images of people
    '<(?!br\\s*/?>|-)[a-z!/?]|(lt|#0*60|x0*3c);|%3c', // a tag
    '\\\\[0-9a-fux]' // a letter in disguise
  ].join('|'),
  'im'
);
/** How an image is written; HTML knows two names for it. A drawn diagram is one, too, and cannot be distinguished. */
const IMAGE = /!\[|<im/i;
/** Of more in one piece none is drawn: each is judged by all that follows. */
const MANY = 20;

/** The most arrows and lines: layout is not linear. */
const MOST_PARTS = 60;
const LONGEST = 2000; // characters

/** Kinds of diagrams whose size depends on the size of the text. */
const KINDS =
  /^\s*(?:graph|flowchart|sequenceDiagram|classDiagram|stateDiagram|erDiagram|journey|pie|mindmap|timeline|gitGraph|gantt|quadrantChart)(?![a-z])/;
/** A gantt chart's way to endless loops; a directive sets what is not ours to allow. */
const ENDLESS = /tickInterval|excludes|includes|weekday|%%\{|^---/im;

/** Return Markdown in which diagrams that could load something, or have an image beside them, are code. */
export function withoutLoadingDiagrams(markdown: string): string {
  const none = (markdown.match(OPENING)?.length ?? 0) > MANY || IMAGE.test(markdown);
  return markdown.replace(OPENING, (opening: string, fence: string, gap: string, at: number) =>
    // Where a fence ends is for the parser to say, and formulas are taken out before that: what follows may be in it.
    none || mayLoad(markdown.slice(at + opening.length)) ? `${fence}${gap}text` : opening
  );
}

function mayLoad(diagram: string): boolean {
  return MAY_LOAD.test(diagram.replace(/<<\w+>>/g, '')); // the words for kinds of classes look like tags
}

/** Return whether an SVG that comes of this Markdown, as returned above, can only be a diagram that Lab has drawn. */
export function drawsDiagrams(markdown: string): boolean {
  return markdown.search(OPENING) >= 0;
}

/** Return whether the Markdown has no diagram, or only diagrams that are drawn in time. */
export function isCheapDiagram(markdown: string): boolean {
  const openings = [...markdown.matchAll(OPENING)];
  return (
    openings.length <= MANY &&
    openings.every(({ index }, number) => isCheap(markdown.slice(index, openings[number + 1]?.index)))
  );
}

/** The same of one, with its opening and all up to the next. */
function isCheap(fenced: string): boolean {
  const end = fenced.indexOf('\n');
  const diagram = end < 0 ? '' : fenced.slice(end + 1);
  // In `a & b --> c & d` each node of one side is linked to each of the other.
  const linked = diagram.match(/&/g)?.length ?? 0;
  const parts = (diagram.match(/\n|;|[-=.~<>|]{2,}/g)?.length ?? 0) + linked * linked;
  return diagram.length <= LONGEST && parts <= MOST_PARTS && KINDS.test(diagram) && !ENDLESS.test(diagram);
}
