/**
 * Checks GitHub's workflows, which run nowhere else: with actionlint, and for what actionlint doesn't know. Every command in
 * them is a task of deno.json or a script of the project, so that it can be tried without GitHub.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { MissingError } from "./packages.ts";
import { bun, main, output, root, run, StepError, toolsFolder } from "./tools.ts";

/** The Go module that actionlint is installed from. */
const actionlintVersion = "v1.7.12";

/** A step of a job, as far as the scripts look at it. */
export interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly "working-directory"?: string;
}

/** A job: steps, or another workflow that is called. */
export interface Job {
  readonly uses?: string;
  readonly needs?: string | readonly string[];
  readonly permissions?: unknown;
  readonly steps?: readonly Step[];
  readonly "timeout-minutes"?: number;
}

/** A workflow, or an action that is made of steps. */
export interface Workflow {
  readonly permissions?: unknown;
  readonly jobs?: Readonly<Record<string, Job>>;
  readonly runs?: { readonly steps: readonly Step[] };
}

/** What the commands of workflows may be. */
export interface Project {
  /** The pinned version of Deno. */
  readonly deno: string;
  /** The tasks of deno.json, with their commands. */
  readonly tasks: Readonly<Record<string, string>>;
  /** For tasks that take names: which there are. */
  readonly names: Readonly<Record<string, readonly string[]>>;
  /** Whether the project has a file. */
  exists(path: string): boolean;
}

/** The project as it is here; `names` are those that tasks take. */
export function thisProject(names: Readonly<Record<string, readonly string[]>>): Project {
  const json = (file: string) => JSON.parse(readFileSync(join(root, file), "utf8"));
  const tasks = json("deno.json").tasks as Record<string, { command: string }>;
  return {
    deno: json("package.json").devDependencies.deno,
    tasks: Object.fromEntries(Object.entries(tasks).map(([name, { command }]) => [name, command])),
    names,
    exists: (path) => existsSync(join(root, path)),
  };
}

/** Reads YAML by Bun's parser: the one that runs this, or the pinned one. */
export function parseYaml(text: string): unknown {
  const { Bun } = globalThis as { Bun?: { YAML: { parse(text: string): unknown } } };
  if (Bun !== undefined) return Bun.YAML.parse(text);
  const program = "console.log(JSON.stringify(Bun.YAML.parse(await Bun.stdin.text())))";
  const { status, stdout, stderr } = spawnSync(bun(), ["-e", program], { input: text, encoding: "utf8" });
  if (status !== 0) throw new StepError(`Cannot read YAML: ${stderr}`);
  return JSON.parse(stdout);
}

/** The workflows and their actions, by their paths. */
export function workflowFiles(): string[] {
  const entries = readdirSync(join(root, ".github"), { recursive: true, encoding: "utf8" });
  return entries.map((path) => `.github/${path.replaceAll("\\", "/")}`).filter((path) => /\.ya?ml$/.test(path)).sort();
}

/** Reads a workflow of the project. */
export function readWorkflow(path: string): Workflow {
  return parseYaml(readFileSync(join(root, path), "utf8")) as Workflow;
}

/** The commands of a step: one a line. */
export function commandsOf(step: Step): string[] {
  return (step.run ?? "").split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

/** What is wrong with a command, if anything. */
function wrongCommand(command: string, { deno, tasks, names, exists }: Project): string | undefined {
  // Debian's container images lack what GitHub's machines have.
  if (/^apt-get [\w -]+$/.test(command)) return undefined;
  if (/^\.[\w./-]+$/.test(command)) return exists(command) ? undefined : `there is no file "${command}"`;
  const [, version, task = "", rest = ""] = /^npx --yes deno(?:@(\S+))? task (\S+)(.*)$/.exec(command) ?? [];
  if (task === "") return `"${command}" is no task of deno.json, so it can't be tried here`;
  if (version !== deno) return `"${command}" takes another Deno than ${deno} of package.json`;
  if (!(task in tasks)) return `deno.json has no task "${task}"`;
  const [script] = /scripts\/\S+\.ts|tests\/\S+\.ts/.exec(tasks[task]) ?? [];
  if (script === undefined || !exists(script)) return `the task "${task}" has no script`;
  const unknown = rest.split(" ").filter((name) =>
    name !== "" && !name.startsWith("--") && names[task]?.includes(name) === false
  );
  return unknown.length > 0 ? `the task "${task}" knows no "${unknown.join(", ")}"` : undefined;
}

/** What is wrong with a workflow that actionlint lets pass. */
export function problemsOf(path: string, text: string, project: Project): string[] {
  const workflow = parseYaml(text) as Workflow;
  const wrong: string[] = [];
  for (const [, action, version = ""] of text.matchAll(/^\s*(?:- )?uses: (\S+)(.*)$/gm)) {
    const pinned = action.startsWith("./") || (/@[0-9a-f]{40}$/.test(action) && /^ # v[\d.]+$/.test(version));
    if (!pinned) wrong.push(`"${action}" isn't pinned: expected the commit, and its version as a comment`);
  }
  if (workflow.jobs !== undefined && workflow.permissions === undefined) {
    wrong.push("the workflow doesn't say its permissions");
  }
  for (const [name, job] of Object.entries(workflow.jobs ?? {})) {
    if (job.steps !== undefined && job["timeout-minutes"] === undefined) wrong.push(`"${name}" has no time limit`);
  }
  const steps = [
    ...Object.values(workflow.jobs ?? {}).flatMap((job) => job.steps ?? []),
    ...workflow.runs?.steps ?? [],
  ];
  for (const step of steps) {
    for (const command of commandsOf(step)) {
      const problem = command.includes("${{")
        ? `"${command}" has an expression, which may be anybody's text: expected a variable of \`env\``
        : wrongCommand(command, project);
      if (problem !== undefined) wrong.push(problem);
    }
  }
  return wrong.map((problem) => `${path}: ${problem}`);
}

/** actionlint, installed by Go. @throws {MissingError} When Go isn't there, or can't install it. */
function actionlint(): string {
  const folder = join(toolsFolder, "actionlint", actionlintVersion);
  const program = join(folder, process.platform === "win32" ? "actionlint.exe" : "actionlint");
  if (existsSync(program)) return program;
  const passed = "The project's own checks of them have passed";
  if (output("go", ["version"]) === undefined) {
    throw new MissingError(`Cannot check the workflows with actionlint: Go is missing. ${passed}`);
  }
  console.error(`Installing actionlint ${actionlintVersion} with Go …`);
  const caches = join(toolsFolder, "go");
  const env = { GOBIN: folder, GOPATH: caches, GOCACHE: join(caches, "cache"), GOFLAGS: "-modcacherw" };
  try {
    run("go", ["install", `github.com/rhysd/actionlint/cmd/actionlint@${actionlintVersion}`], { env, quiet: true });
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    throw new MissingError(`Cannot check the workflows with actionlint: Go can't install it. ${passed}`);
  } finally {
    rmSync(caches, { recursive: true, force: true });
  }
  return program;
}

/** Checks every workflow. @throws {StepError} With all that is wrong. */
export function checkWorkflows(names: Project["names"]): void {
  const project = thisProject(names);
  const wrong = workflowFiles().flatMap((path) => problemsOf(path, readFileSync(join(root, path), "utf8"), project));
  if (wrong.length > 0) throw new StepError(`Cannot pass:\n${wrong.join("\n")}`);
  // Its other checkers are programs that a machine may have or not.
  run(actionlint(), ["-shellcheck=", "-pyflakes="]);
}

if (import.meta.main) await main(() => checkWorkflows({}));
