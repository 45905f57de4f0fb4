/**
 * The crash matrix in docs/crash_matrix.md, between two comments.
 *
 * @module
 */

const start = "<!-- crash-matrix -->";
const end = "<!-- /crash-matrix -->";

/** Where the table is in the page: behind the first comment, up to the second. */
function place(page: string): [number, number] {
  const [from, to] = [page.indexOf(start) + start.length, page.indexOf(end)];
  if (from < start.length || to < from) {
    throw new Error(`Cannot find the crash matrix: expected ${start} and ${end} in docs/crash_matrix.md`);
  }
  return [from, to];
}

/** The page with another table. */
export function replaceTable(page: string, rows: readonly string[]): string {
  const [from, to] = place(page);
  return `${page.slice(0, from)}\n\n${rows.join("\n")}\n\n${page.slice(to)}`;
}

/** The cells of the page's table, row by row, without its head. */
export function readTable(page: string): string[][] {
  const rows = page.slice(...place(page)).trim().split("\n");
  return rows.slice(2).map((row) => row.split("|").slice(1, -1).map((cell) => cell.trim()));
}
