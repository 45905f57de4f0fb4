/**
 * JSR's layout on loopback, for one package: `jsr_server.ts <folder>` serves it, printing its URL. Deno takes that as `JSR_URL`.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";

const [, , folder = ""] = process.argv;
const files = new Map(
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) => [file.slice(folder.length).replaceAll("\\", "/"), readFileSync(file)]),
);
const { name, version, exports } = JSON.parse(String(files.get("/deno.json")));

// Deno takes no version that is younger than a day.
const createdAt = new Date(Date.now() - 3 * 24 * 3600 * 1000).toISOString();
const manifest = Object.fromEntries(
  [...files].map(([path, bytes]) => [
    path,
    { size: bytes.length, checksum: `sha256-${createHash("sha256").update(bytes).digest("hex")}` },
  ]),
);
const documents: Readonly<Record<string, unknown>> = {
  [`/${name}/meta.json`]: {
    scope: name.slice(1).split("/")[0],
    name: name.split("/")[1],
    latest: version,
    versions: { [version]: { createdAt } },
  },
  [`/${name}/${version}_meta.json`]: { manifest, exports: typeof exports === "string" ? { ".": exports } : exports },
};

const server = createServer((request, response) => {
  const path = (request.url ?? "").replace(/\?.*/, "");
  const document = documents[path];
  const prefix = `/${name}/${version}`;
  const body = document !== undefined
    ? JSON.stringify(document)
    : path.startsWith(prefix)
    ? files.get(path.slice(prefix.length))
    : undefined;
  if (body === undefined) return void response.writeHead(404).end();
  const type = document !== undefined
    ? "application/json"
    : path.endsWith(".ts")
    ? "application/typescript"
    : "text/plain";
  response.writeHead(200, { "content-type": type }).end(body);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`));
