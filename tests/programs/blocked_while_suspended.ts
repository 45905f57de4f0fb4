/**
 * A call of C that takes long, while another one waits for a promise on the same thread: with a lock that would be for ever.
 * How long it takes is an argument, in milliseconds.
 *
 * @module
 */

import process from "node:process";
import { dlopen } from "@belay/ffi";
import { testLibrary } from "../../scripts/build.ts";

const { each, sleep_ms } = dlopen(testLibrary, {
  each: {
    parameters: ["i32", { parameters: ["pointer", "i32"], result: "i32" }, "pointer"],
    result: "i32",
    suspends: true,
  },
  sleep_ms: { parameters: ["i32"], result: "void" },
}).symbols;

let answer: (value: number) => void = () => {};
const waiting = each(1, () => new Promise<number>((resolve) => answer = resolve), null);
sleep_ms(Number(process.argv[2]));
answer(7);
console.log(await waiting);
