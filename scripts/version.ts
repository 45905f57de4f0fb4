/**
 * Checks that every file that names belay's version names the same one. `--tag=v0.1.0` checks what a release needs, too: the
 * tag is that version, and the changelog has its date. With `--dry-run` the date may be missing.
 *
 * @module
 */

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { main, output, root, StepError } from "./tools.ts";

/** Files by their path in the project, with slashes. */
export interface TextFiles {
  /** The files whose text may name the version. */
  readonly paths: readonly string[];
  read(path: string): string;
}

/** What a release asks for beyond agreement. */
export interface ReleaseOptions {
  /** The tag that the release is made of. */
  readonly tag?: string;
  /** Whether the changelog may say "unreleased". Default: unless there is a tag. */
  readonly unreleased?: boolean;
}

const number = String.raw`\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?`;

/**
 * How documents and sources name the version: a package with its version, the package's file, a constant, and belay with a
 * number behind it, before another name or the end of the sentence. The version behind an `@` may be cut short, as in
 * `@belay/ffi@0.1`.
 */
const mentions = [
  String.raw`@belay/ffi@[\^~]?(\d+(?:\.\d+)*(?:-[0-9A-Za-z.-]+)?)`,
  String.raw`\bbelay-ffi-(${number})\.tgz`,
  String.raw`\b(?:const version|BELAY_VERSION)\b[^"\n]*"(${number})"`,
  String.raw`(?<![@\w])belay\b(?!-ffi-)[^\n.A-Z]{0,80}?\b(${number})`,
].map((pattern) => new RegExp(pattern, "g"));

/** Tests and findings name made-up versions and those of other packages, the changelog older ones. */
const elsewhere = /^(?:tests|findings)\/|^CHANGELOG\.md$/;

/** The places that a manifest has for the version. */
function manifestVersions(files: TextFiles): [string, unknown][] {
  const json = (path: string) => JSON.parse(files.read(path));
  const lock = json("package-lock.json") as { version?: string; packages?: Record<string, { version?: string }> };
  const [, zig] = /^\s*\.version = "([^"]*)"/m.exec(files.read("native/build.zig.zon")) ?? [];
  return [
    ["package.json", json("package.json").version],
    ["package-lock.json", lock.version ?? lock.packages?.[""]?.version],
    ["package-lock.json", lock.packages?.[""]?.version],
    ["native/build.zig.zon", zig],
  ];
}

/** The version that everything else has to name: that of deno.json. */
export function versionOf(files: TextFiles): string {
  const { version } = JSON.parse(files.read("deno.json")) as { version?: unknown };
  if (typeof version === "string" && new RegExp(`^${number}$`).test(version)) return version;
  throw new StepError(`Cannot take the version from deno.json: ${JSON.stringify(version)} is no version`);
}

/** What a version's heading in the changelog says, without the number: a date, or "unreleased". */
function releaseDate(changelog: string, version: string): string | undefined {
  const [, first = ""] = /^## (.+)$/m.exec(changelog) ?? [];
  return first.startsWith(`${version}, `) ? first.slice(version.length + 2) : undefined;
}

/** The changelog's section of a version, without its heading. */
export function notesOf(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((one) => one.startsWith(`${version},`));
  if (section === undefined) throw new StepError(`Cannot find "${version}" in CHANGELOG.md: no heading begins with it`);
  return `${section.slice(section.indexOf("\n")).trim()}\n`;
}

/** Every file that disagrees, with what it has. */
export function disagreements(
  files: TextFiles,
  { tag, unreleased = tag === undefined }: ReleaseOptions = {},
): string[] {
  const version = versionOf(files);
  const wrong: string[] = [];
  const expect = (file: string, has: unknown, agrees: boolean) => {
    const what = has === undefined ? "has no version" : `has ${JSON.stringify(has)}`;
    const line = `${file} ${what}`;
    if (!agrees && !wrong.includes(line)) wrong.push(line);
  };
  for (const [file, has] of manifestVersions(files)) expect(file, has, has === version);
  const date = releaseDate(files.read("CHANGELOG.md"), version);
  if (date === undefined) {
    wrong.push(`CHANGELOG.md doesn't begin with a heading "## ${version}, YYYY-MM-DD" or "## ${version}, unreleased"`);
  } else if (!isDate(date) && !(unreleased && date === "unreleased")) {
    wrong.push(`CHANGELOG.md has "## ${version}, ${date}": a release has its date, as in "## ${version}, 2026-01-31"`);
  }
  for (const path of files.paths.filter((path) => !elsewhere.test(path))) {
    const text = files.read(path);
    for (const mention of mentions) {
      for (const [whole, has] of text.matchAll(mention)) {
        expect(path, whole, has === version || (whole.includes("@") && version.startsWith(`${has}.`)));
      }
    }
  }
  if (tag !== undefined && tag !== `v${version}`) wrong.push(`the tag is "${tag}", not "v${version}"`);
  return wrong;
}

function isDate(text: string): boolean {
  return /^\d{4}-\d\d-\d\d$/.test(text) && new Date(text).toJSON()?.slice(0, 10) === text;
}

/** The files of the checkout. */
export function projectFiles(): TextFiles {
  const listed = output("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]) ?? "";
  const isFile = (path: string) =>
    path !== "" && statSync(join(root, path), { throwIfNoEntry: false })?.isFile() === true;
  const paths = [...new Set(listed.split("\0"))].filter(isFile);
  return { paths, read: (path) => readFileSync(join(root, path), "utf8") };
}

/** Checks the checkout. @throws {StepError} With every file that names another version. */
export function checkVersion(options: ReleaseOptions = {}): void {
  const files = projectFiles();
  const wrong = disagreements(files, options);
  if (wrong.length > 0) {
    throw new StepError(`Cannot pass: deno.json has version "${versionOf(files)}"\n${wrong.join("\n")}`);
  }
}

/** The value of an argument `--name=value`. */
function option(name: string): string | undefined {
  return process.argv.slice(2).find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
}

if (import.meta.main) {
  await main(() => {
    const tag = option("tag");
    const unreleased = tag === undefined || process.argv.includes("--dry-run");
    checkVersion({ ...(tag === undefined ? {} : { tag }), unreleased });
    console.log(`Every file names version ${versionOf(projectFiles())}.`);
  });
}
