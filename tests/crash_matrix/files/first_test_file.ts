/** The first of several test files in one process: C keeps a callback of it. */

import { assert } from "@std/assert";
import { it } from "@std/testing/bdd";
import { keepForLater } from "../steps.ts";

// Held as long as its world lives.
const kept = keepForLater();

it("has C keep a callback", () => assert(kept));
