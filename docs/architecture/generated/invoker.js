// Written by scripts/generated.ts: what belay generates, on Deno, for
// callback({ parameters: ["pointer", "pointer"], result: "i32" }, …)

(() => {
  return (
    function invoke(bound) {
      const fn = bound.fn;
      if (fn === null) {
        stale(bound);
        return;
      }
      if (++bound.calls === 4096) often(bound);
      const resultAddress = undefined;
      let a0 = (u32[0] | u32[1]) === 0 ? null : u64[0];
      let a1 = (u32[2] | u32[3]) === 0 ? null : u64[1];

      let state = 0;
      if (i32[309] !== 0 && (state = interrupted(bound)) === 1) return;

      try {
        if (state === 2) throw tooDeep(bound);
        let result = fn(a0, a1);
        if (
          (typeof result === "object" || typeof result === "function") && result !== null &&
          leaves(bound, result, bound.onError === undefined ? nothingGiven : [a0, a1], resultAddress)
        ) return;
        if (typeof result !== "number" || (result | 0) !== result) badResult(bound, result);
        result = result | 0;
        i32[288] = result;
      } catch (error) {
        failed(bound, error, [a0, a1], resultAddress);
      }
    }
  );
  //# sourceURL=belay-callback/pointer%2Cpointer%2Ci32
});
