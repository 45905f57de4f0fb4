/**
 * The picture `docs/speed.svg`: bars on a logarithmic scale, belay against the runtimes' own FFI.
 *
 * @module
 */

import { type Comparison, formatTime, machineText, type Results } from "./benchmarks.ts";

interface Row {
  readonly case: string;
  readonly title: string;
  readonly about: string;
  /** What a runtime says in the place of a bar where there is no `raw` to hold belay against. */
  readonly without?: string;
}

/** The cases that matter most to a program. */
const rows: readonly Row[] = [
  { case: "call/add-i32", title: "Call a C function", about: "two i32, and one back" },
  { case: "callback/i32-i32", title: "C calls a function", about: "two i32, and one back" },
  { case: "closure/create-dispose", title: "Make and close a callback", about: "a function of its own" },
  { case: "string/in-64", title: "Pass a string to C", about: "64 characters" },
  { case: "string/out-64", title: "Get a string from C", about: "64 characters" },
  {
    case: "struct/point-by-value",
    title: "Pass a structure by value",
    about: "two doubles, and two back",
    without: "its own FFI passes no structures",
  },
  {
    case: "call/nonblocking",
    title: "Nonblocking call",
    about: "one at a time",
    without: "its own FFI has no nonblocking calls",
  },
  { case: "thread/post", title: "Call from another thread", about: "a burst; C goes on at once" },
  {
    case: "sqlite/udf-1M-rows",
    title: "TypeScript in SQLite",
    about: "a function, a million rows",
    without: "not compared",
  },
  { case: "start/first-callback", title: "Start", about: "open the core, first callback" },
];

const runtimes = [["deno", "Deno"], ["bun", "Bun"]] as const;

const width = 920;
const chart = { left: 250, right: 640, top: 92 };
const rowHeight = 50;
const barHeight = 16;
/** The scale, as powers of ten: from ten times the runtime's time to a 3,000th of it. */
const scale = { from: -1, to: 3.5 };

/** Where a ratio of belay's time to the other's is on the scale: more to the right is faster. */
export function position(ratio: number): number {
  const power = Math.min(scale.to, Math.max(scale.from, -Math.log10(ratio)));
  return chart.left + (power - scale.from) / (scale.to - scale.from) * (chart.right - chart.left);
}

function factor(value: number): string {
  return value < 1.095 ? value.toFixed(2) : Number(value.toPrecision(2)).toLocaleString("en-US");
}

/** What a ratio means, in words. */
export function ratioText(ratio: number): string {
  return ratio <= 1 ? `${factor(1 / ratio)}× as fast` : `${factor(ratio)}× the time`;
}

/** Text that can stand in an element. */
function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function text(x: number, y: number, content: string, kind: string): string {
  return `<text x="${x}" y="${y}" class="${kind}">${escaped(content)}</text>`;
}

function bar(comparison: Comparison, y: number): string {
  const [one, end] = [position(1), position(comparison.ratio)].map((x) => Math.round(x * 10) / 10);
  const length = Math.max(1.5, Math.round(Math.abs(end - one) * 10) / 10);
  const { ratio, ns, otherNs, runtime } = comparison;
  const label = `${ratioText(ratio)}: ${formatTime(ns)}, not ${formatTime(otherNs)}`;
  return `<rect x="${Math.min(one, end)}" y="${y}" width="${length}" height="${barHeight}" class="${runtime}"/>
${text(Math.max(one, end) + 6, y + 12.5, label, "label")}`;
}

/** The picture, before it is formatted. */
export function speedPicture({ comparisons, date, machine, versions }: Results): string {
  const height = chart.top + rows.length * rowHeight + 56;
  const bottom = chart.top + rows.length * rowHeight;
  const grid = [[10, "10× the time"], [1, "the same"], [1 / 10, "10× as fast"], [1 / 100, "100×"], [1 / 1000, "1,000×"]]
    .map(([ratio, name]) => {
      const x = Math.round(position(Number(ratio)) * 10) / 10;
      return `<line x1="${x}" y1="${chart.top - 8}" x2="${x}" y2="${bottom}" class="${ratio === 1 ? "one" : "grid"}"/>
<text x="${x}" y="${chart.top - 16}" class="axis">${name}</text>`;
    });
  const drawn = rows.map((row, index) => {
    const top = chart.top + index * rowHeight;
    const bars = runtimes.map(([runtime, name], place) => {
      const own = comparisons.filter((each) => each.case === row.case && each.runtime === runtime);
      const comparison = own.find(({ against }) => against === "raw");
      const y = top + 4 + place * (barHeight + 3);
      if (comparison !== undefined) return bar(comparison, y);
      const time = own.length > 0 ? `; belay takes ${formatTime(own[0].ns)}` : "";
      return text(Math.round(position(1)) + 6, y + 12.5, `${name}: ${row.without ?? "not compared"}${time}`, "without");
    });
    return [text(20, top + 18, row.title, "title"), text(20, top + 35, row.about, "about"), ...bars].join("\n");
  });
  const legend = runtimes.map(([runtime, name], index) =>
    `<rect x="${690 + index * 100}" y="22" width="14" height="14" class="${runtime}"/>
${text(690 + index * 100 + 20, 34, `${name} ${versions[runtime]}`, "label")}`
  );
  const place = `${machineText(machine)}, ${date}`;
  return `<!-- scripts/speed_picture.ts draws this picture from docs/benchmarks.json. -->
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="name">
<title id="name">How fast belay is, beside the FFI of Deno and of Bun</title>
<style>
.back { fill: #ffffff; stroke: #d0d7de; }
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
.heading { font-size: 17px; font-weight: 600; }
.title { font-weight: 600; }
.about, .axis, .without, .foot { fill: #59636e; font-size: 12px; }
.axis { text-anchor: middle; }
.label, .without { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round; }
.grid { stroke: #d8dee4; }
.one { stroke: #59636e; }
.deno { fill: #2f6fc0; }
.bun { fill: #d2691e; }
@media (prefers-color-scheme: dark) {
  .back { fill: #0d1117; stroke: #3d444d; }
  text { fill: #e6edf3; }
  .about, .axis, .without, .foot { fill: #9da7b3; }
  .label, .without { stroke: #0d1117; }
  .grid { stroke: #2a313a; }
  .one { stroke: #9da7b3; }
  .deno { fill: #5b9bee; }
  .bun { fill: #e8894a; }
}
</style>
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="6" class="back"/>
${text(20, 34, "belay, beside each runtime's own FFI", "heading")}
${legend.join("\n")}
${grid.join("\n")}
${drawn.join("\n")}
${
    text(
      20,
      bottom + 26,
      "Bars to the right: belay is faster. Bars to the left: belay takes longer. The scale is logarithmic.",
      "foot",
    )
  }
${text(20, bottom + 43, `Medians of one run of the benchmarks on a shared machine: ${place}.`, "foot")}
</svg>
`;
}
