/** The steps of a release: what they refuse to publish. And its rehearsal: the order of the jobs, and what it adds. */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { jobsInOrder, rehearsed } from "../../scripts/rehearsal.ts";
import { type Conditions, differences, refusal, sumsOf } from "../../scripts/release.ts";

const repository = { type: "git", url: "git+https://github.com/owner/name.git" };

describe("what JSR or npm would refuse", () => {
  it("is refused before anything is published", () => {
    const refused = (changes: Partial<Conditions>) =>
      refusal({ mayIdentify: true, npm: "11.5.1", repository, runsIn: "owner/name", ...changes }) ?? "";
    assertEquals(refused({}), "");
    assertEquals(refused({ npm: "12.0.0" }), "");
    assertEquals(refused({ npm: "11.10.0" }), "");
    for (const npm of ["11.5.0", "10.9.4", "11.4.9", ""]) assertStringIncludes(refused({ npm }), "11.5.1 or later");
    assertStringIncludes(refused({ mayIdentify: false }), "id-token: write");
    assertStringIncludes(refused({ repository: undefined }), "package.json needs");
    assertStringIncludes(refused({ runsIn: "Owner/name" }), '"Owner/name"');
  });
});

describe("a package", () => {
  const bytes = (...values: number[]) => new Uint8Array(values);
  const tested = new Map([["linux-x86_64/libbelay.so", bytes(1, 2, 3)], ["windows-x86_64/belay.dll", bytes(4)]]);
  const texts = ['export const core = "AQID";', 'export const core = "BA==";'];
  const modules = { JSR: texts, npm: [texts.join("\n")] };

  it("has the cores that were tested", () => {
    assertEquals(differences(tested, tested, modules), []);
  });

  it("is refused with another core, one more, one less, or none", () => {
    const changed = new Map([...tested, ["linux-x86_64/libbelay.so", bytes(1, 2, 4)]] as [string, Uint8Array][]);
    const [difference, ...more] = differences(changed, tested, modules);
    assertStringIncludes(difference, "linux-x86_64/libbelay.so is ");
    assertEquals(more, []);
    assertEquals(differences(new Map([...tested].slice(1)), tested, modules), [
      "linux-x86_64/libbelay.so isn't in npm's package",
    ]);
    assertEquals(differences(tested, new Map([...tested].slice(1)), modules), [
      "linux-x86_64/libbelay.so wasn't tested",
    ]);
    assertEquals(differences(tested, tested, { ...modules, JSR: texts.slice(1) }), [
      "linux-x86_64/libbelay.so is in no module of JSR's package",
    ]);
    assertEquals(differences(new Map(), new Map(), modules), ["npm's package has no core"]);
  });

  it("has sums that sha256sum reads", () => {
    assertEquals(
      sumsOf(new Map([["b", new Uint8Array()], ["a", bytes(97)]])),
      "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a\n" +
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n",
    );
  });
});

describe("a rehearsal", () => {
  it("runs a job after those that it needs, and those of a called workflow in its place", () => {
    const jobs = {
      last: { needs: ["two", "ci"] },
      two: { needs: "one" },
      ci: { needs: "one", uses: "./ci.yml" },
      one: {},
    };
    const called = (path: string) => {
      assertEquals(path, "./ci.yml");
      return { test: { needs: "cores" }, cores: {} };
    };
    assertEquals(jobsInOrder(jobs, called).map(({ name }) => name), ["one", "two", "ci/cores", "ci/test", "last"]);
    assertThrows(() => jobsInOrder({ a: { needs: "b" }, b: { needs: "a" } }, called), Error, "need each other");
  });

  it("publishes nothing", () => {
    assertEquals(
      rehearsed("npx --yes deno@2.9.6 task release publish"),
      "npx --yes deno@2.9.6 task release publish --dry-run",
    );
    assertEquals(rehearsed("npx --yes deno@2.9.6 task build --all"), "npx --yes deno@2.9.6 task build --all");
  });
});
