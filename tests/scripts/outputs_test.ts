/** Which programs of a document are run and compared with what it says that they print. */

import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { shownIn } from "../../scripts/outputs.ts";

const page = `# Page

\`\`\`ts
console.log(1);
\`\`\`

Words come between.

\`\`\`text
not its output
\`\`\`

\`\`\`ts
console.log(2);
\`\`\`

\`\`\`text
2
\`\`\`

\`\`\`ts ignore
fragment();
\`\`\`

\`\`\`text
3
\`\`\`
`;

it("a program counts that a block of text follows, with the line on which it begins; a fragment doesn't", () => {
  assertEquals(shownIn("docs/page.md", page), [
    { place: "docs/page.md:13", program: "console.log(2);\n", output: "2\n" },
  ]);
});
