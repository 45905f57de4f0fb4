/** Programs that use calls as nobody should, and one with more functions than there are blocks: each in a child process. */

import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { runChild } from "../support/child.ts";

describe("calls, in a child process,", () => {
  const printed: Readonly<Record<string, string>> = {
    "overflow": "wrong 0, thrown true",
    "strings stay": "true 0",
    "no false alarms": "3000",
    "forgotten": "true,false,true,true",
    "lying length": "65",
    "changed definition": "7",
    "another shape": "TypeError, 2",
    "closed libraries": "75000",
    "onError's answer": '{"x":1,"y":1}',
  };
  for (const [program, expected] of Object.entries(printed)) {
    it(`are right: ${program}`, () => {
      const { code, signal, stdout, stderr } = runChild("call_misuse.ts", [program]);
      assertEquals({ code, signal, stdout: stdout.trim() }, { code: 0, signal: null, stdout: expected }, stderr);
    });
  }
});
