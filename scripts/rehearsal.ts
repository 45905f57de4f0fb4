/**
 * Runs the steps of `.github/workflows/release.yml` on this machine, in order, and publishes nothing. A job gets a folder of
 * its own, with a copy of the checkout where the workflow checks it out. Artifacts go from job to job as on GitHub.
 *
 * @module
 */

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { output, root, run, StepError, toolsFolder } from "./tools.ts";
import { projectFiles, versionOf } from "./version.ts";
import { commandsOf, type Job, readWorkflow, type Step } from "./workflows.ts";

/** Jobs that a rehearsal leaves out, and what runs their steps. */
const leftOut: Readonly<Record<string, string>> = {
  "ci/test": "`deno task test` is that, for this machine",
  "ci/gate": "`.ci/run` is that",
  windows: "`deno task test:windows` is that",
  musl: "`deno task test:musl` is that",
};

/** The commands that know `--dry-run`, which a rehearsal adds. */
const knowsDryRun = / task (?:release|version) /;

/** A job, with its name. */
export interface NamedJob {
  readonly name: string;
  readonly job: Job;
}

/** The jobs of a workflow in the order of their needs; those of called workflows in their place. */
export function jobsInOrder(jobs: Readonly<Record<string, Job>>, called: (path: string) => typeof jobs): NamedJob[] {
  const ordered: NamedJob[] = [];
  const left = new Map(Object.entries(jobs));
  const needsOf = ({ needs = [] }: Job): readonly string[] => typeof needs === "string" ? [needs] : needs;
  while (left.size > 0) {
    const next = [...left].find(([, job]) => needsOf(job).every((need) => !left.has(need)));
    if (next === undefined) throw new StepError(`Cannot order ${[...left.keys()].join(", ")}: they need each other`);
    const [name, job] = next;
    left.delete(name);
    if (job.uses === undefined) ordered.push({ name, job });
    else {
      for (const inner of jobsInOrder(called(job.uses), called)) {
        ordered.push({ name: `${name}/${inner.name}`, job: inner.job });
      }
    }
  }
  return ordered;
}

/** A command as a rehearsal runs it. */
export function rehearsed(command: string): string {
  return knowsDryRun.test(command) ? `${command} --dry-run` : command;
}

/** Copies the checkout, what isn't committed too, and gives it the tools that are installed here. */
function checkOut(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const path of projectFiles().paths) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    cpSync(join(root, path), join(folder, path));
  }
  for (const name of ["node_modules", ".tools"]) symlinkSync(join(root, name), join(folder, name));
  // What lists the project's files asks git.
  run("git", ["init", "--quiet"], { cwd: folder });
  run("git", ["add", "--all"], { cwd: folder });
}

function withOf(step: Step, name: string): string {
  const value = step.with?.[name];
  if (typeof value !== "string") throw new StepError(`Cannot rehearse ${step.uses}: it has no "${name}"`);
  return value;
}

function runStep(step: Step, workspace: string, artifacts: string): void {
  const action = step.uses?.split("@")[0] ?? "";
  if (action === "actions/checkout") {
    checkOut(step.with?.["path"] === undefined ? workspace : join(workspace, withOf(step, "path")));
  } else if (action === "actions/upload-artifact") {
    const source = join(workspace, withOf(step, "path"));
    if (!existsSync(source) || readdirSync(source).length === 0) throw new StepError(`Cannot find "${source}"`);
    cpSync(source, join(artifacts, withOf(step, "name")), { recursive: true });
  } else if (action === "actions/download-artifact") {
    cpSync(join(artifacts, withOf(step, "name")), join(workspace, withOf(step, "path")), { recursive: true });
  } else if (action.startsWith("./")) {
    // It installs tools, which are here.
    if (!statSync(join(workspace, action)).isDirectory()) throw new StepError(`Cannot find "${action}"`);
  } else if (step.run !== undefined) {
    const cwd = join(workspace, step["working-directory"] ?? "");
    const script = commandsOf(step).map(rehearsed).join("\n");
    console.log(`\n$ ${script}`);
    const env = { GITHUB_REF_NAME: `v${versionOf(projectFiles())}` };
    run("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", script], { cwd, env });
  } else {
    throw new StepError(`Cannot rehearse "${step.uses}"`);
  }
}

/** Runs every job of a release that this machine can run. @throws {StepError} When a step fails. */
export function rehearse(): void {
  if (output("bash", ["--version"]) === undefined) throw new StepError("Cannot rehearse: bash is missing");
  const folder = join(toolsFolder, "rehearsal");
  const jobsOf = (path: string) => readWorkflow(path.replace(/^\.\//, "")).jobs ?? {};
  const skipped: string[] = [];
  try {
    for (const { name, job } of jobsInOrder(jobsOf(".github/workflows/release.yml"), jobsOf)) {
      if (name in leftOut) {
        skipped.push(`Left out: ${name}. ${leftOut[name]}`);
        continue;
      }
      console.log(`\n=== ${name} ===`);
      const workspace = join(folder, name.replaceAll("/", "-"));
      rmSync(workspace, { recursive: true, force: true });
      mkdirSync(workspace, { recursive: true });
      for (const step of job.steps ?? []) runStep(step, workspace, join(folder, "artifacts"));
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`\nEvery step of the release that can run here has passed, and nothing was published.`);
  for (const line of skipped) console.log(line);
}
