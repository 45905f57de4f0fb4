/** The second of two test files: it collects what the first has left before it calls. */

import { it } from "@std/testing/bdd";
import { collectFully } from "../../support/gc.ts";
import { callWhatWasKept } from "../steps.ts";
import { observe } from "../observe.ts";

it("calls the first file's callback", async () => {
  observe("the second file");
  await collectFully();
  callWhatWasKept();
});
