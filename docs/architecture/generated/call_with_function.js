// Written by scripts/generated.ts: what belay generates, on Deno, for
// qsort: { parameters: ["pointer", "usize", "usize", compare], result: "void" }

(() => {
  let native = open;
  const call = ({
    "qsort": function (a0, a1, a2, a3) {
      let lent_a3 = null;
      try {
        if (owner.closed) closed();
        const given = arguments.length;
        if (given > 4) surplus(given);
        if (a0 === null) a0 = 0n;
        else if (typeof a0 !== "bigint" || BigInt.asUintN(64, a0) !== a0) {
          const owned = pointerOf(a0);
          if (owned === undefined) bad(0, a0);
          a0 = owned;
        }
        if (dangling.some) checkPointer(a0);
        if (typeof a1 === "bigint") { if (BigInt.asUintN(64, a1) !== a1) bad(1, a1); }
        else if (Number.isSafeInteger(a1) && a1 >= 0) a1 = BigInt(a1);
        else bad(1, a1);
        if (typeof a2 === "bigint") { if (BigInt.asUintN(64, a2) !== a2) bad(2, a2); }
        else if (Number.isSafeInteger(a2) && a2 >= 0) a2 = BigInt(a2);
        else bad(2, a2);
        if (typeof a3 === "function") {
          lent_a3 = lendFunction(3, a3);
          a3 = lentAddress(lent_a3);
        } else {
          const address = functionAddress(a3, shapes[3]);
          if (address === undefined) bad(3, a3);
          a3 = address;
        }

        const running = i32[303];
        i32[303] = running + 1;
        const r = native(a0, a1, a2, a3);
        i32[303] = (running & 65535) === 0 ? (running + 65536) | 0 : running;

        if (i32[309] !== 0 && errorIsDue(key)) throw takeError();
        return undefined;
      } finally {
        if (lent_a3 !== null) unbind(lent_a3);
      }
    },
  })["qsort"];
  return {
    call,
    close() {
      native = () => {
        i32[303] -= 1;
        closed();
      };
    },
  };
  //# sourceURL=belay-native-call/qsort
});
