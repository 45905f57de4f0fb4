/**
 * What a command runs on: the runtime, the system, and what the runtime permits.
 *
 * Nothing here asks a person for a permission.
 *
 * @module
 */

import { release } from "node:os";
import process from "node:process";

/** The permissions that the doctor tells of. */
export type PermissionName = "ffi" | "read" | "write" | "sys" | "run" | "env";

interface DenoScope {
  readonly version: { readonly deno: string };
  readonly noColor: boolean;
  readonly permissions: {
    querySync(descriptor: { name: PermissionName; path?: string; kind?: string }): { readonly state: string };
  };
}

const scope = globalThis as unknown as {
  readonly Deno?: DenoScope;
  readonly Bun?: { readonly version: string };
};

/** The runtime and its version; `node` for what is neither Deno nor Bun. */
export function runtime(): { readonly name: "deno" | "bun" | "node"; readonly version: string } {
  const { Deno: deno, Bun: bun } = scope;
  if (bun !== undefined) return { name: "bun", version: bun.version };
  if (deno !== undefined) return { name: "deno", version: deno.version.deno };
  return { name: "node", version: process.versions.node ?? "" };
}

/** The state of a permission: `"granted"`, `"prompt"` or `"denied"`; `undefined` where the runtime has no permissions. */
export function permission(name: PermissionName, path?: string): string | undefined {
  const { Deno: deno, Bun: bun } = scope;
  if (deno === undefined || bun !== undefined) return undefined;
  return deno.permissions.querySync(path === undefined ? { name } : { name, path }).state;
}

/** Whether the program may do something, without anybody being asked. */
export function mayUse(name: PermissionName, path?: string): boolean {
  return (permission(name, path) ?? "granted") === "granted";
}

/** The system's name and the processor's, as belay's folders have them. */
export function system(): { readonly os: string; readonly arch: string } {
  const { platform, arch } = process;
  return {
    os: platform === "win32" ? "windows" : platform,
    arch: arch === "x64" ? "x86_64" : arch === "arm64" ? "aarch64" : arch,
  };
}

/** The version of the system's kernel. The program has to have the permission `sys`. */
export function kernelVersion(): string {
  return release();
}

/** Whether the output is a terminal on which colours are welcome. */
export function isColored(): boolean {
  if (process.stdout.isTTY !== true) return false;
  const { Deno: deno } = scope;
  // Deno tells without the permission for the environment.
  return deno === undefined ? (process.env["NO_COLOR"] ?? "") === "" : !deno.noColor;
}
