/**
 * SQLite's library for systems that have no package of it here: its source comes from npm, and Zig compiles it.
 *
 * @module
 */

import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { compileArgs, type Target } from "./build.ts";
import { npmPackage } from "./packages.ts";
import { runZig } from "./tools.ts";

/** A package that has the source as one file. */
const source = {
  name: "better-sqlite3",
  version: "12.11.1",
  integrity: "sha512-dq9AtApgg5PGFtBzPFSBl3HZQjHok5gaQCM6zh2Yk0aSmDCs1CbnVI8/HgASQkNKsWFpseIO9beg5xxpYhbIfA==",
};

/** The folder of the library for a target, below `folder`. */
export function sqliteFolder(target: Target, folder: string): string {
  const name = target.os === "windows" ? "sqlite3.dll" : "libsqlite3.so.0";
  const library = join(folder, `sqlite-${source.version}`, name);
  if (existsSync(library)) return dirname(library);
  const path = join(npmPackage(source, folder), "deps", "sqlite3", "sqlite3.c");
  mkdirSync(dirname(library), { recursive: true });
  console.error("Building SQLite …");
  const flags = [
    "-O1",
    "-DSQLITE_THREADSAFE=1",
    ...(target.os === "windows" ? ["-DSQLITE_API=__declspec(dllexport)"] : []),
  ];
  runZig([...compileArgs(target, flags), "-o", `${library}.new`, path], { quiet: true });
  renameSync(`${library}.new`, library);
  return dirname(library);
}
