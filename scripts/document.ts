/**
 * What of a Markdown page other pages depend on: its links, and the anchors that links to it may name.
 *
 * @module
 */

/** Puts blanks where a pattern matches, so that all other text stays where it is. */
function blank(text: string, pattern: RegExp): string {
  return text.replaceAll(pattern, (match) => match.replaceAll(/[^\n]/g, " "));
}

/** The page without its fenced code. */
function withoutFences(markdown: string): string {
  return blank(markdown, /^( *)(`{3,}|~{3,})[^\n]*\n[\s\S]*?^ *\2[`~]* *$/gm);
}

/** The page without any code: what looks like a link there is none. */
function withoutCode(markdown: string): string {
  return blank(withoutFences(markdown), /(?<!`)(`+)(?!`)[\s\S]*?[^`]\1(?!`)/g);
}

/** Where links lead: inline ones and images, reference definitions, and those of HTML. */
const targets = /(?<=\]\(\s*<?)[^)\s>]+|(?<=^ {0,3}\[[^\]\n]+\]:\s*<?)[^\s>]+|(?<=\s(?:src|href)=")[^"]+/gm;

/** Where the links of a page lead, as they are written. */
export function linksOf(markdown: string): string[] {
  return [...withoutCode(markdown).matchAll(targets)].map(([target]) => target);
}

/** The page with other link targets. */
export function replaceLinks(markdown: string, replacement: (target: string) => string): string {
  let [result, end] = ["", 0];
  for (const { 0: target, index } of withoutCode(markdown).matchAll(targets)) {
    result += markdown.slice(end, index) + replacement(target);
    end = index + target.length;
  }
  return result + markdown.slice(end);
}

/** Whether a link leads out of the project: it has a scheme. */
export function isExternal(target: string): boolean {
  return /^([a-z][a-z0-9+.-]*:|\/\/)/i.test(target);
}

/** A heading's anchor, as GitHub makes it: lower case, hyphens for spaces, and no punctuation. */
export function slugOf(heading: string): string {
  return heading.trim().toLowerCase().replaceAll(/[^\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc} -]/gu, "").replaceAll(" ", "-");
}

/** The headings of a page, as plain text, with their levels. */
export function headingsOf(markdown: string): { readonly level: number; readonly text: string }[] {
  return [...withoutFences(markdown).matchAll(/^(#{1,6}) +(.+?) *#*$/gm)].map(([, marks, source]) => ({
    level: marks.length,
    text: source.replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*]/g, ""),
  }));
}

/** The anchors of a page: those of its headings, where a repeated one gets a number, and what HTML names. */
export function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  for (const { text } of headingsOf(markdown)) {
    const slug = slugOf(text);
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  for (const [, id] of withoutCode(markdown).matchAll(/\s(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}
