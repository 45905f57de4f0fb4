/**
 * What tests have to know of the machine that they run on, as the test command tells it.
 *
 * @module
 */

import process from "node:process";

/** The emulator that the runtime runs under, which the system can't start it without. */
export const emulator: string | undefined = process.env["BELAY_RUNNER"];

/** The system that the tests run in, where it is another one than the project's: Windows under Wine, a folder with musl. */
export const guest: string | undefined = process.env["BELAY_GUEST"];

/** Whether the tests can start the programs of the system that the project is in: npm, and the pinned runtimes. */
export const hasHostPrograms: boolean = emulator === undefined && guest === undefined;

/** Whether C's `atexit` handlers run when a program ends. Bun runs them on Windows alone. */
export const runsExitHandlers: boolean = !("Bun" in globalThis) || process.platform === "win32";

/** Whether Wine runs the Windows builds. */
export const underWine: boolean = guest !== undefined && process.platform === "win32";

/** Whether the runtime sees that a file changes and starts a program again. Bun's build for Windows doesn't under Wine. */
export const seesChanges: boolean = !("Bun" in globalThis && underWine);

/** How many times slower than usual the machine may be. */
export const slowness: number = Number(process.env["BELAY_SLOW"] ?? 1);

/** Whether there are resizable buffers: Bun's arm64 build ends under QEMU when it makes one, without belay, too. */
export const canResize: boolean = !("Bun" in globalThis && emulator !== undefined);

/** What a program printed, without what Bun's build for Windows prints under Wine for each folder, whatever runs. */
export function withoutWine(printed: string): string {
  return printed.replaceAll(/^Internal error: directory mismatch for directory .*\r?\n/gm, "");
}
