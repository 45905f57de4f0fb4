/**
 * Runs every benchmark on Deno and Bun, and Go's where `go` is on the PATH, and holds the figures against the limits.
 * `--json` prints what was measured instead of the table; `--small` only shows that everything runs. `--write` puts the
 * figures into `docs/benchmarks.json`, and draws the page and the picture from it; `--draw` draws them without a run.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Figure, Outcome } from "../tests/bench/harness.ts";
import { type Comparison, comparisonTable, type Results, resultsText, unmeasured } from "./benchmarks.ts";
import { build, host } from "./build.ts";
import { duckdbLibrary, duckdbPython } from "./duckdb.ts";
import { MissingError } from "./packages.ts";
import { resultsPath, writePage } from "./pages.ts";
import { bun, deno, formatted, main, output, root, StepError } from "./tools.ts";

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
  capture("go", ["build", "-o", binary, "tests/bench/handle_bench.go"], env);
  return JSON.parse(capture(binary, small ? ["--small"] : [])) as Figure[];
}

/** Whether DuckDB can be measured here, with Python's beside it in a whole run. */
function hasDuckdb(small: boolean): boolean {
  try {
    duckdbLibrary();
    if (!small) duckdbPython();
    return true;
  } catch (error) {
    if (!(error instanceof MissingError)) throw error;
    console.error(`Left out: DuckDB. ${error.message}`);
    return false;
  }
}

/** The versions of what was measured. */
function versions(withGo: boolean): Record<string, string> {
  const found = {
    deno: output(deno(), ["--version"]),
    bun: output(bun(), ["--version"]),
    ...(withGo ? { go: output("go", ["version"]) } : {}),
  };
  return Object.fromEntries(
    Object.entries(found).map(([name, text = ""]) => [name, /\d+\.\d+[\w.-]*/.exec(text)?.[0] ?? "unknown"]),
  );
}

/** Runs everything, and compares. */
function measure(small: boolean): Results {
  const withDuckdb = hasDuckdb(small);
  const files = readdirSync(join(root, "tests", "bench"))
    .filter((name) => name.endsWith("_bench.ts") && (withDuckdb || name !== "duckdb_bench.ts"))
    .sort();
  const go = goFigures(small);
  const leftOut = [...(go.length > 0 ? [] : ["go"]), ...(withDuckdb && !small ? [] : ["python"])];
  const comparisons: Comparison[] = [];
  for (const file of files) {
    for (const [command, args] of [[deno(), ["run", "-A", "--no-check"]], [bun(), ["run"]]] as const) {
      const text = capture(command, [...args, `./tests/bench/${file}`, ...(small ? ["--small"] : [])]);
      for (const { figures, ratios } of JSON.parse(text) as Outcome[]) {
        const ours = figures.find(({ subject }) => subject === "belay");
        if (ours === undefined) throw new StepError(`Cannot compare ${file}: it has no subject "belay"`);
        const { case: name, runtime, nsPerOp: ns } = ours;
        for (const { subject, nsPerOp } of [...figures, ...go.filter((figure) => figure.case === name)]) {
          if (subject === "belay") continue;
          const ratio = ratios[subject] ?? ns / nsPerOp;
          comparisons.push({ case: name, runtime, ns, against: subject, otherNs: nsPerOp, ratio });
        }
      }
    }
  }
  const missing = unmeasured(comparisons, leftOut);
  if (missing.length > 0) throw new StepError(`Cannot compare, since nothing was measured: ${missing.join("; ")}`);
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: { system: host.os, architecture: host.arch, cores: availableParallelism() },
    versions: versions(go.length > 0),
    comparisons,
  };
}

/** Draws the page and the picture. */
function draw(): void {
  writePage("docs/benchmarks.md");
  writePage("docs/speed.svg");
}

await main(() => {
  const has = (flag: string): boolean => process.argv.includes(flag);
  if (has("--draw")) return draw();
  if (has("--small") && has("--write")) throw new StepError("Cannot write the figures of --small: they mean nothing");
  build();
  const results = measure(has("--small"));
  if (has("--json")) console.log(formatted(resultsText(results), "json"));
  else console.log(comparisonTable(results.comparisons));
  if (!has("--write")) return;
  writeFileSync(join(root, resultsPath), formatted(resultsText(results), "json"));
  draw();
});
