/** Names one core after another: one that isn't there, then the package's own, then another one. The argument is its path. */

import { callback, configure, stats } from "@belay/ffi";
import process from "node:process";

const [core = ""] = process.argv.slice(2);
const tell = (fn: () => void): string => {
  try {
    fn();
    return `${stats().core?.source} ${stats().core?.path === core}`;
  } catch (error) {
    return String(error).split("\n").join(" ");
  }
};
const use = (): void => callback({ parameters: [], result: "void" }, () => {}).close();

console.log(tell(() => configure({ core: "./relative.so" })));
configure({ core: "/nowhere/libbelay.so" });
console.log(tell(use));
configure({ core: new URL(`file://${core}`) });
console.log(tell(use));
console.log(tell(() => configure({ core })));
console.log(tell(() => configure({ core: "/nowhere/libbelay.so" })));
