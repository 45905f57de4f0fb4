/**
 * Makes declarations smaller: what no program can come to is left out, with the comments that are for belay's own readers.
 *
 * It knows how TypeScript's compiler writes declarations: what is declared begins at a line's beginning, and so does nothing else
 * but the end of it.
 *
 * @module
 */

import { posix } from "node:path";

/** A declaration of a module, with the comment above it. */
interface Declaration {
  readonly name: string;
  readonly text: string;
}

/** What a module imports, by the names that it gives them. */
interface Module {
  readonly imports: Map<string, { readonly path: string; readonly line: string; readonly name: string }>;
  readonly declarations: Declaration[];
  /** What it only passes on: `export … from`, which stays. */
  readonly passedOn: string[];
}

const start = /^(?=\/\*\*|import |export |declare |interface |type |class )/m;
const declared = /^(?:export )?(?:declare )?(?:abstract )?(?:const|let|class|function|interface|type) (\w+)/m;
const from = /^(?:import|export) (?:type )?\{([^}]*)\} from "([^"]+)\.js";/m;

/** What makes objects of a class whose constructor only belay calls: its parameters are of types that nobody else has. */
const ownConstructor = /^( +)(?:\/\*\*(?:(?!\*\/)[^])*\*\/\n +)?constructor\(token: typeof inside[^]*?\);\n/gm;

function parse(path: string, text: string): Module {
  const module: Module = { imports: new Map(), declarations: [], passedOn: [] };
  let comment = "";
  for (const part of text.replaceAll(ownConstructor, "$1protected constructor();\n").split(start)) {
    const [, names, specifier] = from.exec(part) ?? [];
    if (part.startsWith("/**") && !declared.test(part)) {
      comment = part.includes("@module") ? "" : part;
      continue;
    }
    if (part.startsWith("import ") && names !== undefined && specifier !== undefined) {
      for (const given of names.split(",")) {
        const [, name = "", own = name] = /^\s*(?:type )?(\w+)(?: as (\w+))?\s*$/.exec(given) ?? [];
        if (name === "") continue;
        const line = own === name ? name : `${name} as ${own}`;
        module.imports.set(own, { path: `${posix.join(posix.dirname(path), specifier)}.d.ts`, line, name });
      }
    } else if (part.startsWith("export ") && specifier !== undefined) module.passedOn.push(part);
    else {
      const [, name] = declared.exec(part) ?? [];
      if (name !== undefined) module.declarations.push({ name, text: comment + part });
      else if (!/^(?:import|export \{\};)/.test(part)) {
        throw new Error(`Cannot read the declarations of ${path}: ${part}`);
      }
    }
    comment = "";
  }
  return module;
}

const comments = /^ *\/\*\*[^]*?\*\/\n/gm;

/**
 * The declarations that a program which imports one module can come to; modules that have none are left out.
 *
 * @param texts The modules' texts, by their paths.
 * @param entry The path of that module, which stays as it is.
 */
export function shaken(texts: ReadonlyMap<string, string>, entry: string): Map<string, string> {
  const modules = new Map<string, Module>();
  const moduleAt = (path: string): Module => {
    const text = texts.get(path);
    if (text === undefined) throw new Error(`Cannot find the declarations of ${path}`);
    const module = modules.get(path) ?? parse(path, text);
    modules.set(path, module);
    return module;
  };
  /** The names that are come to, by their modules. */
  const reached = new Map<string, Set<string>>();
  const visit = (path: string, name: string): void => {
    const module = moduleAt(path);
    const names = reached.get(path) ?? new Set();
    reached.set(path, names);
    if (names.has(name)) return;
    names.add(name);
    const imported = module.imports.get(name);
    if (imported !== undefined) return visit(imported.path, imported.name);
    for (const declaration of module.declarations) {
      if (declaration.name !== name) continue;
      const words = new Set(declaration.text.replaceAll(comments, "").match(/\w+/g));
      for (const word of words) {
        if (module.imports.has(word) || module.declarations.some((other) => other.name === word)) visit(path, word);
      }
      for (const [, specifier, member] of declaration.text.matchAll(/import\("([^"]+)\.js"\)\.(\w+)/g)) {
        visit(`${posix.join(posix.dirname(path), specifier ?? "")}.d.ts`, member ?? "");
      }
    }
  };
  const shown = texts.get(entry) ?? "";
  /** The names that programs have. */
  const given = new Set<string>();
  for (const [, names = "", specifier = ""] of shown.matchAll(new RegExp(from, "gm"))) {
    for (const each of names.split(",")) {
      const [, name = ""] = /^\s*(?:type )?(\w+)/.exec(each) ?? [];
      if (name === "") continue;
      given.add(name);
      visit(`${posix.join(posix.dirname(entry), specifier)}.d.ts`, name);
    }
  }
  const result = new Map([[entry, shown]]);
  for (const [path, names] of reached) {
    const module = moduleAt(path);
    const bySource = new Map<string, string[]>();
    for (const [own, { path: source, line }] of module.imports) {
      if (names.has(own)) bySource.set(source, [...(bySource.get(source) ?? []), line]);
    }
    let text = "";
    for (const [source, lines] of bySource) {
      const relative = posix.relative(posix.dirname(path), source).replace(/\.d\.ts$/, ".js");
      text += `import type { ${lines.join(", ")} } from "${relative.startsWith(".") ? relative : `./${relative}`}";\n`;
    }
    for (const { name, text: declaration } of module.declarations) {
      if (names.has(name)) text += given.has(name) ? declaration : declaration.replaceAll(comments, "");
    }
    result.set(path, `${text}${module.passedOn.join("")}export {};\n`);
  }
  return result;
}
