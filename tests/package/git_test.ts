/** libgit2 asks for credentials by an `async` callback, in the midst of a connection. */

import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { afterAll, beforeAll, describe, it } from "@std/testing/bdd";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  Arena,
  array,
  callback,
  dlopen,
  Handle,
  handle,
  type Library,
  LibraryLoadError,
  NativeMemory,
  out,
  type Pointer,
  pointer,
  stats,
  struct,
  tailCall,
} from "@belay/ffi";
import { alive, collectFully, turn } from "../support/gc.ts";
import { leftOut } from "../support/left_out.ts";
import { until } from "../support/until.ts";

const before = alive();

/** What somebody answers who is asked for credentials, or a status of libgit2's. */
type Ask = (url: string) => Promise<{ readonly user: string; readonly password: string } | number>;

/** Somebody who is asked, and the memory of what C is told. */
interface Asking {
  readonly ask: Ask;
  readonly arena: Arena;
}

const remote = pointer<"git_remote">();
const acquire = { parameters: ["pointer", "cstring", "cstring", "u32", handle<Asking>()], result: "i32" } as const;
/** `git_remote_callbacks` of libgit2 1.5. */
const RemoteCallbacks = struct({
  version: "u32",
  sidebandProgress: "function",
  completion: "function",
  credentials: acquire,
  certificateCheck: "function",
  progress: array("function", 5),
  pushNegotiation: "function",
  transport: "function",
  remoteReady: "function",
  payload: handle<Asking>(),
  resolveUrl: "function",
});
const RemoteHead = struct({ local: "i32", ids: array("u8", 40), name: "cstring", target: "cstring" });
const GitError = struct({ message: "cstring", kind: "i32" });
const definitions = {
  git_libgit2_init: { parameters: [], result: "i32" },
  git_libgit2_shutdown: { parameters: [], result: "i32" },
  git_error_last: { parameters: [], result: "pointer" },
  git_error_clear: { parameters: [], result: "void" },
  git_error_set_str: { parameters: ["i32", "cstring"], result: "i32" },
  git_remote_create_detached: { parameters: [out(remote), "cstring"], result: "i32" },
  git_remote_init_callbacks: { parameters: ["pointer", "u32"], result: "i32" },
  git_remote_connect: { parameters: [remote, "i32", "pointer", "pointer", "pointer"], result: "i32", suspends: true },
  git_remote_ls: { parameters: [out("pointer"), out("usize"), remote], result: "i32" },
  git_remote_free: { parameters: [remote], result: "void" },
  git_credential_userpass_plaintext_new: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
} as const;
const refusedByUser = -7;
const refusedByServer = -16;
const passThrough = -30;
const kindOfCallbacks = 26;

function open(): Library<typeof definitions> | undefined {
  try {
    return dlopen({ name: "git2", versions: ["1.5"] }, definitions);
  } catch (error) {
    if (!(error instanceof LibraryLoadError)) throw error;
    leftOut("the tests of libgit2's credentials (Debian: libgit2-1.5)");
    return undefined;
  }
}

const library = open();
const itWithGit = library === undefined ? it.skip : it;
const git = library?.symbols as NonNullable<typeof library>["symbols"];

const credentials = callback(acquire, async (answer, url, _user, _allowed, { ask, arena }) => {
  const given = await ask(url ?? "");
  if (typeof given === "number") return given;
  // C calls it, if it still waits. If the connection was given up meanwhile, where the answer goes is no longer there.
  const words = [given.user, given.password].map((text) => arena.cstring(text).pointer);
  return tailCall(git.git_credential_userpass_plaintext_new, answer, words[0]!, words[1]!);
}, { name: "credentials", suspends: true, fallback: refusedByUser });

/** What libgit2 says of a call that failed. */
class GitFailure extends Error {
  readonly status: number;

  constructor(status: number) {
    const last = git.git_error_last();
    super(last === null ? "nothing" : GitError.read(GitError.borrow(last)).message ?? "");
    this.status = status;
  }
}

let server: Worker;
let port = 0;
/** Whom the server answered, and how. */
const served: string[] = [];

/** The names of a repository's references, by a connection of its own. */
async function references(name: string, ask: Ask, options: { signal?: AbortSignal } = {}): Promise<string[]> {
  const [created, connection] = git.git_remote_create_detached(`http://127.0.0.1:${port}/${name}.git`);
  assertEquals(created, 0);
  using arena = new Arena();
  using asking = Handle.create({ ask, arena });
  using callbacks = RemoteCallbacks.alloc();
  try {
    assertEquals(git.git_remote_init_callbacks(callbacks, 1), 0);
    RemoteCallbacks.write(callbacks, { ...RemoteCallbacks.read(callbacks), credentials, payload: asking });
    const status = await git.git_remote_connect(connection, 0, callbacks, null, null, options);
    if (status !== 0) throw new GitFailure(status);
    const [listed, heads, count] = git.git_remote_ls(connection);
    assertEquals(listed, 0);
    const addresses = NativeMemory.borrow(heads as Pointer, Number(count) * 8);
    return Array.from({ length: Number(count) }, (_, index) => {
      const { name, target } = RemoteHead.read(RemoteHead.borrow(addresses.getPointer(8 * index) as Pointer));
      return target === null ? `${name}` : `${name} -> ${target}`;
    });
  } finally {
    git.git_remote_free(connection);
  }
}

const knows = (user: string): { user: string; password: string } => ({ user, password: `${user}'s password` });

/** What a promise is rejected with by libgit2. */
async function failure(promise: Promise<unknown>): Promise<[number, string]> {
  const { status, message } = await assertRejects(() => promise, GitFailure);
  return [status, message];
}

describe("libgit2's credentials", () => {
  let keeper: Server;

  beforeAll(async () => {
    if (library === undefined) return;
    git.git_libgit2_init();
    server = new Worker(new URL("../programs/git_server.ts", import.meta.url).href, { type: "module" });
    await new Promise<void>((resolve) => {
      server.onmessage = ({ data }: { data: { port?: number; name: string; authorized: string } }) => {
        if (data.port === undefined) return void served.push(`${data.name}: ${data.authorized}`);
        port = data.port;
        resolve();
      };
    });
    // On this thread: it answers while libgit2 waits.
    keeper = createServer((request, response) => {
      setTimeout(() => response.end(JSON.stringify(knows(request.url?.slice(1) ?? ""))), 1);
    });
    await new Promise<void>((resolve) => keeper.listen(0, "127.0.0.1", resolve));
  });

  const fetched = async (url: string): Promise<{ user: string; password: string }> => {
    const user = /(\w+)\.git$/.exec(url)?.[1];
    const response = await fetch(`http://127.0.0.1:${(keeper.address() as AddressInfo).port}/${user}`);
    return await response.json() as { user: string; password: string };
  };

  itWithGit("come from a server that this thread serves, after a while", async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const found = await references("ada", async (url) => {
      await until(() => ticks > 3);
      return await fetched(url);
    });
    clearInterval(timer);
    assertEquals(found, ["HEAD -> refs/heads/main", "refs/heads/ada"]);
    await until(() => served.length === 2);
    assertEquals(served, ["ada: no", "ada: yes"]);
  });

  itWithGit("are asked for by two connections at once, each of which waits for the other's answer", async () => {
    const waiting: string[] = [];
    const ask: Ask = async (url) => {
      waiting.push(url.slice(-7));
      await until(() => waiting.length === 2, "the other's question");
      assertEquals(stats().live.ownStacks, 2);
      return await fetched(url);
    };
    const found = await Promise.all([references("ada", ask), references("bob", ask)]);
    assertEquals(found.map((names) => names[1]), ["refs/heads/ada", "refs/heads/bob"]);
    assertEquals(waiting, ["ada.git", "bob.git"]);
  });

  itWithGit("are asked for again when they are wrong, until the callback refuses or libgit2 has enough", async () => {
    let asked = 0;
    const wrong = { user: "eve", password: "guessed" };
    // Its answer stays an answer: libgit2 has no words for it.
    git.git_error_clear();
    const refused = references("eve", async () => (await turn(), ++asked < 3 ? wrong : refusedByServer));
    assertEquals([await failure(refused), asked], [[refusedByServer, "nothing"], 3]);
    asked = 0;
    const endless = references("eve", async () => (await null, asked++, wrong));
    assertEquals([await failure(endless), asked], [[-1, "too many redirects or authentication replays"], 15]);
    const late = references("eve", async (url) => (await turn(), ++asked < 18 ? wrong : await fetched(url)));
    assertEquals((await late).length, 2);
    await until(() => served.at(-1) === "eve: yes");
    assertEquals(served.filter((line) => line === "eve: no").length, 3);
  });

  itWithGit("are not there: libgit2's own error says it, or the one that the callback sets", async () => {
    const passed = references("ada", async () => (await turn(), passThrough));
    assertEquals(await failure(passed), [refusedByServer, "remote authentication required but no callback set"]);
    const set = references("ada", async () => {
      await turn();
      git.git_error_set_str(kindOfCallbacks, "Ada is not in");
      return refusedByUser;
    });
    assertEquals(await failure(set), [refusedByUser, "Ada is not in"]);
    // libgit2 says nothing of its own then, and what was last said stays.
    const silent = references("ada", async () => (await turn(), refusedByUser));
    assertEquals(await failure(silent), [refusedByUser, "Ada is not in"]);
  });

  itWithGit("fail with what the callback is rejected with, the same object", async () => {
    const error = new Error("nobody at home");
    const rejected = references("ada", async () => {
      await turn();
      throw error;
    });
    assertStrictEquals(await rejected.then(() => undefined, (reason) => reason), error);
    assertEquals((await references("ada", fetched)).length, 2);
  });

  itWithGit("are given up by a signal: libgit2 closes the connection before abort() returns", async () => {
    const controller = new AbortController();
    let answer: (given: ReturnType<typeof knows>) => void = () => {};
    const ask: Ask = () => new Promise((resolve) => answer = resolve);
    const waiting = references("ada", ask, { signal: controller.signal });
    assertEquals(stats().live.ownStacks, 1);
    controller.abort(new Error("closed the dialog"));
    assertEquals(stats().live.ownStacks, 0);
    // It comes before the connection's memory is freed, and C isn't called.
    answer(knows("ada"));
    await assertRejects(() => waiting, Error, "closed the dialog");
    assertEquals((await references("ada", fetched)).length, 2);
  });

  itWithGit("may come too late for the server's patience, which a second connection cures", async () => {
    let known: { user: string; password: string } | undefined;
    const ask: Ask = async (url) => {
      if (known !== undefined) return known;
      known = await fetched(url);
      await until(() => served.includes("impatient: too late"), "the end of the connection");
      return known;
    };
    const [status, message] = await failure(references("impatient", ask));
    assert(status === -1 && /unexpected EOF|reset by peer/.test(message), message);
    assertEquals((await references("impatient", ask)).length, 2);
  });

  itWithGit("have one last error on the thread: it is right if each answer has a turn of its own", async () => {
    const messages = async (answered: Promise<void>, ownTurn: boolean): Promise<string[]> => {
      const ask = (answer: Awaited<ReturnType<Ask>>): Ask => async () => {
        await answered;
        if (ownTurn) await turn();
        return answer;
      };
      const both = [references("missing", ask(knows("missing"))), references("ada", ask(passThrough))];
      return (await Promise.all(both.map(failure))).map(([, message]) => message);
    };
    const notFound = "unexpected http status code: 404";
    const notSet = "remote authentication required but no callback set";
    assertEquals(await messages(turn(), true), [notFound, notSet]);
    // C goes on for both, and then JavaScript for both: the first one reads what the second has left.
    assertEquals(await messages(turn(), false), [notSet, notSet]);
  });

  afterAll(async () => {
    if (library === undefined) return;
    server.terminate();
    await new Promise((resolve) => keeper.close(resolve));
  });
});

describe("nothing of these tests", () => {
  it("is left alive", async () => {
    credentials.close();
    if (library !== undefined) {
      assertEquals(git.git_libgit2_shutdown(), 0);
      library.close();
    }
    await collectFully();
    assertEquals(alive(), before);
    assert(stats().live.ownStacks === 0);
  });
});
