/**
 * What the doctor finds without trying belay: on what it runs, which core it has, what it may do.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { normalize } from "node:path";
import { type Belay, loadBelay, openedCore } from "./belay.ts";
import { emulator, libcVersion } from "./c_library.ts";
import { allowFfi, attempt, failed, failedBy, ok, type Row, type Rows, skipped, without } from "./doctor_rows.ts";
import { kernelVersion, mayUse, permission, type PermissionName, runtime, system } from "./surroundings.ts";
import { version } from "./version.ts";

/** The versions of the runtimes that belay is tested with. */
export const tested: Readonly<Record<"deno" | "bun", string>> = { deno: "2.9.6", bun: "1.4.5" };
const cores = ["linux", "darwin", "windows"].flatMap((os) => [`${os} x86_64`, `${os} aarch64`]);

/** Adds what belay runs on, and answers belay if its core could be opened. */
export async function addFacts(rows: Rows): Promise<Belay | undefined> {
  const add = (name: string, row: Row): void => rows.add("facts", name, row);
  add("belay", ok(version));
  add("runtime", runtimeRow(runtime()));
  const { os, arch } = system();
  const here = `${os} ${arch}`;
  const isKnown = cores.includes(here);
  add("system", isKnown ? ok(here) : failed(here, `belay has a native core for ${cores.join(", ")}.`));
  add("kernel", mayUse("sys") ? attempt(kernelVersion) : skipped("--allow-sys"));
  const { belay, row } = await openCore(isKnown);
  add("core", row);
  const { path, source } = belay === undefined ? { path: "", source: "" } : openedCore(belay);
  const ofCore = (find: (belay: Belay) => string): Row => belay === undefined ? without() : attempt(() => find(belay));
  add("source", ofCore(() => source));
  const isHidden = belay !== undefined && !mayUse("read", path);
  add("sha256", isHidden ? skipped("--allow-read") : ofCore(() => sha256(path)));
  add("libc", ofCore(libcVersion));
  add("emulator", ofCore((belay) => emulator(belay) ?? "none that is known"));
  return belay;
}

/** A row of the runtime: Node is refused, an older version is a warning. */
export function runtimeRow({ name, version }: ReturnType<typeof runtime>): Row {
  const value = `${name} ${version}`;
  if (name === "node") {
    return failed(value, "belay doesn't run on Node yet. Run this by Deno or by Bun: bunx --bun @belay/ffi doctor");
  }
  if (!isOlder(version, tested[name])) return ok(value);
  return { state: "warning", value, advice: `belay is tested with ${name} ${tested[name]}: ${name} upgrade` };
}

/** Whether a version such as `2.9.5` is older than another one. */
function isOlder(version: string, than: string): boolean {
  const numbers = version.split(/[.+-]/).map(Number);
  for (const [index, wanted] of than.split(".").map(Number).entries()) {
    const number = numbers[index] ?? 0;
    if (number !== wanted) return number < wanted;
  }
  return false;
}

const coreAdvice = "belay brings its core along: install the package again. configure({ core }) names another one.";

/** Opens the core; answers belay if that worked. */
async function openCore(isKnown: boolean): Promise<{ belay?: Belay; row: Row }> {
  if (runtime().name === "node" || !isKnown) return { row: without() };
  if (!mayUse("ffi")) return { row: without() };
  try {
    const belay = await loadBelay();
    // Reading it opens the core.
    void belay.native.releaseHandle;
    return { belay, row: ok(normalize(openedCore(belay).path)) };
  } catch (error) {
    return { row: failedBy(error, coreAdvice) };
  }
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** What a program misses without a permission. */
const permissions: readonly (readonly [PermissionName, string])[] = [
  ["ffi", "belay can do nothing"],
  ["read", "belay does without, but for a core in a private folder; its errors about a library's path say less"],
  ["write", "belay does without, but for a core in a private folder"],
  ["sys", "belay does without"],
  ["run", "belay does without"],
  ["env", "belay does without, but for a core in a private folder"],
];

/** Adds what belay may do, where the runtime asks for permissions. */
export function addPermissions(rows: Rows): void {
  for (const [name, detail] of permissions) {
    const state = permission(name);
    if (state === undefined) return;
    rows.add("permissions", name, permissionRow(name, state, detail));
  }
}

function permissionRow(name: PermissionName, state: string, detail: string): Row {
  if (state === "granted") return ok("granted");
  if (name !== "ffi") return { state: "ok", value: "not granted", detail };
  // Deno doesn't tell whether there is a list.
  return { state: "failed", value: "not granted, or for some paths only", detail, advice: allowFfi };
}
