/** Runs the program of one event, in a process of its own. */

import process from "node:process";
import { events } from "./events.ts";
import { ownEvents } from "./own_events.ts";

const [name] = process.argv.slice(2);
const event = [...events, ...ownEvents].find((each) => each.name === name);
if (typeof event?.run !== "function") throw new Error(`Cannot run "${name}": there is no such program`);
await event.run();
