/**
 * Calls of generated C functions that take and give structures, both ways; see `c_types.ts`.
 *
 * @module
 */

import {
  type Callback,
  callback,
  dlopen,
  type FunctionDefinition,
  NativeMemory,
  type ParameterType,
  pointerFrom,
  pointerValue,
} from "@belay/ffi";
import {
  belayMeasures,
  belayRecord,
  type CFunction,
  compiled,
  type CRecord,
  CSource,
  difference,
  type Random,
  type Scalar,
  valueOf,
} from "./c_types.ts";

const slotByteLength = 512;
const mostParameters = 16;

type Call = (...args: unknown[]) => unknown;

/** A scalar as a structure, which reads and writes it. */
const scalarRecords = new Map<Scalar, CRecord>();

function recordOf(type: Scalar | CRecord): CRecord {
  if (typeof type !== "string") return type;
  const known = scalarRecords.get(type) ?? { kind: "struct", fields: [type] };
  scalarRecords.set(type, known);
  return known;
}

function belayParameter(type: Scalar | CRecord): Exclude<ParameterType, { out: unknown }> {
  return typeof type === "string" ? type : belayRecord(type);
}

/** A library of functions, and memory in which they and JavaScript put what they see. */
export class CLibrary implements Disposable {
  readonly #functions: readonly CFunction[];
  readonly #random: Random;
  readonly #library;
  readonly #seen = NativeMemory.alloc(mostParameters * slotByteLength, { align: 16 });
  readonly #table = NativeMemory.alloc(mostParameters * 8);
  readonly #gives = NativeMemory.alloc(slotByteLength, { align: 16 });

  /** Compiles the types and functions, if they are not, and opens the library. */
  constructor(types: readonly CRecord[], functions: readonly CFunction[], random: Random) {
    this.#functions = functions;
    this.#random = random;
    const source = new CSource();
    for (const type of types) source.record(type);
    const definitions: Record<string, FunctionDefinition> = {};
    for (const { parameters, result } of functions) {
      const number = source.callable({ parameters, result });
      const passed = parameters.map(belayParameter);
      const call = {
        name: `call${number}`,
        parameters: [...passed, "pointer", "pointer"],
        result: belayRecord(result),
      };
      definitions[`call${number}`] = call as FunctionDefinition;
      definitions[`later${number}`] = { ...call, nonblocking: true } as FunctionDefinition;
      definitions[`back${number}`] = {
        parameters: [{ parameters: passed, result: belayRecord(result) }, "pointer", "pointer"],
        result: "void",
      } as FunctionDefinition;
    }
    for (const [key, definition] of Object.entries(definitions)) {
      if (!key.startsWith("back")) continue;
      const parameters = ["function", "pointer", "pointer"] as const;
      definitions[`elsewhere${key}`] = { ...definition, parameters, name: key, nonblocking: true };
    }
    const path = this.path = compiled(source.text);
    this.records = source.records;
    this.#library = dlopen(path, definitions);
    for (let slot = 0; slot < mostParameters; slot++) this.#table.setPointer(8 * slot, this.#slot(slot));
    const { length } = belayMeasures(this.records);
    using opened = dlopen(path, { addressOfMeasures: { name: "measuresAddress", parameters: [], result: "pointer" } });
    const address = opened.symbols.addressOfMeasures();
    if (address === null) throw new Error("there are no measures");
    const bytes = NativeMemory.borrow(address, 4 * length).bytes();
    this.measures = [...new Uint32Array(bytes.buffer, bytes.byteOffset, length)];
  }

  /** Where it is. */
  readonly path: string;
  /** Every type, and the ones that these consist of. */
  readonly records: readonly CRecord[];
  /** Their sizes, alignments and offsets, as C has them; see {@linkcode belayMeasures}. */
  readonly measures: readonly number[];

  #slot(slot: number): ReturnType<typeof pointerFrom> {
    return pointerFrom(BigInt(pointerValue(this.#seen.pointer)) + BigInt(slot * slotByteLength));
  }

  #symbol(name: string): Call {
    return (this.#library.symbols as unknown as Record<string, Call>)[name];
  }

  #sawOther({ parameters }: CFunction, values: readonly unknown[]): string | undefined {
    for (const [index, type] of parameters.entries()) {
      const record = recordOf(type);
      const seen = belayRecord(record).read(this.#seen, index * slotByteLength);
      const wrote = typeof type === "string" ? { f0: values[index] } : values[index];
      const found = difference(record, wrote, seen, `C's argument ${index}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #make(number: number): { given: CFunction; values: unknown[]; gives: unknown } {
    const given = this.#functions[number];
    const values = given.parameters.map((type) => valueOf(type, this.#random));
    const gives = valueOf(given.result, this.#random);
    this.#seen.fill(0xa5);
    belayRecord(given.result).write(this.#gives, gives as never);
    return { given, values, gives };
  }

  /** Calls C with random values; answers what is wrong. */
  call(number: number): string | undefined {
    const { given, values, gives } = this.#make(number);
    const gave = this.#symbol(`call${number}`)(...values, this.#table.pointer, this.#gives.pointer);
    return this.#sawOther(given, values) ?? difference(given.result, gives, gave, "the result");
  }

  /** As {@linkcode CLibrary.call}, from another thread. */
  async callLater(number: number): Promise<string | undefined> {
    const { given, values, gives } = this.#make(number);
    const gave = await this.#symbol(`later${number}`)(...values, this.#table.pointer, this.#gives.pointer);
    return this.#sawOther(given, values) ?? difference(given.result, gives, gave, "the result");
  }

  /** Has C call JavaScript with random values; answers what is wrong. */
  callBack(number: number): string | undefined {
    const { given: { parameters, result }, values, gives } = this.#make(number);
    for (const [index, type] of parameters.entries()) {
      const value = typeof type === "string" ? { f0: values[index] } : values[index];
      belayRecord(recordOf(type)).write(this.#seen, value as never, index * slotByteLength);
    }
    let found: string | undefined = "it was not called";
    const fn = (...args: unknown[]): unknown => {
      found = undefined;
      for (const [index, type] of parameters.entries()) {
        found ??= difference(type, values[index], args[index], `JavaScript's argument ${index}`);
      }
      return gives;
    };
    this.#gives.fill(0xa5);
    this.#symbol(`back${number}`)(fn, this.#table.pointer, this.#gives.pointer);
    return found ?? difference(result, gives, belayRecord(result).read(this.#gives), "C's result");
  }

  /** Has C call a callback that was closed; answers whether it got zeroes. */
  callDisposed(number: number): boolean {
    const { parameters, result } = this.#functions[number];
    const type = belayRecord(result);
    const definition = { parameters: parameters.map(belayParameter), result: type };
    const made = callback(definition as never, (() => {}) as never) as Callback;
    made.close();
    this.#gives.fill(0xa5);
    this.#symbol(`back${number}`)(made.pointer, this.#table.pointer, this.#gives.pointer);
    return this.#gaveZeroes(type);
  }

  /** Has another thread call a callback that is for JavaScript's; answers whether it got zeroes. */
  async callElsewhere(number: number): Promise<boolean> {
    const { parameters, result } = this.#functions[number];
    const type = belayRecord(result);
    const definition = { parameters: parameters.map(belayParameter), result: type };
    using made = callback(definition as never, (() => {}) as never) as Callback;
    this.#gives.fill(0xa5);
    await this.#symbol(`elsewhereback${number}`)(made.pointer, this.#table.pointer, this.#gives.pointer);
    return this.#gaveZeroes(type);
  }

  #gaveZeroes(type: ReturnType<typeof belayRecord>): boolean {
    using zeroes = type.alloc();
    return JSON.stringify(type.read(this.#gives), shown) === JSON.stringify(type.read(zeroes), shown);
  }

  [Symbol.dispose](): void {
    this.#library.close();
    for (const memory of [this.#seen, this.#table, this.#gives]) memory.free();
  }
}

function shown(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : Object.is(value, -0) ? "-0" : value;
}
