/**
 * An npm registry on loopback that has one package: for programs that install belay as if it were published.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A registry that answers until it is closed. */
export interface NpmRegistry {
  /** The line of an `.npmrc` by which the package's scope is found here. All other packages are where they were. */
  readonly setting: string;
  close(): void;
}

/** Deno takes no version that is younger than a day. */
const agoMs = 7 * 24 * 60 * 60 * 1000;

/** Serves a scoped package, whose manifest is given, from the file that `npm pack` made. */
export async function serveNpmPackage(
  manifest: { readonly name: string; readonly version: string },
  file: string,
): Promise<NpmRegistry> {
  const { name, version } = manifest;
  const tarball = readFileSync(file);
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "");
    if (path === `/${name}/${version}.tgz`) return response.end(tarball);
    if (path !== `/${name}`) return response.writeHead(404).end();
    const dist = { integrity, tarball: `http://${request.headers.host}/${name}/${version}.tgz` };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({
      name,
      "dist-tags": { latest: version },
      versions: { [version]: { ...manifest, dist } },
      time: { [version]: new Date(Date.now() - agoMs).toISOString() },
    }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    setting: `${name.split("/")[0]}:registry=http://127.0.0.1:${port}/\n`,
    close: () => void server.close(),
  };
}
