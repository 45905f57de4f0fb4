/**
 * What can happen to a callback, as small programs, and what belay makes of it.
 *
 * @module
 */

import { closedEvents } from "./closed_events.ts";
import { endEvents } from "./end_events.ts";
import { errorEvents } from "./error_events.ts";
import { threadEvents } from "./thread_events.ts";
import type { Event } from "./event.ts";

/** The rows, in the order in which the table has them. */
export const events: readonly Event[] = [...closedEvents, ...errorEvents, ...endEvents, ...threadEvents];
