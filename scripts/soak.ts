/**
 * Runs on Deno and on Bun what callbacks have to stand for a long time. `--only=deno` or `--only=bun` for one runtime,
 * `--seed=<number>` for the random walk of a failure; it is the clock's otherwise.
 *
 * @module
 */

import process from "node:process";
import { runCase, soakCases } from "../tests/soak_cases.ts";
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
  const failed: string[] = [];
  for (const runtime of on) {
    console.log(`\n=== ${runtime === "deno" ? "Deno" : "Bun"} ===`);
    for (const soakCase of soakCases({ long: true, seeds: [seed] })) {
      console.log(`\n${soakCase.name}`);
      if (soakCase.leftOut !== undefined) {
        console.log(`  left out: ${soakCase.leftOut}`);
        continue;
      }
      const { wrong, figures, seconds } = runCase(soakCase, runtime);
      if (figures !== "") console.log(`  ${figures}`);
      for (const each of wrong) console.log(`  WRONG: ${each}`);
      console.log(`  ${wrong.length === 0 ? "well" : "NOT WELL"}, ${seconds.toFixed(1)} s`);
      if (wrong.length > 0) failed.push(`${runtime}: ${soakCase.name}`);
    }
  }
  if (failed.length > 0) throw new StepError(`\nNot well (seed ${seed}):\n${failed.join("\n")}`);
  console.log(`\nAll well on ${on.join(" and ")} (seed ${seed}).`);
});
