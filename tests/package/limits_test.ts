/** What a process can have only so many of. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { coreFile } from "../../ffi/core/path.ts";
import { abiVersion } from "../../ffi/core/record.ts";
import { runChild } from "../support/child.ts";

function run(name: string, ...args: readonly string[]): string[] {
  const { code, stdout, stderr } = runChild("limits.ts", [name, ...args]);
  assertEquals([code, stderr], [0, ""]);
  return stdout.trim().split("\n");
}

describe("when there are no more, in a child process", () => {
  it("channels: says how many are open, and gives those back that were dropped", () => {
    assertEquals(run("channels", "", ""), [
      "RangeError: Cannot create a channel: no memory for a capacity of 64 bytes, or the process has 16,384 channels; " +
      "16384 of this isolate are open. Close those that nobody reads true",
      "no error true",
    ]);
  });

  it("isolates: says so", () => {
    assertEquals(run("isolates", String(abiVersion), coreFile().path), [
      "255",
      "RangeError: Cannot attach to belay's native core: 255 isolates of this process use belay, the most there can be; " +
      "a worker is one until it ends, so end those that have nothing to do",
    ]);
  });
});
