/** Runs the program of one event, with belay or with the bare runtime's API. In a process of its own: it may crash. */

import process from "node:process";
import { apis } from "./api.ts";
import { events } from "./events.ts";

const [api, name] = process.argv.slice(2);
const event = events.find((each) => each.name === name);
if (typeof event?.run !== "function") throw new Error(`Cannot run "${name}": there is no such program`);
await event.run(apis[api as keyof typeof apis]);
