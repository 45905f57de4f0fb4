/**
 * A worker that serves references of git repositories by HTTP, to users who know their password. A repository has its user's
 * name. It is a worker, since libgit2 waits for its sockets on the program's own thread.
 */

import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const scope = globalThis as unknown as { postMessage(message: unknown): void };

/** A line of git's protocol: its length comes first. */
function line(text: string): string {
  return (text.length + 4).toString(16).padStart(4, "0") + text;
}

const end = "0000";

function references(name: string): string {
  const id = name.length.toString(16).padStart(40, "0");
  return line("# service=git-upload-pack\n") + end +
    line(`${id} HEAD\0symref=HEAD:refs/heads/main\n`) + line(`${id} refs/heads/${name}\n`) + end;
}

const isTiredOf = new Set<string>();
const server = createServer((request, response) => {
  const name = /^\/(\w+)\.git\/info\/refs\?service=git-upload-pack$/.exec(request.url ?? "")?.[1];
  const wanted = `Basic ${Buffer.from(`${name}:${name}'s password`).toString("base64")}`;
  const { authorization } = request.headers;
  scope.postMessage({
    name,
    authorized: authorization === undefined ? "no" : authorization === wanted ? "yes" : "wrong",
  });
  if (name === undefined) return response.writeHead(404).end();
  if (authorization !== wanted) {
    response.writeHead(401, { "WWW-Authenticate": `Basic realm="${name}"` }).end("who are you?");
    if (name !== "impatient" || isTiredOf.has(name)) return;
    // As servers do with connections that are quiet for a while. Once is enough.
    isTiredOf.add(name);
    request.socket.once("close", () => scope.postMessage({ name, authorized: "too late" }));
    response.once("finish", () => request.socket.destroySoon());
    return;
  }
  if (name === "missing") return response.writeHead(404).end();
  response.writeHead(200, { "Content-Type": "application/x-git-upload-pack-advertisement" }).end(references(name));
});
server.listen(0, "127.0.0.1", () => scope.postMessage({ port: (server.address() as AddressInfo).port }));
