/**
 * DuckDB's C library, from a package of npm, and DuckDB for Python from PyPI, in ignored folders: for the tests of
 * `examples/duckdb` and the benchmark. Nothing that is installed otherwise depends on them.
 *
 * @module
 */

import { join } from "node:path";
import { host } from "./build.ts";
import { MissingError, npmPackage, once } from "./packages.ts";
import { output, run, StepError, toolsFolder } from "./tools.ts";

const libraryVersion = "1.5.6-r.1";
/** What pins the package of each platform. */
const integrities: Readonly<Record<string, string>> = {
  "linux-x64": "sha512-IXcrZJE6kEqM0Z4wwdVnGBHX/frOS33VPNAwDXQ/Q+Fs84b058Qe94chrCCIcNJlG8Y3UHIUU4eBeCQxW5mN1Q==",
  "linux-arm64": "sha512-3jnUaDil1BrF/6vAZwVaInJ1xoBaWGHB4PDiUnzJWKCo8a8TLx9j7/gPyPl/UGRBftrYIuTihRZSfF4mWMgtWA==",
};
/** What the benchmark compares with. The version of the C library takes several times as long for functions in Python. */
export const pythonPackages: readonly string[] = ["duckdb==2.0.1", "numpy==2.4.6", "pyarrow==26.0.1"];

/** Where DuckDB's library is. It is downloaded once. @throws {MissingError} If there is none for this machine. */
export function duckdbLibrary(): string {
  const platform = `${host.os}-${host.arch === "x86_64" ? "x64" : "arm64"}`;
  const integrity = integrities[platform];
  if (integrity === undefined || host.musl === true) {
    throw new MissingError(`Cannot get "DuckDB": only its packages for Linux with glibc are pinned, not ${platform}`);
  }
  const name = `@duckdb/node-bindings-${platform}`;
  return join(npmPackage({ name, version: libraryVersion, integrity }, join(toolsFolder, "duckdb")), "libduckdb.so");
}

/** Python, and where its DuckDB, NumPy and Arrow are. @throws {MissingError} If pip isn't there, or can't get them. */
export function duckdbPython(): { readonly command: string; readonly path: string } {
  const command = ["python3", "python"].find((name) => output(name, ["-m", "pip", "--version"]) !== undefined);
  if (command === undefined) {
    throw new MissingError('Cannot get "DuckDB for Python": Python with pip is missing (Debian: python3-pip)');
  }
  const args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
  try {
    const path = once(join(toolsFolder, "duckdb-python", pythonPackages.join("-")), (temporary) => {
      console.error(`Installing ${pythonPackages.join(", ")} from PyPI …`);
      run(command, [...args, "--only-binary=:all:", "--no-deps", "--target", temporary, ...pythonPackages], {
        quiet: true,
      });
    });
    return { command, path };
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    throw new MissingError(`Cannot get "DuckDB for Python": ${error.message}`);
  }
}
