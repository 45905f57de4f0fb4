/**
 * The steps of a release, which `.github/workflows/release.yml` runs one by one:
 *
 * - `pack` makes both packages, the notes and the sums, in `dist-release/`.
 * - `check` compares the packages' cores with those in `dist-tested/`, which another machine built and tested.
 * - `publish` publishes to JSR and to npm. What is there already is left alone, so that a failed step can be run again.
 * - `announce` makes the release on GitHub.
 *
 * With `--dry-run` the last two publish nothing. `--rehearse` runs the workflow's steps here, with `--dry-run`.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { packForJsr } from "./pack.ts";
import { rehearse } from "./rehearsal.ts";
import { deno, filesIn, main, output, root, run, StepError } from "./tools.ts";
import { notesOf, projectFiles, versionOf } from "./version.ts";

const releaseFolder = join(root, "dist-release");
const testedFolder = join(root, "dist-tested");
/** The folder in npm's package that the cores are in, by their platforms. */
const coresInPackage = "package/native/lib";

/** The first npm that publishes without a token: https://docs.npmjs.com/trusted-publishers */
const oldestNpm = [11, 5, 1];

/** A core, by its path below the folder of the cores. */
export type Cores = ReadonlyMap<string, Uint8Array>;

/** What {@linkcode refusal} looks at. */
export interface Conditions {
  /** Whether GitHub gives this job OpenID Connect tokens: permission `id-token: write`. */
  readonly mayIdentify: boolean;
  /** What `npm --version` says. */
  readonly npm: string;
  /** `repository` of package.json. */
  readonly repository: unknown;
  /** The repository that the workflow runs in, as `owner/name`. Without a workflow there is none. */
  readonly runsIn?: string;
}

/** Why JSR or npm would refuse the package, if one of them would: before the other has it. */
export function refusal({ mayIdentify, npm, repository, runsIn }: Conditions): string | undefined {
  if (!mayIdentify) return "only a job of release.yml can, with the permission `id-token: write`";
  const version = npm.split(".").map(Number);
  const first = oldestNpm.findIndex((part, index) => version[index] !== part);
  if (first >= 0 && !(version[first] > oldestNpm[first])) {
    return `npm ${npm} can't publish without a token: expected ${oldestNpm.join(".")} or later`;
  }
  // npm compares them with the provenance, letter by letter, after it has been signed.
  const url = (repository as { url?: unknown } | undefined)?.url;
  const [, named] = /^git\+https:\/\/github\.com\/([^/]+\/[^/]+)\.git$/.exec(String(url)) ?? [];
  if (named === undefined) {
    return 'package.json needs "repository": { "type": "git", "url": "git+https://github.com/OWNER/NAME.git" }';
  }
  return runsIn === undefined || runsIn === named
    ? undefined
    : `package.json has the repository "${named}", and this is "${runsIn}"`;
}

function sum(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The lines of `SHA256SUMS`, as `sha256sum --check` reads them. */
export function sumsOf(files: ReadonlyMap<string, Uint8Array>): string {
  return [...files].sort(([one], [other]) => one < other ? -1 : 1).map(([path, bytes]) => `${sum(bytes)}  ${path}\n`)
    .join("");
}

/** The text of modules, by the package that has them. */
export type Modules = Readonly<Record<string, readonly string[]>>;

/** How the packages' cores differ from those that were tested: npm's files, and the modules of both that have their bytes. */
export function differences(packed: Cores, tested: Cores, modules: Modules): string[] {
  const wrong: string[] = [];
  for (const path of [...new Set([...packed.keys(), ...tested.keys()])].sort()) {
    const [mine, other] = [packed.get(path), tested.get(path)];
    if (mine === undefined) wrong.push(`${path} isn't in npm's package`);
    else if (other === undefined) wrong.push(`${path} wasn't tested`);
    else if (sum(mine) !== sum(other)) {
      wrong.push(`${path} is ${sum(mine)} in the package, and ${sum(other)} was tested`);
    } else {
      const base64 = Buffer.from(mine).toString("base64");
      for (const [name, texts] of Object.entries(modules)) {
        if (!texts.some((text) => text.includes(base64))) wrong.push(`${path} is in no module of ${name}'s package`);
      }
    }
  }
  if (packed.size === 0) wrong.push("npm's package has no core");
  return wrong;
}

/** The cores in a folder; beside each may be what it was built of. */
function coresIn(folder: string): Cores {
  const paths = filesIn(folder).filter((path) => !path.endsWith(".sha256"));
  return new Map(paths.map((path) => [path, readFileSync(join(folder, path))]));
}

function modulesIn(folder: string): string[] {
  return filesIn(folder).filter((path) => /\.[cm]?[jt]s$/.test(path)).map((path) =>
    readFileSync(join(folder, path), "utf8")
  );
}

function version(): string {
  return versionOf(projectFiles());
}

function packageFile(): string {
  return `belay-ffi-${version()}.tgz`;
}

/** What npm's package has: its cores, and the text of its modules. */
function unpacked(): { readonly cores: Cores; readonly modules: readonly string[] } {
  const folder = mkdtempSync(join(tmpdir(), "belay-release-"));
  try {
    run("tar", ["-xzf", join(releaseFolder, packageFile()), "-C", folder]);
    return { cores: coresIn(join(folder, ...coresInPackage.split("/"))), modules: modulesIn(join(folder, "package")) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The sums of npm's package and of each core in it, by the paths that unpacking gives them. */
function sums(cores: Cores): string {
  const files = new Map<string, Uint8Array>([[packageFile(), readFileSync(join(releaseFolder, packageFile()))]]);
  for (const [path, bytes] of cores) files.set(`${coresInPackage}/${path}`, bytes);
  return sumsOf(files);
}

function pack(): void {
  rmSync(releaseFolder, { recursive: true, force: true });
  mkdirSync(releaseFolder);
  run("npm", ["pack", "--pack-destination", releaseFolder]);
  packForJsr(join(releaseFolder, "jsr"));
  writeFileSync(join(releaseFolder, "NOTES.md"), notesOf(readFileSync(join(root, "CHANGELOG.md"), "utf8"), version()));
  writeFileSync(join(releaseFolder, "SHA256SUMS"), sums(unpacked().cores));
  console.log(readFileSync(join(releaseFolder, "SHA256SUMS"), "utf8"));
}

function check(): void {
  const { cores, modules } = unpacked();
  const wrong = differences(cores, coresIn(testedFolder), { JSR: modulesIn(join(releaseFolder, "jsr")), npm: modules });
  if (readFileSync(join(releaseFolder, "SHA256SUMS"), "utf8") !== sums(cores)) wrong.push("SHA256SUMS has other sums");
  if (wrong.length > 0) throw new StepError(`Cannot publish what wasn't tested:\n${wrong.join("\n")}`);
  console.log(`The packages have the ${cores.size} cores that were tested.`);
}

function publish(dryRun: boolean): void {
  const runsIn = process.env["GITHUB_REPOSITORY"];
  const { repository } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const npm = output("npm", ["--version"]) ?? "";
  const mayIdentify = process.env["ACTIONS_ID_TOKEN_REQUEST_URL"] !== undefined;
  const refused = refusal({ mayIdentify, npm, repository, ...(runsIn === undefined ? {} : { runsIn }) });
  if (refused !== undefined && !dryRun) throw new StepError(`Cannot publish: ${refused}`);
  const more = dryRun ? ["--dry-run"] : [];
  // JSR leaves a version alone that is there already.
  run(deno(), ["publish", ...more, ...dryRun ? ["--allow-dirty"] : []], { cwd: join(releaseFolder, "jsr") });
  if (output("npm", ["view", `@belay/ffi@${version()}`, "version"]) === version()) {
    console.log(`npm has ${version()} already.`);
  } else {
    const tag = version().includes("-") ? "next" : "latest";
    const options = ["--provenance", "--access", "public", "--tag", tag, "--ignore-scripts", ...more];
    run("npm", ["publish", `./${packageFile()}`, ...options], { cwd: releaseFolder });
  }
  const elsewhere = refusal({ mayIdentify: true, npm, repository });
  if (elsewhere !== undefined) console.log(`\nA release would be refused on GitHub, too: ${elsewhere}`);
}

function announce(dryRun: boolean): void {
  const tag = `v${version()}`;
  const args = ["release", "create", tag, packageFile(), "SHA256SUMS", "--title", tag, "--notes-file", "NOTES.md"];
  if (tag.includes("-")) args.push("--prerelease");
  if (dryRun) {
    console.log(`gh ${[...args, "--verify-tag"].join(" ")}`);
    for (const file of [packageFile(), "SHA256SUMS", "NOTES.md"]) readFileSync(join(releaseFolder, file));
  } else if (spawnSync("gh", ["release", "view", tag], { cwd: root }).status === 0) {
    console.log(`GitHub has the release ${tag} already.`);
  } else {
    run("gh", [...args, "--verify-tag"], { cwd: releaseFolder });
  }
}

const steps: Readonly<Record<string, (dryRun: boolean) => void>> = { pack, check, publish, announce };

/** The steps that the workflow can name. */
export const releaseSteps: readonly string[] = Object.keys(steps);

if (import.meta.main) {
  await main(() => {
    const args = process.argv.slice(2);
    if (args.includes("--rehearse")) return rehearse();
    const names = args.filter((arg) => !arg.startsWith("--"));
    if (names.length !== 1 || !(names[0] in steps)) {
      throw new StepError(`Cannot release: expected one of ${releaseSteps.join(", ")}, or --rehearse`);
    }
    steps[names[0]](args.includes("--dry-run"));
  });
}
