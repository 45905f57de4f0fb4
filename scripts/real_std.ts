/**
 * Lets the tests run with the real `@std` packages: takes the small packages that stand in for them out of deno.json. The
 * workflow does that in a checkout that is thrown away.
 *
 * @module
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { main, root } from "./tools.ts";

if (import.meta.main) {
  await main(() => {
    const file = join(root, "deno.json");
    const { links: _links, ...config } = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`);
  });
}
