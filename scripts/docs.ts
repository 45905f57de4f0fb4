/**
 * Builds the site of the documents in `dist-docs/`: README, the guides and the architecture by VitePress, the reference by
 * `deno doc`. Then it checks every link of it. `--base=/belay/` is where the site will be; `--serve` shows it afterwards.
 *
 * The pages are the Markdown files as they are, with what they link to: a source file gets a page of its own, a folder one
 * that lists its files. So what works in the repository works on the site.
 *
 * @module
 */

import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, posix } from "node:path";
import process from "node:process";
import { markdownFiles } from "./links.ts";
import { headingsOf, isExternal, linksOf, replaceLinks } from "./document.ts";
import { deno, main, root, run, StepError } from "./tools.ts";

const siteFolder = join(root, "docs", "site");
const pagesFolder = join(siteFolder, ".pages");
const outFolder = join(root, "dist-docs");

const packageName = "@belay/ffi";

const languages: Readonly<Record<string, string>> = {
  h: "c",
  js: "js",
  run: "bash",
  sh: "bash",
  ts: "ts",
  yml: "yaml",
  zig: "zig",
};

function read(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

function isFolder(path: string): boolean {
  return statSync(join(root, path), { throwIfNoEntry: false })?.isDirectory() === true;
}

/** What a file or folder of the project is on the site: the page or picture, by its path there. */
function placeOf(path: string): string {
  if (isFolder(path)) {
    return placeOf(existsSync(join(root, path, "README.md")) ? `${path}/README.md` : `${path}/index.md`);
  }
  const place = path.replace(/^docs\//, "").replace(/(^|\/)README\.md$/, "$1index.md");
  return /\.(md|svg|png)$/.test(place) ? place : `${place}.md`;
}

/** The file of the project that a link of a page leads to, without the anchor; none for links out of the project. */
function fileOf(page: string, target: string): string | undefined {
  const path = target.split("#")[0];
  return path === "" || isExternal(target)
    ? undefined
    : posix.join(dirname(page), decodeURIComponent(path)).replace(/\/$/, "");
}

/** The first heading of a document. */
function titleOf(page: string): string {
  return headingsOf(read(page))[0]?.text ?? page;
}

/** The head of pages that no list has. */
const unlisted = "---\naside: false\nprev: false\nnext: false\n---\n\n";

/** A page that shows a source file. */
function sourcePage(file: string): string {
  const text = read(file);
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  const language = languages[file.split(/[./]/).at(-1) ?? ""] ?? "txt";
  return `${unlisted}# \`${file}\`\n\n${fence}${language}\n${text.trimEnd()}\n${fence}\n`;
}

/** A page that lists the files of a folder. */
function folderPage(folder: string): string {
  const files = readdirSync(join(root, folder)).filter((name) => !isFolder(`${folder}/${name}`)).sort();
  return `${unlisted}# \`${folder}\`\n\n${files.map((name) => `- [${name}](${name})`).join("\n")}\n`;
}

/** Puts a file onto the site, and all that it links to. */
function addPage(file: string, added: Set<string>): void {
  if (added.has(file)) return;
  added.add(file);
  const place = placeOf(file);
  const path = join(pagesFolder, place);
  mkdirSync(dirname(path), { recursive: true });
  if (!place.endsWith(".md")) return cpSync(join(root, file), path);
  const isFolderPage = isFolder(file);
  const source = isFolderPage ? folderPage(file) : file.endsWith(".md") ? read(file) : sourcePage(file);
  // The links of a folder's page are those of a page inside of it.
  const page = isFolderPage ? `${file}/index.md` : file;
  const linked = replaceLinks(source, (target) => {
    const to = fileOf(page, target);
    if (to === undefined) return target;
    if (!existsSync(join(root, to))) throw new StepError(`Cannot build the site: "${target}" of ${file} leads nowhere`);
    const anchor = target.includes("#") ? `#${target.split("#")[1]}` : "";
    const relative = posix.relative(dirname(place), placeOf(to));
    return `${relative.startsWith(".") ? "" : "./"}${relative}${anchor}`;
  });
  writeFileSync(path, linked);
  for (const target of linksOf(source)) {
    const to = fileOf(page, target);
    if (to === undefined) continue;
    const readme = `${to}/README.md`;
    addPage(existsSync(join(root, readme)) ? readme : to, added);
  }
}

/** The documents that a part of a document links to, in its order. */
function linkedDocuments(page: string, source: string, folder: string): string[] {
  const files = linksOf(source).map((target) => fileOf(page, target));
  return [...new Set(files)].filter((file) =>
    file !== undefined && file.startsWith(folder) && file.endsWith(".md")
  ) as string[];
}

/** The sidebar: the guides in README's order, the architecture in its map's, then the others. */
function sidebarOf(documents: readonly string[]): unknown {
  const guides = linkedDocuments("README.md", read("README.md").split(/^## Guides$/m)[1] ?? "", "docs/guide/");
  const map = "docs/architecture/README.md";
  const architecture = [map, ...linkedDocuments(map, read(map), "docs/architecture/").filter((file) => file !== map)];
  const listed = new Set(["README.md", ...guides, ...architecture]);
  // The pages in `docs/` before those at the root.
  const others = documents.filter((file) => !listed.has(file)).sort((a, b) =>
    Number(b.includes("/")) - Number(a.includes("/"))
  );
  const link = (file: string): string => `/${placeOf(file).replace(/(index)?\.md$/, "")}`;
  const items = (files: readonly string[]): unknown => files.map((file) => ({ text: titleOf(file), link: link(file) }));
  return [
    { text: "Overview", link: "/" },
    { text: "Guides", items: items(guides) },
    { text: "More", items: items(others) },
    { text: titleOf(map), link: link(map), items: items(architecture.slice(1)) },
  ];
}

/** Puts the pages where VitePress takes them from. */
function writePages(): void {
  rmSync(pagesFolder, { recursive: true, force: true });
  mkdirSync(pagesFolder, { recursive: true });
  const documents = markdownFiles().filter((file) =>
    file.startsWith("docs/") || /^(README|CONTRIBUTING|CHANGELOG)/.test(file)
  );
  const added = new Set<string>();
  for (const document of documents) addPage(document, added);
  const description = /^# .*\n+(.*)$/m.exec(read("README.md"))?.[1] ?? "";
  writeFileSync(join(pagesFolder, "site.json"), JSON.stringify({ description, sidebar: sidebarOf(documents) }));
}

/** Installs VitePress, unless what the lock file says is there. It isn't among the project's own packages: tests don't need it. */
function installGenerator(): void {
  const lock = readFileSync(join(siteFolder, "package-lock.json"), "utf8");
  const stamp = join(siteFolder, "node_modules", ".belay-lock");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.error("Installing VitePress from npm …");
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: siteFolder, quiet: true });
  writeFileSync(stamp, lock);
}

function vitePress(args: readonly string[]): void {
  run("node", [join(siteFolder, "node_modules", "vitepress", "bin", "vitepress.js"), ...args], { cwd: siteFolder });
}

/** An attribute's value without HTML's references to characters. */
function unescaped(value: string): string {
  const named: Readonly<Record<string, string>> = { amp: "&", quot: '"', lt: "<", gt: ">", apos: "'" };
  return value.replaceAll(/&(?:#x([\da-f]+)|#(\d+)|(\w+));/gi, (all, hex, decimal, name) => {
    if (name !== undefined) return named[name] ?? all;
    return String.fromCodePoint(parseInt(hex ?? decimal, hex === undefined ? 10 : 16));
  });
}

/**
 * Mends the pages of the reference. They lead back to the guides, import the package by its name, fit a phone, and don't link to
 * this machine's files. A parameter of a mapped type isn't a link: `deno doc` makes it one that leads nowhere.
 */
function mendReference(): void {
  const folder = join(outFolder, "reference");
  appendFileSync(join(folder, "page.css"), readFileSync(join(siteFolder, "reference.css"), "utf8"));
  const pages = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".html"));
  for (const page of pages) {
    const path = join(folder, page);
    const html = readFileSync(path, "utf8");
    const mended = html.replaceAll(/<a href="([^"#]*)#(type_param_\w+)"[^>]*>([^<]*)<\/a>/g, (link, to, id, text) => {
      const target = to === "" ? html : readFileSync(join(dirname(path), to), "utf8");
      return target.includes(`id="${id}"`) ? link : text;
    });
    const up = posix.relative(dirname(page), "..");
    const back = `<a href="${up}/index.html" class="link" style="margin-right: 1rem">Guides</a>`;
    const named = mended.replaceAll("from &quot;.&quot;;", `from &quot;${packageName}&quot;;`)
      .replaceAll(/<a\s+class="sourceButton"[^>]*>[\s\S]*?<\/a>/g, "");
    writeFileSync(path, named.replace('<ul class="breadcrumbs">', `${back}$&`));
  }
}

/** What is wrong with the links of the site. */
function brokenSiteLinks(base: string): string[] {
  const pages = readdirSync(outFolder, { recursive: true, encoding: "utf8" }).map((path) => path.replaceAll("\\", "/"));
  const files = new Set(pages);
  const texts = new Map(
    pages.filter((path) => path.endsWith(".html")).map((path) => [path, readFileSync(join(outFolder, path), "utf8")]),
  );
  const anchors = new Map(
    [...texts].map((
      [path, text],
    ) => [path, new Set([...text.matchAll(/\s(?:id|name)="([^"]+)"/g)].map(([, id]) => unescaped(id)))]),
  );
  return [...texts].flatMap(([page, text]) => {
    const targets = new Set([...text.matchAll(/<[^>]*?\s(?:href|src)="([^"]*)"/g)].map(([, target]) => target));
    return [...targets].flatMap((written) => {
      const target = unescaped(written);
      if (target.startsWith("file:")) return [`${page}: "${target}" is on this machine`];
      if (isExternal(target) || target === "#" || target === "") return [];
      const [path, anchor] = target.replace(/\?[^#]*/, "").split("#", 2).map(decodeURIComponent);
      const absolute = path.startsWith(base) ? path.slice(base.length) : posix.join(dirname(page), path);
      const found = path === ""
        ? page
        : [absolute, posix.join(absolute, "index.html"), `${absolute}.html`].find((file) =>
          files.has(file) && (anchors.has(file) || /\.\w+$/.test(file))
        );
      if (found === undefined) return [`${page}: "${target}" leads nowhere`];
      if (!anchor || anchors.get(found)?.has(anchor) !== false) return [];
      return [`${page}: "${target}" names nothing in ${found}`];
    });
  });
}

await main(() => {
  const args = process.argv.slice(2);
  const unknown = args.filter((arg) => arg !== "--serve" && !/^--base=\/(.*\/)?$/.test(arg));
  if (unknown.length > 0) throw new StepError(`No such argument: ${unknown}; there are --base=/…/ and --serve`);
  const base = args.find((arg) => arg.startsWith("--base="))?.slice("--base=".length) ?? "/";
  installGenerator();
  writePages();
  rmSync(outFolder, { recursive: true, force: true });
  vitePress(["build", "--base", base]);
  run(deno(), ["doc", "--quiet", "--html", "--name=belay", `--output=${join(outFolder, "reference")}`, "./mod.ts"]);
  mendReference();
  const broken = brokenSiteLinks(base);
  if (broken.length > 0) throw new StepError(`Cannot follow ${broken.length} links of the site:\n${broken.join("\n")}`);
  console.log(`The site is in ${outFolder}.`);
  if (args.includes("--serve")) vitePress(["preview", "--base", base]);
});
