/**
 * The crash matrix in README, between two comments.
 *
 * @module
 */

const start = "<!-- crash-matrix -->";
const end = "<!-- /crash-matrix -->";

/** Where the table is in README: behind the first comment, up to the second. */
function place(readme: string): [number, number] {
  const [from, to] = [readme.indexOf(start) + start.length, readme.indexOf(end)];
  if (from < start.length || to < from) {
    throw new Error(`Cannot find the crash matrix: expected ${start} and ${end} in README.md`);
  }
  return [from, to];
}

/** README with another table. */
export function replaceTable(readme: string, rows: readonly string[]): string {
  const [from, to] = place(readme);
  return `${readme.slice(0, from)}\n\n${rows.join("\n")}\n\n${readme.slice(to)}`;
}

/** The cells of README's table, row by row, without its head. */
export function readTable(readme: string): string[][] {
  const rows = readme.slice(...place(readme)).trim().split("\n");
  return rows.slice(2).map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}
