/**
 * The site of the documents. `scripts/docs.ts` puts the pages into `.pages/` and runs VitePress.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { defineConfig } from "vitepress";
import { slugOf } from "../../../scripts/document.ts";

/** What `scripts/docs.ts` says about the pages. */
const { description, sidebar } = JSON.parse(readFileSync(new URL("../.pages/site.json", import.meta.url), "utf8"));

export default defineConfig({
  title: "belay",
  description,
  srcDir: ".pages",
  outDir: "../../dist-docs",
  lastUpdated: false,
  markdown: {
    anchor: { slugify: slugOf },
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
  },
  themeConfig: {
    nav: [
      { text: "Guides", link: "/guide/libraries" },
      { text: "Architecture", link: "/architecture/" },
      // Not a page of VitePress's: the browser has to go there by itself.
      { text: "Reference", link: "/reference/all_symbols.html", target: "_self" },
    ],
    sidebar,
    outline: [2, 3],
    search: { provider: "local" },
  },
});
