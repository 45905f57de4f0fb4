// Written by scripts/generated.ts: what belay generates, on Deno, for
// abs: { parameters: ["i32"], result: "i32" }

(() => {
  let native = open;
  const call = ({
    "abs": function (a0) {
      const given = arguments.length;
      if (given > 1) surplus(given);
      if (typeof a0 !== "number" || (a0 | 0) !== a0) bad(0, a0);
      a0 = a0 | 0;

      const running = i32[303];
      i32[303] = running + 1;
      const r = native(a0);
      i32[303] = (running & 65535) === 0 ? (running + 65536) | 0 : running;

      if (i32[309] !== 0 && errorIsDue(key)) throw takeError();
      return r;
    },
  })["abs"];
  return {
    call,
    close() {
      native = () => {
        i32[303] -= 1;
        closed();
      };
    },
  };
  //# sourceURL=belay-native-call/abs
});
