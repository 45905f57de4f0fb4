/** The C library's file name on this system, for the examples. */

import process from "node:process";

const names: Partial<Record<string, string>> = { darwin: "libSystem.B.dylib", win32: "ucrtbase.dll" };

export const libcPath: string = names[process.platform] ?? "libc.so.6";
