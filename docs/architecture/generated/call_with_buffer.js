// Written by scripts/generated.ts: what belay generates, on Deno, for
// memchr: { parameters: ["buffer", "i32", "usize"], result: "pointer" }

(() => {
  let native = open;
  const call = ({
    "memchr": function (a0, a1, a2) {
      const lentOutside = lent.running;
      try {
        if (owner.closed) closed();
        const given = arguments.length;
        if (given > 3) surplus(given);
        if (a0 !== null) {
          const view = asView(a0);
          if (view === undefined) bad(0, a0);
          a0 = view;
        }
        if (typeof a1 !== "number" || (a1 | 0) !== a1) bad(1, a1);
        a1 = a1 | 0;
        if (typeof a2 === "bigint") { if (BigInt.asUintN(64, a2) !== a2) bad(2, a2); }
        else if (Number.isSafeInteger(a2) && a2 >= 0) a2 = BigInt(a2);
        else bad(2, a2);
        lent.running = { outer: lentOutside, values: a0 };
        const running = i32[303];
        i32[303] = running + 1;
        const r = native(a0, a1, a2);
        i32[303] = (running & 65535) === 0 ? (running + 65536) | 0 : running;

        if (i32[309] !== 0 && errorIsDue(key)) throw takeError();
        return noteResult(nullable(r), [a0], texts);
      } finally {
        lent.running = lentOutside;
      }
    },
  })["memchr"];
  return {
    call,
    close() {
      native = () => {
        i32[303] -= 1;
        closed();
      };
    },
  };
  //# sourceURL=belay-native-call/memchr
});
