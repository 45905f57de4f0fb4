/** The last of three test files. */

import { it } from "@std/testing/bdd";
import { callWhatWasKept } from "../steps.ts";
import { observe } from "../observe.ts";

it("calls the first file's callback", () => {
  observe("the third file");
  callWhatWasKept();
});
