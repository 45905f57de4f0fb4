/** Profilers and debuggers while C is on a stack of its own (in child processes). */

import { assert, assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "@std/testing/bdd";
import { host } from "../../scripts/build.ts";
import { root } from "../../scripts/tools.ts";
import { childCommand, childEnvironment, ownRuntime, runChild } from "../support/child.ts";
import { InspectedProgram } from "../support/inspected.ts";
import { leftOut } from "../support/left_out.ts";
import { emulator, guest, hasHostPrograms, slowness } from "../support/machine.ts";

const program = "own_stack_tools.ts";

/** Why gdb can't step through a program here. */
function missing(): string | undefined {
  if (host.os !== "linux" || host.arch !== "x86_64" || !hasHostPrograms) return "it is for x64 Linux";
  const { stdout } = spawnSync("gdb", ["-batch", "-nx", "-ex", "python print(6 * 7)"], { encoding: "utf8" });
  if (!stdout?.includes("42")) return "there is no gdb with Python (Debian: gdb)";
  const traced = spawnSync("gdb", ["-batch", "-nx", "-ex", "run", "--args", "/bin/true"], { encoding: "utf8" });
  return traced.stdout.includes("exited normally") ? undefined : "gdb may not trace programs";
}

const reason = missing();
if (reason !== undefined) leftOut(`back traces of C on its own stack: ${reason}`);
const itWithGdb = reason === undefined ? it : it.skip;

describe("a back trace of C on its own stack", () => {
  itWithGdb("is right at each instruction of callbacks and switches, and ends at the stack's top", () => {
    const script = join(root, "tests", "support", "back_traces.py");
    const command = childCommand([join("tests", "programs", program)], { args: ["step"] });
    const { stdout, stderr } = spawnSync(
      "gdb",
      ["-batch", "-nx", "-ex", "set debuginfod enabled off", "-x", script, "--args", ...command],
      { cwd: root, encoding: "utf8", env: childEnvironment(), timeout: 100_000 * slowness, killSignal: "SIGKILL" },
    );
    const found = stdout.split("\n").findLast((line) => line.startsWith("{"));
    assert(found !== undefined, stdout + stderr);
    const { own, javascript, wrong } = JSON.parse(found);
    assertEquals(wrong, {});
    // Callbacks of all kinds were stepped through.
    assertGreater(own, 2000);
    assertGreater(javascript, 1000);
    assertStringIncludes(stdout, "2 2");
  });
});

if (!hasHostPrograms) leftOut("CPU profiles and debuggers of C on its own stack, under an emulator");
const itHere = hasHostPrograms ? it : it.skip;

describe("a CPU profile of a million callbacks on own stacks", () => {
  itHere("has the callbacks, and the program ends while C waits", () => {
    const folder = mkdtempSync(join(tmpdir(), "belay-profile-"));
    try {
      const flags = ["--cpu-prof", `--cpu-prof-dir=${folder}`, "--cpu-prof-interval=100"];
      const { code, stdout, stderr } = runChild(program, ["profile"], { flags });
      assertEquals([code, stdout, stderr], [0, "1001000 calls, 1 waits\n", ""]);
      const [file = ""] = readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"));
      const { nodes, samples } = JSON.parse(readFileSync(join(folder, file), "utf8"));
      const names = new Map<number, string>();
      for (const { id, callFrame } of nodes) names.set(id, callFrame.functionName);
      assertGreater(samples.length, 100);
      assert(samples.every((sample: number) => names.has(sample)));
      const taken = samples.filter((sample: number) => names.get(sample) === "countedForC");
      assertGreater(taken.length, 0, [...names.values()].join(" "));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a debugger", () => {
  itHere(
    "pauses in a callback that C waits for on its own stack, looks at the frames, calls C, and goes on",
    async () => {
      using inspected = await InspectedProgram.start(program, ["inspect"]);
      const framesAfter = async (
        pause: () => Promise<unknown>,
      ): Promise<{ callFrameId: string; functionName: string }[]> => {
        const paused = inspected.event("Debugger.paused");
        await pause();
        return (await paused).callFrames;
      };
      const isInCallback = (frames: readonly { functionName: string }[]): boolean =>
        frames[0]?.functionName === "calledByC" && frames.some(({ functionName }) => functionName === "own");
      const frames = await framesAfter(() => inspected.evaluate("inspected.breaks = true"));
      assert(isInCallback(frames), JSON.stringify(frames));
      assertEquals(await inspected.evaluate("value + inspected.nested()", frames[0]), 1021);
      assertEquals(await inspected.evaluate("inspected.breaks = false", frames[0]), false);
      await inspected.resume();
      // At any other place. Bun looks at this command between two turns of the event loop only.
      for (let inCallback = ownRuntime.name === "bun"; !inCallback;) {
        inCallback = isInCallback(await framesAfter(() => inspected.send("Debugger.pause")));
        await inspected.resume();
      }
      await inspected.evaluate("inspected.stops = true");
      const { code, printed } = await inspected.end();
      assertEquals(code, 0, printed);
      assertStringIncludes(printed, "C got 42, 0 waits");
    },
  );

  itHere("profiles and takes a heap snapshot while C waits", async () => {
    using inspected = await InspectedProgram.start(program, ["inspect"]);
    const pause = () => new Promise((resolve) => setTimeout(resolve, 200));
    if (ownRuntime.name === "deno") {
      await inspected.send("Profiler.enable");
      await inspected.send("Profiler.start");
      await pause();
      assertStringIncludes(JSON.stringify(await inspected.send("Profiler.stop")), '"calledByC"');
      await inspected.send("HeapProfiler.takeHeapSnapshot");
    } else {
      await inspected.send("ScriptProfiler.startTracking", { includeSamples: true });
      await pause();
      const complete = inspected.event("ScriptProfiler.trackingComplete");
      await inspected.send("ScriptProfiler.stopTracking");
      assertStringIncludes(JSON.stringify(await complete), '"calledByC"');
      inspected.chunks.push((await inspected.send("Heap.snapshot")).snapshotData);
    }
    assertStringIncludes(JSON.stringify(JSON.parse(inspected.chunks.join(""))), "HeldWhileCWaits");
    await inspected.evaluate("inspected.stops = true");
    const { code, printed } = await inspected.end();
    assertEquals(code, 0, printed);
    assertStringIncludes(printed, "C got 42, 0 waits");
  });
});

const itOnPosix = process.platform === "win32" || emulator !== undefined || guest !== undefined ? it.skip : it;

describe("C that aborts on its own stack", () => {
  itOnPosix("ends the process, whatever the runtime prints about it", () => {
    for (const how of ["abort", "abort in a callback", "abort while C waits"]) {
      const { signal, stdout } = runChild(program, [how], { timeoutMs: 20_000 });
      assertEquals([signal, stdout], ["SIGABRT", ""], how);
    }
  });
});
