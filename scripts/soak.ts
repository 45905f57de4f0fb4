/**
 * Runs on Deno and on Bun what callbacks have to stand for a long time. `--only=deno` or `--only=bun` for one runtime,
 * `--seed=<number>` for the random walk of a failure; it is the clock's otherwise.
 *
 * @module
 */

import process from "node:process";
import { runCases, soakCases } from "../tests/package/soak_cases.ts";
import { build } from "./build.ts";
import { main, runtimes, StepError } from "./tools.ts";

function seedOf(args: readonly string[]): number {
  const text = args.find((arg) => arg.startsWith("--seed="))?.slice("--seed=".length);
  const seed = text === undefined ? Date.now() % 2 ** 31 : Number(text);
  if (text === "" || !Number.isInteger(seed)) throw new StepError(`Cannot use the seed "${text}": expected an integer`);
  return seed;
}

await main(() => {
  const args = process.argv.slice(2);
  const unknown = args.filter((arg) => !/^--(only|seed)=/.test(arg));
  if (unknown.length > 0) throw new StepError(`No such argument: ${unknown}; there are --only= and --seed=`);
  const [seed, on] = [seedOf(args), runtimes(args)];
  console.log(`seed ${seed}`);
  build();
  const startMs = performance.now();
  const cases = soakCases({ long: true, seeds: [seed] });
  const failed = on.flatMap((runtime) => {
    console.log(`\n=== ${runtime === "deno" ? "Deno" : "Bun"} ===`);
    return runCases(cases, (line) => console.log(line), runtime).map((name) => `${runtime}: ${name}`);
  });
  const end = `seed ${seed}, ${((performance.now() - startMs) / 1000).toFixed(0)} s`;
  if (failed.length > 0) throw new StepError(`\nNot well (${end}):\n${failed.join("\n")}`);
  console.log(`\nAll well on ${on.join(" and ")} (${end}).`);
});
