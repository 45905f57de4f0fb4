/** Gives lying values to every place that takes such a value, and prints each that isn't refused before C is entered. */

import process from "node:process";
import vm from "node:vm";
import {
  Arena,
  array,
  callback,
  Channel,
  dlopen,
  Handle,
  native,
  NativeMemory,
  out,
  pin,
  stats,
  struct,
  union,
} from "@belay/ffi";
import { Callback } from "../../ffi/callbacks/callback.ts";
import { Pin } from "../../ffi/memory/pin.ts";
import { ArrayType, CharArrayType, StructType, UnionType } from "../../ffi/memory/record_types.ts";
import { testLibrary } from "../../scripts/build.ts";
import { canResize } from "../support/machine.ts";
import { openUnchecked, type Unchecked } from "../support/unchecked.ts";

// deno-lint-ignore no-explicit-any
type Any = any;

const definition = { parameters: ["i32"], result: "i32" } as const;
const Pair = struct({ a: "i32", b: "i32" });
const Mixed = struct({ text: "pointer", pair: Pair, list: array("i32", 2), fn: definition });
const Either = union({ number: "i32", pair: Pair });
const any = { name: "enter_any", result: "void" };
const { symbols: c } = openUnchecked({
  entered: { type: "i32" },
  buffer: { ...any, parameters: ["buffer"] },
  bufferErrno: { ...any, parameters: ["buffer"], captureErrno: true },
  bufferLater: { ...any, parameters: ["buffer"], nonblocking: true },
  fn: { ...any, parameters: ["function"] },
  fnErrno: { ...any, parameters: ["function"], captureErrno: true },
  defined: { ...any, parameters: [definition] },
  definedLater: { ...any, parameters: [definition], nonblocking: true },
  handle: { ...any, parameters: ["handle"] },
  handleAddress: { ...any, parameters: ["handleAddress"] },
  pair: { ...any, parameters: [Pair] },
  bufferHandle: { ...any, parameters: ["buffer", "handle"] },
  bufferHandleErrno: { ...any, parameters: ["buffer", "handleAddress"], captureErrno: true },
  bufferHandleLater: { ...any, parameters: ["buffer", "handle"], nonblocking: true },
  bufferPair: { ...any, parameters: ["buffer", Pair] },
  bufferMixed: { ...any, parameters: ["buffer", Mixed, "function"] },
  bufferEither: { ...any, parameters: ["buffer", Either] },
  bufferPairLater: { ...any, parameters: ["buffer", Pair], nonblocking: true },
});
const { sum, send } = openUnchecked({
  sum: { name: "sum_bytes", parameters: ["buffer", "usize"], result: "u64" },
  send: { name: "send_bytes", parameters: ["function", "pointer", "usize", "buffer", "u32"], result: "bool" },
}).symbols;
const entered = (): number => (c as Any).entered;
const fn = callback(definition, (value) => value);
const memory = NativeMemory.alloc(64);
const pair = Pair.alloc({ a: 1, b: 2 });
const mixed = Mixed.alloc();

let refused = 0;
const wrong = (what: string): void => console.log(`WRONG ${what}`);

/** Whether a value is refused at a place, and C not entered. */
function refuses(what: string, place: () => unknown): void {
  const before = entered();
  try {
    const result = place();
    if (result instanceof Promise) result.catch(() => {});
    wrong(`${what}: not refused`);
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError) && (error as Error).name === "Error") {
      wrong(`${what}: ${error}`);
    }
    refused += 1;
  }
  if (entered() !== before) wrong(`${what}: C was entered`);
}

function refusesAll(lies: Record<string, () => unknown>, places: Record<string, (lie: Any) => unknown>): void {
  for (const [lie, make] of Object.entries(lies)) {
    for (const [place, take] of Object.entries(places)) {
      const value = make();
      refuses(`${lie} at ${place}`, () => take(value));
    }
  }
}

function is(what: string, actual: unknown, expected: unknown): void {
  if (!Object.is(actual, expected)) wrong(`${what}: ${String(actual)}, not ${String(expected)}`);
}

class LyingBuffer extends ArrayBuffer {
  override get byteLength(): number {
    return 8;
  }
  override get detached(): boolean {
    return false;
  }
  override get resizable(): boolean {
    return false;
  }
}
class LyingBytes extends Uint8Array<ArrayBuffer> {
  override get buffer(): ArrayBuffer {
    return new ArrayBuffer(8);
  }
  override get byteLength(): number {
    return 1 << 20;
  }
  override get length(): number {
    return 1 << 20;
  }
}
const detached = <T extends ArrayBuffer>(buffer: T): T => {
  structuredClone(buffer, { transfer: [buffer] });
  return buffer;
};
/** A value with properties of its own. */
const withOwn = <T extends object>(value: T, own: Record<string, unknown>): T => {
  for (const [name, of] of Object.entries(own)) Object.defineProperty(value, name, { value: of, configurable: true });
  return value;
};
const lies = { byteLength: 8, detached: false, resizable: false };

// What is no buffer.
const noBuffers = {
  "an object with the tag of a buffer": () => ({ [Symbol.toStringTag]: "ArrayBuffer", byteLength: 8 }),
  "an object with the tag of a shared buffer": () => ({ [Symbol.toStringTag]: "SharedArrayBuffer", byteLength: 8 }),
  "an object that inherits from a buffer": () => withOwn(Object.create(new ArrayBuffer(8)), { byteLength: 8 }),
  "an object of a buffer's prototype": () => withOwn(Object.create(ArrayBuffer.prototype), lies),
  "an object of an array's prototype": () => withOwn(Object.create(Uint8Array.prototype), lies),
  "a proxy of an array": () => new Proxy(new Uint8Array(8), {}),
  "a proxy of a buffer": () => new Proxy(new ArrayBuffer(8), {}),
};
const movable = {
  "a detached buffer that denies it": () => detached(new LyingBuffer(8)),
  "a detached buffer with properties of its own": () => detached(withOwn(new ArrayBuffer(8), lies)),
  "an array of a detached buffer": () => {
    const bytes = new Uint8Array(withOwn(new ArrayBuffer(8), lies));
    detached(bytes.buffer);
    return withOwn(bytes, { byteLength: 8, buffer: new ArrayBuffer(8) });
  },
  "a view of a detached buffer": () => {
    const view = new DataView(withOwn(new ArrayBuffer(8), lies));
    detached(view.buffer);
    return withOwn(view, { byteLength: 8, byteOffset: 0, buffer: new ArrayBuffer(8) });
  },
};
const resizable = {
  "a resizable buffer that denies it": () => new LyingBuffer(8, { maxByteLength: 16 }),
  "an array of a resizable buffer": () =>
    withOwn(new Uint8Array(withOwn(new ArrayBuffer(8, { maxByteLength: 16 }), lies)), { buffer: new ArrayBuffer(8) }),
};
const bufferPlaces = {
  "a call": (lie: Any) => c.buffer(lie),
  "a call with an error number": (lie: Any) => c.bufferErrno(lie),
  "a nonblocking call": (lie: Any) => c.bufferLater(lie),
  "pin()": (lie: Any) => pin(lie),
  "Arena.pin()": (lie: Any) => new Arena().pin(lie),
};
refusesAll({ ...noBuffers, ...movable, ...(canResize ? resizable : {}) }, bufferPlaces);
refusesAll(noBuffers, {
  "copyTo()": (lie) => memory.copyTo(lie),
  "copyFrom()": (lie) => memory.copyFrom(lie),
});

// What is one is taken as the engine has it, whatever it says.
const bytes = new LyingBytes(new ArrayBuffer(8)).fill(1);
is("the sum of a lying array", sum(bytes, 8), 8n);
is("a lying array's pin", pin(bytes).byteLength, 8);
is("a lying buffer's pin", pin(withOwn(new ArrayBuffer(16), { byteLength: 1 << 20 })).byteLength, 16);
memory.fill(0);
memory.copyFrom(bytes);
is("what was copied from a lying array", memory.text(), "\x01".repeat(8) + "\0".repeat(56));
const typed = withOwn(Object.setPrototypeOf(new Uint8Array(8).fill(1), DataView.prototype), { byteLength: 4 });
try {
  is("the sum of an array that looks like a view", sum(typed, 8), 8n);
} catch (error) {
  if (!(error instanceof TypeError)) wrong(String(error));
}
for (
  const source of [
    "new Uint8Array([1, 2])",
    "new Uint8Array([1, 2]).buffer",
    "new DataView(new Uint8Array([1, 2]).buffer)",
  ]
) {
  is(`the sum of another realm's ${source}`, sum(vm.runInNewContext(source), 2), 3n);
}
for (const shared of [new SharedArrayBuffer(2), new Uint8Array(new SharedArrayBuffer(2))]) {
  is("the sum of shared memory", sum(shared, 2), 0n);
  is("a pin of shared memory", pin(shared).byteLength, 2);
}

// Callbacks.
const symbolsOf = (prototype: object): object => {
  const forged = {};
  for (const key of [...Object.getOwnPropertySymbols(prototype), "pointer", "definition", "disposed"]) {
    Object.defineProperty(forged, key, {
      value: { address: 16n, shape: "4:4", disposed: false, pointer: 16n, signature: { shape: "4:4" }, fn: () => 0 },
    });
  }
  return forged;
};
refusesAll({
  "a proxy of a callback": () => new Proxy(fn, {}),
  "an object that inherits from a callback": () => Object.create(fn),
  "an object of a callback's prototype": () => withOwn(Object.create(Callback.prototype), { pointer: 16n }),
  "an object with a callback's symbols": () => symbolsOf(Callback.prototype),
  "an object with a pointer": () => ({ definition, pointer: fn.pointer }),
}, {
  "a call": (lie) => c.fn(lie),
  "a call with an error number": (lie) => c.fnErrno(lie),
  "a call with a definition": (lie) => c.defined(lie),
  "a nonblocking call": (lie) => c.definedLater(lie),
  "a structure's field": (lie) => Mixed.write(mixed, { text: null, pair: { a: 1, b: 2 }, list: [1, 2], fn: lie }),
  "a view's property": (lie) => void (Mixed.view(mixed).fn = lie),
});
const moved = withOwn(callback(definition, (value) => value), { pointer: 16n });
Mixed.view(mixed).fn = moved as Any;
if ((Mixed.view(mixed).fn as unknown) === 16n) wrong("a callback's pointer is what was assigned");
moved.close();

// Memory.
refusesAll({
  "a proxy of memory": () => new Proxy(pair, {}),
  "an object that inherits from memory": () => Object.create(pair),
  "an object of memory's prototype": () => withOwn(Object.create(NativeMemory.prototype), { byteLength: 8 }),
  "an object like memory": () => ({ byteLength: 8, bytes: () => new Uint8Array(8), copyTo() {}, copyFrom() {} }),
}, {
  "read()": (lie) => Pair.read(lie),
  "write()": (lie) => Pair.write(lie, { a: 1, b: 2 }),
  "view()": (lie) => Pair.view(lie),
  "array()": (lie) => Pair.viewMany(lie),
});

// Types.
refusesAll({
  "a proxy of a structure's type": () => new Proxy(Pair, {}),
  "an object that inherits from a type": () => Object.create(Pair),
  "an object of a type's prototype": () => withOwn(Object.create(StructType.prototype), { byteLength: 8, align: 4 }),
}, {
  "struct()": (lie) => struct({ lie }),
  "union()": (lie) => union({ lie }),
  "array()": (lie) => array(lie, 2),
  "out()": (lie) => out(lie),
  "a parameter": (lie) => openUnchecked({ enter_any: { parameters: [lie], result: "void" } }),
  "a result": (lie) => openUnchecked({ enter_any: { parameters: [], result: lie } }),
  "a callback's parameter": (lie) => callback({ parameters: [lie], result: "void" }, () => {}),
  "a callback's result": (lie) => callback({ parameters: [], result: lie }, () => {}),
});
for (const name of ["byteLength", "align", "offsets"]) {
  refuses(`to assign ${name}`, () => void ((Pair as Any)[name] = 1));
}
refuses("to assign an offset", () => void ((Pair.offsets as Any).a = 100));

// Constructors.
const channel = new Channel<undefined>({ capacity: 64 });
const ChannelData = await new Promise<Any>((resolve) => {
  channel.onEvent((_, data) => resolve(data.constructor));
  sendEvent(channel);
});
/** Sends an event with a payload. */
function sendEvent(to: Channel<undefined>): void {
  send(native.sendToChannel, to.pointer, 0, new Uint8Array(16), 16);
}
const library = dlopen(testLibrary, {});
const layout = { kind: "struct", fields: [], byteLength: 1 << 20, align: 1 };
const makers: Record<string, [Any, readonly unknown[]]> = {
  NativeMemory: [NativeMemory, [16n, 8, undefined, 0, false]],
  Handle: [Handle, [5]],
  Callback: [Callback, [definition, { pointer: 16n, fn: () => 0, signature: { shape: "4:4" } }]],
  Pin: [Pin, [new Uint8Array(8), 1 << 20]],
  Library: [library.constructor, [{}, {}, { native: undefined, library: 16n, token: 0 }, []]],
  StructType: [StructType, [layout]],
  UnionType: [UnionType, [layout]],
  ArrayType: [ArrayType, [layout, "i32", 8]],
  CharArrayType: [CharArrayType, [layout]],
  ChannelData: [ChannelData, [new DataView(new ArrayBuffer(8)), { over: false }, 0, 8]],
};
for (const [name, [Class, args]] of Object.entries(makers)) {
  class Derived extends Class {}
  refuses(`new ${name}()`, () => new Class(...args));
  refuses(`new ${name}() with a symbol`, () => new Class(Symbol("inside of belay"), ...args));
  refuses(`new ${name}() with nothing`, () => new Class(undefined, ...args));
  refuses(`a class that extends ${name}`, () => new (Derived as Any)(...args));
  refuses(`Reflect.construct of ${name}`, () => Reflect.construct(Class, args, Object));
}
refuses("ChannelData.move()", () => ChannelData.move(Object.create(ChannelData.prototype), 0, 8));

// What runs in the middle, and what it ends.
const handle = Handle.create("value");
const withId = (run: () => void): unknown[] => [
  new Proxy(handle, { get: (target, key) => (run(), Reflect.get(target, key)) }),
  Object.defineProperty(Handle.create(1), "id", {
    get: () => {
      run();
      return handle.id;
    },
  }),
];
const detaches = (buffer: ArrayBuffer) => (): void => void (buffer.byteLength > 0 && detached(buffer));
for (const call of [c.bufferHandle, c.bufferHandleErrno, c.bufferHandleLater]) {
  for (const which of [0, 1]) {
    const buffer = new ArrayBuffer(8);
    refuses("a handle that detaches", () => call(new Uint8Array(buffer), withId(detaches(buffer))[which]));
  }
}
const getters = (run: () => void): Any => ({
  a: 1,
  get b() {
    run();
    return 2;
  },
});
const list = (run: () => void): Any => ({
  get length() {
    run();
    return 2;
  },
  at: (index: number) => (run(), index),
});
const runs: Record<string, (call: Unchecked, run: () => void, buffer: Uint8Array, last: unknown) => unknown> = {
  "a field's getter": (_, run, buffer) => c.bufferPair(buffer, getters(run)),
  "a field's getter of a nonblocking call": (_, run, buffer) => c.bufferPairLater(buffer, getters(run)),
  "an array's length": (_, run, buffer, last) =>
    c.bufferMixed(buffer, { text: null, pair: { a: 1, b: 2 }, list: list(run), fn: null }, last),
  "an inner field's getter": (_, run, buffer, last) =>
    c.bufferMixed(buffer, { text: null, pair: getters(run), list: [1, 2], fn: null }, last),
  "a union's member": (_, run, buffer) => c.bufferEither(buffer, { pair: getters(run) }),
};
for (const [what, take] of Object.entries(runs)) {
  const bytes = new Uint8Array(8);
  refuses(`${what} that detaches`, () => take(c.buffer, detaches(bytes.buffer), bytes, null));
}
for (const what of ["an array's length", "an inner field's getter"]) {
  const ended = callback(definition, (value) => value);
  refuses(`${what} that disposes`, () => runs[what](c.fn, () => ended.close(), new Uint8Array(8), ended));
}
for (const later of [false, true]) {
  const closing = openUnchecked({ enter_any: { parameters: ["buffer", Pair], result: "void", nonblocking: later } });
  refuses("a getter that closes the library", () => {
    try {
      return closing.symbols.enter_any(new Uint8Array(8), getters(() => closing[Symbol.dispose]()));
    } catch (error) {
      if ((error as Error).name === "LibraryClosedError") throw new TypeError("closed");
      throw error;
    }
  });
}
// A call inside of its own arguments has a place of its own.
const { inner } = openUnchecked({
  inner: { name: "identity_i32", parameters: ["i32", Pair], result: "i32" },
}).symbols;
is(
  "a call in a getter of its own argument",
  inner(7, getters(() => is("the call inside", inner(5, { a: 1, b: 2 }), 5))),
  7,
);

// The key of a view's method, which a program can find.
const viewSymbols = Object.getOwnPropertySymbols(Object.getPrototypeOf(Pair.view(pair)));
let leaked = 0;
const found: Any = { a: 1, b: 2 };
for (const key of viewSymbols) {
  found[key] = (...args: unknown[]) => {
    leaked += args.some((arg) => ArrayBuffer.isView(arg)) ? 1 : 0;
    return true;
  };
}
c.pair(found);
Pair.write(pair, found);
is("views that a program's method got", leaked, 0);
is("what was written", Pair.read(pair).b, 2);
const borrowed: Any = { a: 3, b: 4 };
for (const key of viewSymbols) borrowed[key] = (Object.getPrototypeOf(Pair.view(pair)) as Any)[key];
refuses("a view's method on another object", () => c.pair(borrowed));

// Offsets and lengths.
const number = (run: () => void): Any => ({ valueOf: () => (run(), 0), toString: () => "an offset" });
for (const size of [16, 4096]) {
  const offsets: Record<string, (memory: Any, offset: Any) => unknown> = {
    getUint8: (memory, offset) => memory.getUint8(offset),
    getBigInt64: (memory, offset) => memory.getBigInt64(offset),
    setFloat64: (memory, offset) => memory.setFloat64(offset, 1),
    getPointer: (memory, offset) => memory.getPointer(offset),
    setPointer: (memory, offset) => memory.setPointer(offset, null),
    bytes: (memory, offset) => memory.bytes(offset),
    "bytes' length": (memory, offset) => memory.bytes(0, offset),
    subarray: (memory, offset) => memory.subarray(offset),
    "subarray's end": (memory, offset) => memory.subarray(0, offset),
    copyTo: (memory, offset) => memory.copyTo(new Uint8Array(1), offset),
    copyFrom: (memory, offset) => memory.copyFrom(new Uint8Array(1), offset),
    fill: (memory, offset) => memory.fill(1, offset),
    "fill's value": (memory, offset) => memory.fill(offset),
    cstring: (memory, offset) => memory.cstring(offset),
    setCString: (memory, offset) => memory.setCString(offset, "x"),
    read: (memory, offset) => Pair.read(memory, offset),
    write: (memory, offset) => Pair.write(memory, { a: 1, b: 2 }, offset),
    view: (memory, offset) => Pair.view(memory, offset),
    array: (memory, offset) => Pair.viewMany(memory, offset),
    "array's length": (memory, offset) => Pair.viewMany(memory, 0, offset),
    "borrow's length": (memory, offset) => Pair.borrow(memory.pointer, offset),
    allocMany: (_, offset) => Pair.allocMany(offset),
  };
  for (const [what, take] of Object.entries(offsets)) {
    const memory = NativeMemory.alloc(size);
    refuses(`an object as ${what}`, () => take(memory, number(() => {})));
    refuses(`an object as ${what} that frees`, () => take(memory, number(() => memory.free())));
    memory.free();
  }
}
for (const name of ["getInt8", "getUint16", "getInt32", "getBigInt64", "getFloat64", "bytes"]) {
  const closing = new Channel<undefined>({ capacity: 64 });
  await new Promise<void>((resolve) => {
    closing.onEvent((_, data) => {
      refuses(`an object as ${name}'s offset`, () => (data as Any)[name](number(() => closing.close())));
      resolve();
    });
    sendEvent(closing);
  });
  closing.close();
}

// What frees memory asks the engine.
const owner = NativeMemory.alloc(4096);
const emptied = owner.bytes();
withOwn(emptied.buffer, { transfer: () => new ArrayBuffer(0), detached: false });
owner.free();
is("the length of freed memory", emptied.length, 0);
const taken = NativeMemory.alloc(4096);
const { buffer } = withOwn(taken.bytes(), {});
detached(withOwn(buffer, { detached: false }));
refuses("transferred memory that is freed", () => taken.free());

channel.close();
const { waitingErrors: pendingErrors } = stats().live;
is("errors that wait", pendingErrors, 0);
console.log(`refused ${refused}`);
process.exit(0);
