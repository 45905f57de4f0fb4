/**
 * Chooses the backend of the runtime that this runs on.
 *
 * @module
 */

import { TypeError } from "../ground/blame.ts";
import type { Backend } from "./backend.ts";
import { bunBackend, type BunProcess } from "./bun.ts";
import { denoBackend, type DenoNamespace } from "./deno.ts";

let chosen: Backend | undefined;

/** The backend of this runtime. @throws {TypeError} On a runtime that has none. */
export function backend(): Backend {
  return chosen ??= choose(globalThis as object);
}

function choose(scope: { Deno?: unknown; Bun?: unknown; process?: unknown }): Backend {
  // Bun first: programs that define a Deno global on Bun exist, the reverse does not.
  if (scope.Bun !== undefined) return bunBackend(scope.process as BunProcess);
  if (scope.Deno !== undefined) return denoBackend(scope.Deno as DenoNamespace);
  throw new TypeError("Cannot use belay on this runtime: expected Deno or Bun");
}
