/**
 * Checks the relative links of every Markdown file: the file is there, and so is the heading.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, posix, sep } from "node:path";
import { anchorsOf, isExternal, linksOf } from "./document.ts";
import { main, output, root, StepError } from "./tools.ts";

/** Files by their path in the project, with slashes. */
export interface Files {
  /** Whether there is such a file or folder. */
  exists(path: string): boolean;
  read(path: string): string;
}

/** What is wrong with the links of a page. */
export function brokenLinks(page: string, files: Files): string[] {
  return linksOf(files.read(page)).filter((target) => !isExternal(target)).flatMap((target) => {
    const [path, anchor] = target.split("#", 2).map(decodeURIComponent);
    if (path.startsWith("/")) return [`${page}: "${target}" must be relative`];
    const file = path === "" ? page : posix.join(dirname(page), path);
    if (file.startsWith("../") || !files.exists(file)) return [`${page}: "${target}" leads nowhere`];
    if (anchor === undefined || !file.endsWith(".md")) return [];
    return anchorsOf(files.read(file)).has(anchor) ? [] : [`${page}: "${target}" names no heading of ${file}`];
  });
}

/** The project's Markdown files, those that aren't committed yet among them. */
export function markdownFiles(): string[] {
  const listed = output("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]) ?? "";
  return [...new Set(listed.split("\0"))].filter((file) => file !== "" && existsSync(join(root, file))).sort();
}

/** Checks every page. @throws {StepError} With every link that leads nowhere. */
export function checkLinks(): void {
  const at = (path: string): string => join(root, path.replaceAll("/", sep));
  const files: Files = { exists: (path) => existsSync(at(path)), read: (path) => readFileSync(at(path), "utf8") };
  const broken = markdownFiles().flatMap((page) => brokenLinks(page, files));
  if (broken.length > 0) throw new StepError(`Cannot follow ${broken.length} links:\n${broken.join("\n")}`);
}

if (import.meta.main) await main(checkLinks);
