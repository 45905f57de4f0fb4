/**
 * Has V8 compile what a program needs first together with the file that it is in.
 *
 * V8 compiles a function when it is called for the first time, unless it stands in parentheses: then it is taken for one
 * that is called at once. What was compiled with the file is in the cache that Deno keeps of it; what is compiled later
 * isn't, and takes a start a third of its time. https://v8.dev/blog/preparser#pife
 *
 * @module
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { deno, root, run } from "./tools.ts";

/** What Deno's coverage says of one script. */
interface Coverage {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[];
  }[];
}

/** Where the functions are that a start runs, and that the file itself declares. */
function started(file: string, core: string, text: string): { name: string; start: number; end: number }[] {
  const folder = mkdtempSync(join(tmpdir(), "belay-eager-"));
  try {
    const program = join(root, "scripts", "starting.ts");
    run(deno(), ["run", "-A", "--no-check", `--coverage=${folder}`, program, file, core], { quiet: true });
    const reports = readdirSync(folder).filter((name) => name.endsWith(".json"))
      .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as Coverage);
    const report = reports.find(({ url }) => url === pathToFileURL(file).href);
    if (report === undefined) throw new Error(`Deno says nothing of ${file}`);
    return report.functions.flatMap(({ functionName: name, ranges: [whole] }) => {
      if (whole === undefined || whole.count === 0) return [];
      const { startOffset: start, endOffset: end } = whole;
      return text.startsWith(`\nfunction ${name}(`, start - 1) ? [{ name, start, end }] : [];
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Rewrites the file, for which `core` is the core. The functions go to its beginning: declared, they were there before everything else, too. */
export function makeEager(file: string, core: string): void {
  const text = readFileSync(file, "utf8");
  let rest = "";
  let end = 0;
  let eager = "";
  const functions = started(file, core, text).toSorted((a, b) => a.start - b.start);
  for (const each of functions) {
    // Without a name of its own, which bundlers would change: the variable gives it.
    const source = text.slice(each.start, each.end).replace(`function ${each.name}(`, "function (");
    eager += `var ${each.name} = (${source});\n`;
    rest += text.slice(end, each.start);
    end = each.end;
  }
  // Fewer are none: Deno has another kind of coverage, or the bundler another style.
  if (functions.length < 50) throw new Error(`A start of ${file} runs only ${functions.length} functions`);
  writeFileSync(file, eager + rest + text.slice(end));
}
