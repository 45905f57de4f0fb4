/**
 * What the doc comments of the API lack. `deno doc --lint` sees a comment that is missing; this also sees one that leaves
 * something out.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { deno, root, StepError } from "./tools.ts";

/** A comment, as far as it is looked at. */
interface Comment {
  readonly doc?: string;
  readonly tags?: readonly { readonly kind: string; readonly name?: string }[];
}

/** A parameter: of a default value, the name is to its left. */
interface Parameter {
  readonly name?: string;
  readonly left?: Parameter;
  readonly arg?: Parameter;
}

interface Signature {
  readonly params: readonly Parameter[];
  readonly returnType?: { readonly repr: string };
  readonly hasBody?: boolean;
}

interface Member {
  readonly name: string;
  readonly jsDoc?: Comment;
  readonly accessibility?: string;
}

interface Method extends Member, Partial<Signature> {
  readonly kind?: string;
  /** Of a class. An interface has the signature in the method itself. */
  readonly functionDef?: Signature;
}

/** A class, an interface or a function. */
interface Definition extends Partial<Signature> {
  readonly constructors?: readonly Method[];
  readonly methods?: readonly Method[];
  readonly properties?: readonly Member[];
}

interface Declaration {
  readonly kind: string;
  readonly jsDoc?: Comment;
  readonly def?: Definition;
}

/** What `deno doc --json` says, as far as it is looked at: for each module, its exports. */
export interface Documentation {
  readonly nodes: Readonly<
    Record<
      string,
      {
        readonly symbols: readonly { readonly name: string; readonly declarations: readonly Declaration[] }[];
      }
    >
  >;
}

/** What the comments of the exports lack, a sentence for each; a comment that is `@ignore` isn't among them. */
export function lacking(documentation: Documentation): string[] {
  const found: string[] = [];
  const symbols = Object.values(documentation.nodes).flatMap(({ symbols }) => symbols);
  for (const { name, declarations } of symbols) {
    const described = (declaration: Declaration): void => {
      const { kind, jsDoc, def = {} } = declaration;
      found.push(...commentLacks(name, jsDoc));
      if (kind === "function") found.push(...signatureLacks(name, jsDoc, def));
      for (const made of (def.constructors ?? []).filter(isPublic)) {
        found.push(...commentLacks(`new ${name}`, made.jsDoc), ...signatureLacks(`new ${name}`, made.jsDoc, made));
      }
      for (const property of (def.properties ?? []).filter(isPublic)) {
        found.push(...commentLacks(`${name}.${property.name}`, property.jsDoc));
      }
      for (const method of withoutImplementations(def.methods ?? []).filter(isPublic)) {
        const path = `${name}.${method.name}`;
        found.push(...commentLacks(path, method.jsDoc));
        // A getter is read as a property.
        if (method.kind !== "getter") found.push(...signatureLacks(path, method.jsDoc, signatureOf(method)));
      }
    };
    // What another module that is read exports is there.
    const own = declarations.filter(({ kind }) => kind !== "reference").map((each) => ({ ...each, name }));
    withoutImplementations(own).forEach(described);
  }
  return [...new Set(found)];
}

/** What `deno doc --json` says of modules of the project, by their paths from its root. */
export function documentation(...modules: readonly string[]): Documentation {
  const { status, stdout, stderr } = spawnSync(deno(), ["doc", "--json", ...modules], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (status !== 0) throw new StepError(`Cannot read the doc comments: ${stderr}`);
  return JSON.parse(stdout) as Documentation;
}

function isPublic({ accessibility }: Member): boolean {
  return accessibility === undefined || accessibility === "public";
}

function signatureOf(method: Method): Partial<Signature> {
  return method.functionDef ?? method;
}

/** An overloaded function is documented by its overloads: nobody sees the signature of its implementation. */
function withoutImplementations<T extends Method & { readonly def?: Definition }>(declared: readonly T[]): T[] {
  const bodiless = new Set(declared.filter((each) => !hasBody(each)).map(({ name }) => name));
  return declared.filter((each) => !hasBody(each) || !bodiless.has(each.name));
}

function hasBody(declared: Method & { readonly def?: Definition }): boolean {
  return (declared.def ?? signatureOf(declared)).hasBody === true;
}

function commentLacks(path: string, { doc = "" }: Comment = {}): string[] {
  if (doc.trim() === "") return [`${path} has no description`];
  const start = /^(?:As|The same)\b/.exec(doc.trim())?.[0];
  return start === undefined ? [] : [`${path} begins with "${start}": it says nothing where it stands alone`];
}

function signatureLacks(
  path: string,
  { tags = [] }: Comment = {},
  { params = [], returnType }: Partial<Signature>,
): string[] {
  const described = new Set(tags.filter(({ kind }) => kind === "param").map(({ name }) => name));
  const found = params.map(nameOf).filter((name) => !described.has(name)).map((name) =>
    `${path} has no @param ${name}`
  );
  const gives = returnType !== undefined && !["void", "never"].includes(returnType.repr);
  if (gives && !tags.some(({ kind }) => kind === "return")) found.push(`${path} has no @returns`);
  return found;
}

function nameOf(parameter: Parameter): string {
  const { name, left, arg } = parameter;
  return name ?? (left ?? arg)?.name ?? "(a pattern)";
}
