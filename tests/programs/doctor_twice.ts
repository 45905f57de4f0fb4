/** Runs the doctor twice in one process, which then ends by itself, and tells what is left alive. */

import { stats } from "@belay/ffi";
import { doctor } from "../../ffi/commands/doctor.ts";

const before = JSON.stringify(stats().live);
console.log("exit codes", await doctor([]), await doctor([]));
console.log(JSON.stringify(stats().live) === before ? "nothing is left alive" : JSON.stringify(stats().live));
