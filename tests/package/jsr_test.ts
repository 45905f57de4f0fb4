/** The package as JSR has it, from a server of its layout on loopback: modules only, with empty caches, and without the server. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { afterAll, beforeAll, describe, it } from "@std/testing/bdd";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { testLibrary } from "../../scripts/build.ts";
import { packForJsr } from "../../scripts/pack.ts";
import { deno, root } from "../../scripts/tools.ts";
import { type Ended, ProgramFolder } from "../support/installed.ts";
import { leftOut } from "../support/left_out.ts";
import { hasHostPrograms } from "../support/machine.ts";

if (!hasHostPrograms) leftOut("JSR's package, which a program of the host's installs");
const itOnHost = hasHostPrograms ? it : it.skip;
const itOnLinux = hasHostPrograms && process.platform === "linux" ? it : it.skip;
const canMount = hasHostPrograms && spawnSync("unshare", ["--mount", "true"]).status === 0;
if (!canMount) leftOut("a private folder on file systems of its own, which takes the right to mount them");
const itWithMounts = canMount ? it : it.skip;

const short = `import { callback, Handle, stats } from "@belay/ffi";
callback({ parameters: [], result: "void" }, () => {}).close();
console.log(Handle.create("belay").value, stats().core?.source, stats().core?.path.replace(/\\d+$/, "N"));
`;

describe("JSR's package", () => {
  let folder: ProgramFolder | undefined;
  let server: ChildProcess | undefined;
  let url = "";
  const app = (): ProgramFolder => folder as ProgramFolder;

  function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Ended {
    return app().run(deno(), args, { env: { JSR_URL: url, DENO_DIR: join(app().above, "deno"), ...env } });
  }

  beforeAll(async () => {
    if (!hasHostPrograms) return;
    folder = new ProgramFolder();
    const published = join(app().above, "published");
    packForJsr(published);
    const program = join(root, "tests", "support", "jsr_server.ts");
    const started = spawn(deno(), ["run", "-A", "--quiet", program, published], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    server = started;
    url = await new Promise<string>((resolve, reject) => {
      started.stdout.on("data", (data) => resolve(String(data).trim()));
      started.on("exit", () => reject(new Error("JSR's server ended")));
    });
    app().write("deno.json", "{}");
    app().write("short.ts", short);
    for (const name of ["installed.ts", "installed_worker.ts", "installed_sum.ts"]) {
      cpSync(join(root, "tests", "programs", name), join(app().path, name));
    }
    const added = run(["add", "jsr:@belay/ffi"]);
    assertEquals(added.code, 0, added.stderr);
  });

  afterAll(() => {
    server?.kill();
    folder?.remove();
  });

  itOnLinux("opens its core with --allow-ffi and nothing else, from memory", () => {
    assertEquals(run(["run", "--no-prompt", "--quiet", "--allow-ffi", "short.ts"]), {
      code: 0,
      stdout: "belay embedded /proc/self/fd/N\n",
      stderr: "",
    });
  });

  itOnHost("is called back, by threads, too, makes nonblocking calls, has channels and workers", () => {
    const { code, stdout, stderr } = run(["run", "--no-prompt", "--quiet", "-A", "installed.ts", testLibrary]);
    assertEquals([code, stdout, stderr], [0, "14, 200 calls, true, an event, 30 of 2, embedded\n", ""]);
  });

  itOnHost("has a doctor, and a template", () => {
    const { code, stdout, stderr } = run(["run", "-A", "--quiet", "jsr:@belay/ffi/doctor"]);
    assertEquals(code, 0, stdout + stderr);
    assertStringIncludes(stdout, "belay works here.");
    const made = run(["run", "-A", "--quiet", "jsr:@belay/ffi/create", "my-lib"]);
    assertEquals(made.code, 0, made.stderr);
    assert(existsSync(join(app().path, "my-lib", "package.json")));
  });

  itOnLinux("keeps its core in a private folder where there are no files in memory", () => {
    // As where the system makes none.
    app().write(
      "no_memory.ts",
      `const open = Deno.dlopen;
Deno.dlopen = ((path, symbols) => {
  if (Object.values(symbols).some(({ name }) => name === "syscall")) throw new Error("there is none");
  return open(path, symbols);
}) as typeof Deno.dlopen;
try {
  await import("./short.ts");
} catch (error) {
  console.log(String(error));
}
`,
    );
    const home = join(app().above, "home");
    mkdirSync(home);
    const permissions = [
      "--allow-ffi",
      "--allow-env=XDG_CACHE_HOME,HOME",
      `--allow-read=${home}`,
      `--allow-write=${home}`,
    ];
    const args = ["run", "--no-prompt", "--quiet", ...permissions, "no_memory.ts"];
    const first = run(args, { XDG_CACHE_HOME: home });
    const [name = ""] = readdirSync(join(home, "belay"));
    const path = join(home, "belay", name);
    assertEquals(first, { code: 0, stdout: `belay embedded ${path}\n`, stderr: "" });
    assert(/^libbelay-[0-9a-f]{16}\.so$/.test(name), name);
    assertEquals(statSync(join(home, "belay")).mode & 0o777, 0o700);
    // A file that was cut takes no harm.
    writeFileSync(path, "cut");
    assertEquals(run(args, { XDG_CACHE_HOME: home }), first);
    // Errors say what to set.
    const noHome = run(args, { XDG_CACHE_HOME: "", HOME: "" });
    assertStringIncludes(
      noHome.stdout,
      "XDG_CACHE_HOME or HOME must be set; and no file in memory could be made: there is",
    );
    assertStringIncludes(noHome.stdout, "configure({ core: path })");
    chmodSync(join(home, "belay"), 0o777);
    const open = run(args, { XDG_CACHE_HOME: home });
    assertStringIncludes(open.stdout, "others can write to");
    assertStringIncludes(open.stdout, "Set XDG_CACHE_HOME");
  });

  itWithMounts("says what to do where the private folder's file system is full, read-only or noexec", () => {
    const mounted = join(app().above, "mounted");
    mkdirSync(mounted);
    const runOn = (options: string): string => {
      const program = ["run", "--no-prompt", "--quiet", "-A", "no_memory.ts"];
      const script = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"';
      const env = { JSR_URL: url, DENO_DIR: join(app().above, "deno"), XDG_CACHE_HOME: mounted };
      return app().done("unshare", ["--mount", "sh", "-c", script, "sh", options, mounted, deno(), ...program], {
        env,
      });
    };
    for (
      const [options, words] of [
        ["size=32k,mode=700", "No space left on device"],
        ["ro,mode=700", "Read-only file system"],
        ["noexec,mode=700", "failed to map segment"],
      ] as const
    ) {
      const message = runOn(options);
      assertStringIncludes(message, 'Cannot open "belay\'s native core"');
      assertStringIncludes(message, words);
      assert(/Set XDG_CACHE_HOME to (a folder|another one)/.test(message), message);
    }
    assertStringIncludes(runOn("mode=700"), `belay embedded ${join(mounted, "belay")}`);
  });

  itOnHost("runs from the cache when the server is gone", () => {
    server?.kill();
    const { code, stdout, stderr } = run(["run", "--cached-only", "--quiet", "-A", "installed.ts", testLibrary]);
    assertEquals([code, stdout, stderr], [0, "14, 200 calls, true, an event, 30 of 2, embedded\n", ""]);
  });
});
