/** The figures of the benchmarks on their way to the page and the picture. Speeds are not measured here. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  benchmarksPage,
  type Comparison,
  comparisonTable,
  formatRatio,
  formatTime,
  keyOf,
  limits,
  type Results,
  resultsText,
  sorted,
  spread,
  unmeasured,
  verdict,
} from "../../scripts/benchmarks.ts";
import { table } from "../../scripts/markdown.ts";
import { staleness } from "../../scripts/pages.ts";
import { position, ratioText, speedPicture } from "../../scripts/speed_picture.ts";

const call: Comparison = { case: "call/add-i32", runtime: "deno", ns: 5.7, against: "raw", otherNs: 4.5, ratio: 1.273 };
const results: Results = {
  date: "2026-01-02",
  machine: { system: "linux", architecture: "x86_64", cores: 2 },
  versions: { deno: "1.2.3", bun: "4.5.6" },
  comparisons: [{ ...call, runtime: "bun" }, call],
};

describe("comparisons", () => {
  it("are sorted by case, Deno before Bun, then by subject", () => {
    const go = { ...call, against: "go" };
    const bun = { ...call, runtime: "bun" };
    const later = { ...call, case: "call/nonblocking" };
    assertEquals(sorted([later, bun, call, go]), [go, call, bun, later]);
  });

  it("meet a limit for the ratio up to the limit itself", () => {
    const limit = limits[keyOf(call)];
    assertEquals(verdict({ ...call, ratio: limit })?.met, true);
    assertEquals(verdict({ ...call, ratio: limit + 0.001 })?.met, false);
  });

  it("have no verdict without a limit", () => assertEquals(verdict({ ...call, against: "map" }), undefined));

  it("are rows of a table", () => {
    assertEquals(
      comparisonTable([call, { ...call, runtime: "bun", ratio: 9 }, { ...call, against: "map" }]).split("\n"),
      [
        "| case | runtime | belay | against | its time | ratio | limit |  |",
        "| --- | --- | ---: | --- | ---: | ---: | ---: | --- |",
        "| call/add-i32 | deno | 5.7 ns | map | 4.5 ns | 1.27 |  |  |",
        "| call/add-i32 | deno | 5.7 ns | raw | 4.5 ns | 1.27 | 2.20 | met |",
        "| call/add-i32 | bun | 5.7 ns | raw | 4.5 ns | 9.00 | 1.60 | **not met** |",
      ],
    );
  });

  it("are missing where a limit has none; Go's only where Go is", () => {
    const all = Object.keys(limits);
    const measured = all.filter((key) => !key.endsWith(" go")).map((key) => {
      const [name, runtime, against] = key.split(" ");
      return { ...call, case: name, runtime, against };
    });
    assertEquals(unmeasured(measured, ["go"]), []);
    assertEquals(unmeasured(measured, []), all.filter((key) => key.endsWith(" go")));
    assertEquals(unmeasured(measured.slice(1), ["go"]), [keyOf(measured[0])]);
  });
});

describe("numbers", () => {
  it("times have a unit and three digits at most", () => {
    const texts = [0.64, 5.7, 99.94, 99.96, 999.4, 999.6, 2772, 37_545, 999_600, 2_669_662].map(formatTime);
    assertEquals(texts, [
      "0.6 ns",
      "5.7 ns",
      "99.9 ns",
      "100 ns",
      "999 ns",
      "1.00 µs",
      "2.77 µs",
      "37.5 µs",
      "1.00 ms",
      "2.67 ms",
    ]);
  });

  it("ratios have three digits, and four places at most", () => {
    const texts = [0.00072, 0.0123, 0.333, 0.99949, 0.9996, 1.273, 9.994, 9.996, 12.34, 123.4].map(formatRatio);
    assertEquals(texts, ["0.0007", "0.012", "0.333", "0.999", "1.00", "1.27", "9.99", "10.0", "12.3", "123"]);
  });
});

describe("docs/benchmarks.json", () => {
  it("has a run's figures, sorted, with four digits", () => {
    const text = resultsText({ ...results, comparisons: [{ ...call, runtime: "bun", ns: 1234.567 }, call] });
    assertEquals(JSON.parse(text), { ...results, comparisons: [call, { ...call, runtime: "bun", ns: 1235 }] });
  });
});

describe("the page of the benchmarks", () => {
  it("has what was measured, and counts the limits that are met", () => {
    const page = benchmarksPage({ ...results, comparisons: [call, { ...call, runtime: "bun", ratio: 9 }] });
    assertStringIncludes(page, comparisonTable([call, { ...call, runtime: "bun", ratio: 9 }]));
    assertStringIncludes(page, "| limits met | 1 of 2 |");
    assertStringIncludes(page, "| versions | Deno 1.2.3, Bun 4.5.6 |");
    assertStringIncludes(page, "2 cores, x86-64, Linux");
  });

  it("refuses a case or a subject that it has no words for", () => {
    const page = (other: Partial<Comparison>) => () =>
      benchmarksPage({ ...results, comparisons: [{ ...call, ...other }] });
    assertThrows(page({ case: "call/unknown" }), TypeError, 'Cannot describe "call/unknown"');
    assertThrows(page({ against: "unknown" }), TypeError, 'Cannot describe "unknown"');
  });

  it("says how much comparisons vary that have a limit", () => {
    for (const key of Object.keys(spread)) {
      assertEquals([key, key in limits], [key, true]);
    }
  });
});

describe("the picture of the speed", () => {
  it("has what is faster to the right, as far as it is faster", () => {
    assertEquals(position(1) < position(0.5), true);
    assertEquals(position(2) < position(1), true);
    // The scale is logarithmic.
    assertEquals(Math.abs(position(0.01) - position(0.1) - (position(0.1) - position(1))) < 1e-9, true);
  });

  it("says a ratio in words", () => {
    const texts = [1, 0.992, 1.024, 1.273, 0.792, 0.073, 0.00072, 4.636].map(ratioText);
    assertEquals(texts, [
      "1.00× as fast",
      "1.01× as fast",
      "1.02× the time",
      "1.3× the time",
      "1.3× as fast",
      "14× as fast",
      "1,400× as fast",
      "4.6× the time",
    ]);
  });

  it("has the figures of each runtime", () => {
    const picture = speedPicture({
      ...results,
      comparisons: [call, { ...call, runtime: "bun", ns: 2.5, otherNs: 5, ratio: 0.5 }],
    });
    assertStringIncludes(picture, "1.3× the time: 5.7 ns, not 4.5 ns");
    assertStringIncludes(picture, "2× as fast: 2.5 ns, not 5.0 ns");
    // Browsers show nothing of a file with two dashes in a comment.
    for (const [, comment] of picture.matchAll(/<!--([\s\S]*?)-->/g)) assertEquals(comment.includes("--"), false);
  });
});

describe("a page that a script writes", () => {
  it("is stale when its text differs, and names the command that writes it", () => {
    assertEquals(staleness("docs/page.md", "text", "text", "deno task x"), undefined);
    assertEquals(
      staleness("docs/page.md", "text\n", "text", "deno task x"),
      "docs/page.md is stale: `deno task x` writes it",
    );
    assertEquals(
      staleness("docs/page.md", undefined, "", "deno task x"),
      "docs/page.md is missing: `deno task x` writes it",
    );
  });
});

describe("a Markdown table", () => {
  it("keeps bars in cells, and has numbers on the right", () => {
    assertEquals(table(["a", "b:"], [["1 | 2", "3"]]), "| a | b |\n| --- | ---: |\n| 1 \\| 2 | 3 |");
  });
});
