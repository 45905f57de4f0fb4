// Written by scripts/generated.ts: what belay generates, on Deno, for
// close: { parameters: ["i32"], result: "i32", captureErrno: true }

(() => {
  const index = 0;
  let block = 2, nested = null;
  const isNested = () => {
    if (block === 1) return (nested ??= makeNested()) !== null;

    u32[b4 + 288] = lowOfFunction;
    u32[b4 + 289] = highOfFunction;
    u32[b4 + 290] = 0;
    u32[b4 + 312] = 0;
    u32[b4 + 316] = 1;
    u32[b4 + 321] = 0;
    u32[b4 + 322] = 0;

    block = 0;
    return false;
  };
  const close = () => {
    if (block === 1 || gone === null) return;
    gone.stop();
    gone = null;
    freeBlock(index);
  };
  let gone = giveBackWith(owner, index);

  const call = ({
    "close": function (a0) {
      if (owner.closed) closed();
      const given = arguments.length;
      if (given > 1) surplus(given);

      if (i32s[313] === 0) ended(key);
      if (block !== 0 && isNested()) return nested(a0);

      try {
        block = 1;

        if (typeof a0 !== "number" || (a0 | 0) !== a0) bad(0, a0);
        a0 = a0 | 0;
        i32[b4 + 0] = a0;
        if (owner.closed) closed();

        const running = i32s[303];
        i32s[303] = running + 1;
        make(isolate, index);
        i32s[303] = (running & 65535) === 0 ? (running + 65536) | 0 : running;

        if (i32s[309] !== 0 && errorIsDue(key)) throw takeError();

        return [i32[b4 + 294], u32[b4 + 317]];
      } finally {
        block = 0;
        if (owner.closed) close();
      }
    },
  })["close"];
  return { close, call };
  //# sourceURL=belay-native-call/close
});
