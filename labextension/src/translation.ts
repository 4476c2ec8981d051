/** Translation of the text that people read: English until the extension is activated with Lab's translator. */

/** The part of Lab's `TranslationBundle` that is used here. `%1` stands for the first value; in a plural, for the count. */
export interface Trans {
  __(text: string, ...values: unknown[]): string;
  _n(singular: string, plural: string, count: number, ...values: unknown[]): string;
}

/** Text as it is written in the code, for pages without Lab and for what is stored. */
export const english: Trans = {
  __: (text, ...values) => fill(text, values),
  _n: (singular, plural, count, ...values) => fill(count === 1 ? singular : plural, [count, ...values])
};

let current = english;

/** Set the language of this page, once, before anything is drawn. */
export function setTranslation(translation: Trans): void {
  current = translation;
}

/** The page's language. Call it where text is drawn, never while a module is loaded. */
export const trans: Trans = {
  __: (text, ...values) => current.__(text, ...values),
  _n: (singular, plural, count, ...values) => current._n(singular, plural, count, ...values)
};

function fill(text: string, values: readonly unknown[]): string {
  return text.replace(/%(\d+)/g, (_, position) => String(values[Number(position) - 1]));
}
