// Written by scripts/generated.ts: what belay generates, on Deno, for
// close: { parameters: ["i32"], result: "i32", captureErrno: true }

(() => {
  let own = -2, busy = false, gone = null;
  const prepared = () => {
    const index = takeBlock(key);
    const { i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, view } = blocks.words;
    const b8 = index * 162, b4 = b8 * 2, b2 = b4 * 2, b1 = b2 * 2;

    u32[b4 + 288] = lowOfFunction;
    u32[b4 + 289] = highOfFunction;
    u32[b4 + 290] = 0;
    u32[b4 + 312] = 0;
    u32[b4 + 316] = 1;
    u32[b4 + 321] = 0;
    u32[b4 + 322] = 0;
    if (own < 0) {
      own = index;
      busy = true;
      gone = giveBackWith(owner, index);
    }
    return index;
  };
  const close = () => {
    if (own < 0 || busy) return;
    gone.stop();
    freeBlock(own);
    own = -2;
  };
  const call = ({
    "close": function (a0) {
      if (owner.closed) closed();

      let index = -1;

      try {
        if (own >= 0 && !busy) {
          busy = true;
          index = own;
        } else index = prepared();

        const { i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, view } = blocks.words;
        const b8 = index * 162, b4 = b8 * 2, b2 = b4 * 2, b1 = b2 * 2;

        const given = arguments.length;
        if (given > 1) surplus(given);
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
        if (index === own) {
          busy = false;
          if (owner.closed) close();
        } else if (index >= 0) freeBlock(index);
      }
    },
  })["close"];
  return { close, call };
  //# sourceURL=belay-native-call/close
});
