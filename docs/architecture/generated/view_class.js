// Written by scripts/generated.ts: what belay generates, on Deno, for
// struct({ x: "f64", y: "f64" }).view(memory)

(() => {
  const own = [];
  class View {
    #view;
    #at;
    static {
      noteView(this.prototype, (value) => #view in value ? addressIn(value.#view, value.#at) : undefined);
    }
    constructor(view, at) {
      this.#view = view;
      this.#at = at;
      for (let i = 0; i < own.length; i++) defineProperty(this, names[i], own[i]);
    }
    toJSON() {
      return readWhole(layout, this.#view, this.#at);
    }
    get ["x"]() {
      const view = this.#view, at = this.#at;
      try {
        return view.getFloat64(at + 0, true);
      } catch (error) {
        throw failed(error, view);
      }
    }
    set ["x"](value) {
      const view = this.#view, at = this.#at;
      try {
        if (typeof value !== "number") bad("x", "f64", value);
        view.setFloat64(at + 0, value, true);
      } catch (error) {
        throw failed(error, view);
      }
    }
    get ["y"]() {
      const view = this.#view, at = this.#at;
      try {
        return view.getFloat64(at + 8, true);
      } catch (error) {
        throw failed(error, view);
      }
    }
    set ["y"](value) {
      const view = this.#view, at = this.#at;
      try {
        if (typeof value !== "number") bad("y", "f64", value);
        view.setFloat64(at + 8, value, true);
      } catch (error) {
        throw failed(error, view);
      }
    }
    [copyTo](target, byteOffset) {
      const view = this.#view;
      try {
        copyBytes(view, this.#at, target, byteOffset, 16);
      } catch (error) {
        throw failed(error, view);
      }
    }
    [Symbol.for("nodejs.util.inspect.custom")]() {
      return shownView(this.#view, () => readWhole(layout, this.#view, this.#at));
    }
  }
  for (const name of names) {
    defineProperty(View.prototype, name, { enumerable: true });
    own.push({ ...getOwnPropertyDescriptor(View.prototype, name), configurable: false });
  }
  Object.setPrototypeOf(View.prototype, otherProperties);
  return View;
  //# sourceURL=belay-view/struct%20x%20y
});
