// Written by scripts/generated.ts: what belay generates, on Deno, for
// callback({ parameters: ["pointer", "pointer"], result: "i32" }, …)

(() => {
  return (
    function invoke(upcall) {
      const fn = upcall.fn;
      if (fn === null) {
        stale(upcall);
        return;
      }
      const resultAddress = undefined;
      let a0 = (u32[0] | u32[1]) === 0 ? null : u64[0];
      let a1 = (u32[2] | u32[3]) === 0 ? null : u64[1];

      let state = 0;
      if (i32[309] !== 0 && (state = interrupted(upcall)) === 1) return;

      try {
        if (state === 2) throw tooDeep(upcall);
        let result = fn(a0, a1);
        if (typeof result !== "number" || (result | 0) !== result) badResult(upcall, result);
        result = result | 0;
        i32[288] = result;
      } catch (error) {
        failed(upcall, error, [a0, a1], resultAddress);
      }
    }
  );
  //# sourceURL=belay-callback/pointer%2Cpointer%2Ci32
});
