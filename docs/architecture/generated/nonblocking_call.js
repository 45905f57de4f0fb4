// Written by scripts/generated.ts: what belay generates, on Deno, for
// usleep: { parameters: ["u32"], result: "i32", nonblocking: true }

(() => {
  const read = (index, kept) => {
    const { i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, view } = blocks.words;
    const b8 = index * 162, b4 = b8 * 2, b2 = b4 * 2, b1 = b2 * 2;
    return i32[b4 + 294];
  };
  const call = ({
    "usleep": function (a0) {
      if (owner.closed) closed();
      const given = arguments.length;
      if (given > 1) surplus(given);

      let index = -1;
      try {
        index = takeBlock(key);
        const { i8, u8, i16, u16, i32, u32, i64, u64, f32, f64, view } = blocks.words;
        const b8 = index * 162, b4 = b8 * 2, b2 = b4 * 2, b1 = b2 * 2;

        if (typeof a0 !== "number" || (a0 >>> 0) !== a0) bad(0, a0);
        a0 = a0 >>> 0;
        u32[b4 + 0] = a0;
        if (owner.closed) closed();

        u32[b4 + 288] = lowOfFunction;
        u32[b4 + 289] = highOfFunction;
        u32[b4 + 290] = 0;
        u32[b4 + 312] = 0;
        u32[b4 + 316] = 0;
        u32[b4 + 321] = 0;
        u32[b4 + 322] = 0;

        const started = index;
        index = -1;
        return start(started, undefined, undefined, undefined, read, undefined);
      } catch (error) {
        if (index >= 0) freeBlock(index);
        throw error;
      }
    },
  })["usleep"];
  return { close() {}, call };
  //# sourceURL=belay-nonblocking/usleep
});
