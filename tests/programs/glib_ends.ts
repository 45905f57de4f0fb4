/** Ends while GLib's main loop runs: `poll` or `source` is what it waits in, `exit` or `idle` how the program ends. */

import process from "node:process";
import { MainLoop } from "../../examples/glib/glib.ts";
import { until } from "../support/until.ts";

const [waitsIn, end] = process.argv.slice(2);
const loop = new MainLoop();
let asked = waitsIn === "poll";
if (waitsIn === "source") loop.timeout(1, () => (asked = true, new Promise<boolean>(() => {})));
void loop.run();
await until(() => asked);
console.log("waiting");
if (end === "exit") process.exit(3);
