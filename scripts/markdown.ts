/**
 * Tables of the pages that scripts write.
 *
 * @module
 */

/** A Markdown table. Numbers belong to the right: a column's head that ends in `:` says so. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [
    line(head.map((name) => name.replace(/:$/, ""))),
    line(head.map((name) => name.endsWith(":") ? "---:" : "---")),
    ...rows.map(line),
  ].join("\n");
}
