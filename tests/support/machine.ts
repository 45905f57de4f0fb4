/**
 * What tests have to know of the machine that they run on, as the test command tells it.
 *
 * @module
 */

import process from "node:process";

/** The emulator that the runtime runs under, which the system can't start it without. */
export const emulator: string | undefined = process.env["BELAY_RUNNER"];

/** How many times slower than usual the machine may be. */
export const slowness: number = Number(process.env["BELAY_SLOW"] ?? 1);

/** Whether there are resizable buffers: Bun's arm64 build ends under QEMU when it makes one, without belay, too. */
export const canResize: boolean = !("Bun" in globalThis && emulator !== undefined);
