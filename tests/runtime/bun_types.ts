/** Holds what `ffi/runtime/bun.ts` says of Bun against Bun's own types; only TypeScript with `bun-types` checks this. */

import type { BunFfi } from "../../ffi/runtime/bun.ts";

type Ffi = typeof import("bun:ffi");
type Loose<T> = T extends (...args: infer _) => infer R ? (...args: never[]) => R : never;

declare const ffi: Ffi;

/** Each member that is used exists and gives what is expected of it. */
export const toArrayBuffer: Loose<BunFfi["toArrayBuffer"]> = ffi.toArrayBuffer;
export const dlopen: (...args: never[]) => { close(): void } = ffi.dlopen;
export const pointer: InstanceType<BunFfi["JSCallback"]>["ptr"] = {} as InstanceType<Ffi["JSCallback"]>["ptr"];
export const text: InstanceType<BunFfi["CString"]> = {} as InstanceType<Ffi["CString"]>;
