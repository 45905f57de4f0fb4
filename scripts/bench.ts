/**
 * Runs every benchmark on Deno and Bun, and Go's where `go` is on the PATH, and holds the figures against what
 * docs/benchmarks.md claims. `--json` prints one array of figures instead of the table; `--small` only shows that everything runs.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Figure, Outcome } from "../bench/harness.ts";
import { build } from "./build.ts";
import { bun, deno, main, output, root, StepError } from "./tools.ts";

/** How much of another subject's time belay may take, by case, runtime and subject. */
const limits: Readonly<Record<string, number>> = {
  "handle/create-value-delete deno map": 1 / 3,
  "handle/create-value-delete bun map": 1 / 3,
  "handle/create-value-delete-500k-live deno map": 1 / 3,
  "handle/create-value-delete-500k-live bun map": 1 / 3,
  "handle/create-value-delete deno go": 1 / 15,
  "handle/create-value-delete bun go": 1 / 15,
  "handle/create-value-delete-500k-live deno go": 1 / 15,
  "handle/create-value-delete-500k-live bun go": 1 / 15,
  "handle/create-tracked deno error": 2.5,
  "handle/create-tracked bun error": 4,
  "call/add-i32 deno raw": 2.2,
  "call/add-i32 bun raw": 1.6,
  "call/nonblocking deno raw": 1.1,
  "call/nonblocking bun deno": 1.1,
  "call/nonblocking-1000 deno raw": 1 / 5,
  "call/nonblocking-1000 bun deno": 1 / 5,
  "callback/user-data deno raw": 1.25,
  "callback/user-data bun raw": 1.25,
  "callback/throw deno plain": 8,
  "callback/throw bun plain": 8,
  "callback/i32-i32 deno raw": 1.1,
  "callback/i32-i32 bun raw": 1.1,
  "closure/create-dispose deno raw": 1 / 8,
  "closure/create-dispose bun raw": 1 / 8,
  "handle-closure/create-dispose deno raw": 1 / 30,
  "handle-closure/create-dispose bun raw": 1 / 30,
  "struct/point-by-value deno raw": 1.5,
  "struct/point-by-value bun scalar": 3,
  "struct/read-100k deno array": 3,
  "struct/read-100k bun array": 3,
  "struct/read-at-pointer deno getters": 1.2,
  "struct/read-at-pointer bun getters": 1.6,
  "memory/read-f64 deno dataview": 2,
  "memory/read-f64 bun dataview": 2,
  "string/in-64 deno raw": 1.05,
  "string/in-64 bun raw": 1.05,
  "string/out-64 deno raw": 1.05,
  "string/out-64 bun raw": 1.05,
  "text/at-pointer-20 deno cstring": 0.8,
  "text/at-pointer-20 bun cstring": 2.4,
  "thread/post deno raw": 1 / 1000,
  "thread/post bun raw": 1 / 20,
  // At least 0.8 times as many events a second.
  "thread/post-4-threads deno one-thread": 1 / 0.8,
  "thread/post-4-threads bun one-thread": 1 / 0.8,
  "thread/wait deno raw": 1,
  "thread/wake-latency deno raw": 1.5,
  "thread/wake-latency bun raw": 2,
  "channel/event deno loop": 6,
  "channel/event bun loop": 6,
  "sqlite/udf-1M-rows deno raw": 0.75,
  "sqlite/udf-1M-rows deno node:sqlite": 1.2,
};

/** How long belay may take, in nanoseconds, by case and runtime. */
const absoluteLimits: Readonly<Record<string, number>> = {
  "start/first-callback deno": 3e6,
  "start/first-callback bun": 3e6,
};

interface Row {
  readonly key: string;
  readonly figure: Figure;
  readonly other: Figure;
  readonly ratio: number;
}

function capture(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  const result = spawnSync(command, [...args], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (result.status !== 0) throw new StepError(`Cannot run ${[command, ...args].join(" ")}: ${result.status}`);
  return result.stdout;
}

/** Go's figures; none where Go isn't. */
function goFigures(small: boolean): Figure[] {
  if (output("go", ["version"]) === undefined) return [];
  const binary = join(root, ".tools", "handle_bench");
  mkdirSync(join(root, ".tools"), { recursive: true });
  const env = { GOCACHE: join(root, ".tools", "go-cache"), GOFLAGS: "-mod=mod" };
  capture("go", ["build", "-o", binary, "bench/handle_bench.go"], env);
  return JSON.parse(capture(binary, small ? ["--small"] : [])) as Figure[];
}

await main(() => {
  build();
  const small = process.argv.includes("--small");
  const files = readdirSync(join(root, "bench")).filter((name) => name.endsWith("_bench.ts")).sort();
  const go = goFigures(small);
  const figures: Figure[] = [...go];
  const rows: Row[] = [];
  for (const file of files) {
    for (const [command, args] of [[deno(), ["run", "-A", "--no-check"]], [bun(), ["run"]]] as const) {
      const text = capture(command, [...args, `./bench/${file}`, ...(small ? ["--small"] : [])]);
      for (const { figures: measured, ratios } of JSON.parse(text) as Outcome[]) {
        figures.push(...measured);
        const ours = measured.find(({ subject }) => subject === "belay");
        if (ours === undefined) throw new StepError(`Cannot compare ${file}: it has no subject "belay"`);
        const others = measured.filter((figure) => figure !== ours);
        const foreign = go.filter((figure) => figure.case === ours.case);
        for (const other of [...others, ...foreign]) {
          const ratio = ratios[other.subject] ?? ours.nsPerOp / other.nsPerOp;
          rows.push({ key: `${ours.case} ${ours.runtime} ${other.subject}`, figure: ours, other, ratio });
        }
      }
    }
  }
  if (process.argv.includes("--json")) return console.log(JSON.stringify(figures, null, 2));
  console.log("| case | runtime | belay, ns | against | its ns | ratio | limit | |");
  console.log("| --- | --- | ---: | --- | ---: | ---: | ---: | --- |");
  for (const { key, figure, other, ratio } of rows) {
    const absolute = absoluteLimits[`${figure.case} ${figure.runtime}`];
    const limit = absolute ?? limits[key];
    const measured = absolute === undefined ? ratio : figure.nsPerOp;
    const verdict = limit === undefined ? "" : measured <= limit ? "met" : "**not met**";
    const cells = [figure.nsPerOp, other.subject, other.nsPerOp].map((cell) =>
      typeof cell === "number" ? cell.toFixed(cell < 100 ? 1 : 0) : cell
    );
    const limitText = limit === undefined
      ? ""
      : absolute !== undefined
      ? `${absolute / 1e6} ms`
      : limit.toFixed(limit < 0.01 ? 4 : limit < 1 ? 3 : 2);
    console.log(`| ${[figure.case, figure.runtime, ...cells, ratio.toFixed(3), limitText, verdict].join(" | ")} |`);
  }
  const wanted = Object.keys(limits).filter((key) => go.length > 0 || !key.endsWith(" go"));
  const unmeasured = wanted.filter((key) => !rows.some((row) => row.key === key));
  if (unmeasured.length > 0) {
    throw new StepError(`Cannot compare, since nothing was measured: ${unmeasured.join("; ")}`);
  }
});
