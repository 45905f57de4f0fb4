// Written by scripts/generated.ts: what belay generates, on Deno, for
// struct({ x: "f64", y: "f64" }).write(memory, …), .read(memory)

(() => {
  const f0 = (view, at, value, subject) => {
    if (value === null || typeof value !== "object") bad(subject, 0, "an object", value);
    const copy = value[copyTo];
    if (copy !== undefined && copy === copiers[0].method) return copy.call(value, view, at);
    refuseUnknown(layouts[0], value, subject, 0);
    {
      let v = value["x"];
      if (typeof v !== "number") bad(subject, 1, "f64", v);
      view.setFloat64(at + 0, v, true);
    }
    {
      let v = value["y"];
      if (typeof v !== "number") bad(subject, 2, "f64", v);
      view.setFloat64(at + 8, v, true);
    }
  };
  return (view, at, value, subject) => {
    f0(view, at + 0, value, subject);
  };
  //# sourceURL=belay-write/struct%20x%20y
});

(() => {
  return (view, at) => ({ ["x"]: view.getFloat64(at + 0, true), ["y"]: view.getFloat64(at + 8, true) });
  //# sourceURL=belay-read/struct%20x%20y
});
