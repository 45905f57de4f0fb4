/** The check of GitHub's workflows: what it finds beyond actionlint, and what it lets pass. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { parseYaml, problemsOf, type Project, readWorkflow, workflowFiles } from "../../scripts/workflows.ts";
import { leftOut } from "../support/left_out.ts";

/** Whether YAML can be read: Deno for another system can't start this machine's Bun. */
function canParse(): boolean {
  try {
    return parseYaml("a: 1") !== undefined;
  } catch {
    leftOut("the check of the workflows, which the host's Bun reads");
    return false;
  }
}

const itParses = canParse() ? it : it.skip;

const project: Project = {
  deno: "2.0.0",
  tasks: { test: "deno run -A scripts/test.ts", ok: "deno run scripts/ok.ts", lost: "deno run scripts/lost.ts" },
  names: { ok: ["lint", "types"] },
  exists: (path) => ["scripts/test.ts", "scripts/ok.ts", ".ci/run"].includes(path),
};

const commit = "0123456789abcdef0123456789abcdef01234567";

/** A workflow with a job of these lines, each a step. */
function workflow(...steps: readonly string[]): string {
  return `name: w
on: push
permissions:
  contents: read
jobs:
  one:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    steps:
${steps.map((step) => `      - ${step}\n`).join("")}`;
}

function problems(text: string): string[] {
  return problemsOf("w.yml", text, project);
}

describe("a workflow", () => {
  itParses("runs tasks of deno.json and scripts, with pinned actions", () => {
    assertEquals(
      problems(workflow(
        `uses: actions/checkout@${commit} # v7.0.1`,
        "uses: ./.github/actions/setup",
        "run: npx --yes deno@2.0.0 task test --only=bun",
        "run: npx --yes deno@2.0.0 task ok lint types",
        "run: .ci/run",
        "run: |\n          apt-get -qq update\n          npx --yes deno@2.0.0 task test",
      )),
      [],
    );
  });

  itParses("doesn't take actions by a name that may move", () => {
    const message = "isn't pinned: expected the commit, and its version as a comment";
    assertEquals(problems(workflow("uses: actions/checkout@v7", `uses: actions/setup-node@${commit}`)), [
      `w.yml: "actions/checkout@v7" ${message}`,
      `w.yml: "actions/setup-node@${commit}" ${message}`,
    ]);
    const action = `runs:\n  using: composite\n  steps:\n    - uses: actions/setup-node@v7\n`;
    assertEquals(problems(action), [`w.yml: "actions/setup-node@v7" ${message}`]);
  });

  itParses("has no command that can't be tried here", () => {
    assertEquals(
      problems(workflow(
        "run: npm publish",
        "run: .ci/walk",
        "run: npx --yes deno@2.0.1 task test",
        "run: npx --yes deno task test",
        "run: npx --yes deno@2.0.0 task tests",
        "run: npx --yes deno@2.0.0 task lost",
        "run: npx --yes deno@2.0.0 task ok lint tpyes",
      )),
      [
        'w.yml: "npm publish" is no task of deno.json, so it can\'t be tried here',
        'w.yml: there is no file ".ci/walk"',
        'w.yml: "npx --yes deno@2.0.1 task test" takes another Deno than 2.0.0 of package.json',
        'w.yml: "npx --yes deno task test" takes another Deno than 2.0.0 of package.json',
        'w.yml: deno.json has no task "tests"',
        'w.yml: the task "lost" has no script',
        'w.yml: the task "ok" knows no "tpyes"',
      ],
    );
  });

  itParses("puts no expression into a command", () => {
    assertEquals(problems(workflow("run: npx --yes deno@2.0.0 task test --only=${{ matrix.runtime }}")), [
      'w.yml: "npx --yes deno@2.0.0 task test --only=${{ matrix.runtime }}" has an expression, which may be anybody\'s ' +
      "text: expected a variable of `env`",
    ]);
  });

  itParses("says its permissions and the time limit of each job", () => {
    const without = workflow("run: .ci/run").replace(/permissions:\n.*\n/, "").replace(/.*timeout.*\n/, "");
    assertEquals(problems(without), [
      "w.yml: the workflow doesn't say its permissions",
      'w.yml: "one" has no time limit',
    ]);
    assertEquals(problems("permissions:\n  contents: read\njobs:\n  ci:\n    uses: ./.github/workflows/ci.yml\n"), []);
  });
});

itParses("only the jobs that publish may write, and only what they need", () => {
  const writing = workflowFiles().flatMap((path) => {
    const { permissions, jobs = {} } = readWorkflow(path);
    const named = [["", permissions], ...Object.entries(jobs).map(([name, job]) => [name, job.permissions])] as const;
    return named.filter(([, rights]) => JSON.stringify(rights ?? "").includes("write"));
  });
  assertEquals(writing, [
    ["publish", { contents: "read", "id-token": "write" }],
    ["announce", { contents: "write" }],
  ]);
});
