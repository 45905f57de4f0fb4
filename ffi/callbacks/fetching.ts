/**
 * What the core does for a callback by itself: the C functions that it calls and the memory that it reads before JavaScript
 * is asked, and the C function that takes JavaScript's answer.
 *
 * @module
 */

import {
  fetchByteLength,
  fetchByteOffsetByteOffset,
  fetchFloatsByteOffset,
  fetchFunctionByteOffset,
  fetchingByteLength,
  fetchingCountByteOffset,
  fetchingFallbackByteOffset,
  fetchingFunctionByteOffset,
  fetchingStepsByteOffset,
  fetchKindByteOffset,
  fetchOperandCountByteOffset,
  fetchOperands,
  fetchOperandsByteOffset,
  fetchStepByteOffset,
  fetchTargetByteOffset,
  kindF32,
  kindF64,
  kindI16,
  kindI32,
  kindI8,
  kindNone,
  kindU16,
  kindU32,
  kindU8,
  kindWord,
  maxFetches,
  operandFetched,
  operandStack,
  registerWords,
  stepCall,
  stepCallFloat,
  stepCallWithFloat,
  stepCallWord,
  stepConstant,
  stepCopy,
  stepNumber,
  stepRead,
  stepReadHalf,
  stepReadWord,
} from "../core/record.ts";
import { allocate, copyIn } from "../core/memory.ts";
import { type KnownFunction, knownFunction } from "../crossing/functions.ts";
import { classOf, isRecord } from "../crossing/layout.ts";
import { argumentClass, isNamedType, typeName } from "../crossing/marshal.ts";
import { RangeError, TypeError } from "../ground/blame.ts";
import { LibraryClosedError, shown } from "../ground/errors.ts";
import { inside, refuseNew } from "../ground/inside.ts";
import { present } from "../ground/present.ts";
import type { Address } from "../runtime/backend.ts";
import { backend } from "../runtime/choose.ts";
import { type ArgumentClass, type ArgumentLayout, argumentLayout } from "../types/calling_convention.ts";
import type {
  AnswerCall,
  ArgumentOperand,
  CallbackDefinition,
  FetchedOperand,
  FieldType,
  NamedType,
  Operand,
} from "../types/definitions.ts";
import type { FromNative } from "../types/inference.ts";
import { checked, type NumberName } from "../types/scalars.ts";
import { unknownType } from "../types/spellings.ts";
import type { TargetFunction } from "./bound_function.ts";

/** How many values a function gets of what is fetched. */
const mostValues = 8;
/** What steps give that isn't the function's, behind the words of its arguments. */
const firstSpare = 24;
const spareLength = 16;
const resultPlace = firstSpare + spareLength;

class Argument {
  readonly index: number;

  constructor(index: number) {
    this.index = index;
  }
}

class Call {
  readonly fn: KnownFunction;
  readonly operands: readonly unknown[];

  constructor(fn: KnownFunction, operands: readonly unknown[]) {
    this.fn = fn;
    this.operands = operands;
  }
}

class Read {
  readonly type: NamedType;
  readonly from: unknown;
  readonly byteOffset: number;

  constructor(type: NamedType, from: unknown, byteOffset: number) {
    this.type = type;
    this.from = from;
    this.byteOffset = byteOffset;
  }
}

class Numbered {
  readonly pointer: unknown;

  constructor(pointer: unknown) {
    this.pointer = pointer;
  }
}

class Answer extends Call {}

/** What a program holds of these. Nobody else can make, read or change one, and no proxy passes for one: C is led by it. */
class Opaque {
  readonly #node: Argument | Call | Read | Numbered;

  constructor(token: typeof inside, node: Argument | Call | Read | Numbered) {
    if (token !== inside) refuseNew("value to fetch", "argument(), fetchCall(), fetchAt() or fetchAddress()");
    this.#node = node;
  }

  /** What is behind it; any other value is answered as it is. */
  static nodeOf(value: unknown): unknown {
    return typeof value === "object" && value !== null && #node in value ? value.#node : value;
  }
}

/**
 * Names an argument that C gives a callback: what is fetched may be the argument itself, or be asked for with it.
 *
 * @typeParam I Its index.
 * @param index Its index among the definition's `parameters`, from 0.
 * @returns What `fetch`, {@linkcode fetchCall}, {@linkcode fetchAt} and {@linkcode answerCall} take.
 * @throws {TypeError} If it is no such index.
 */
export function argument<const I extends number>(index: I): ArgumentOperand<I> {
  if (typeof index !== "number" || !Number.isInteger(index) || index < 0) {
    throw new TypeError(`Cannot name an argument: its index must be an integer from 0, got ${shown(index)}`);
  }
  return new Opaque(inside, new Argument(index)) as unknown as ArgumentOperand<I>;
}

/**
 * Has the core call a C function before it enters JavaScript for a callback, which gets the result in place of what C gives.
 *
 * So a callback whose arguments have to be asked for, as those of SQL functions, is one crossing rather than one for each.
 * {@linkcode callback}'s definition has it in `fetch`.
 *
 * ```ts ignore
 * const sum = callback({
 *   parameters: [context, "i32", "pointer"],
 *   result: "void",
 *   fetch: [fetchCall(sqlite.sqlite3_value_double, fetchAt("pointer", argument(2)))],
 *   answer: answerCall(sqlite.sqlite3_result_double, argument(0)),
 * }, (value) => value / 2);
 * ```
 *
 * *Threads:* the function is called on the thread on which C calls back.
 *
 * @typeParam R What the function gives.
 * @param fn A function of a library that belay has opened, of at most four numbers, pointers, strings or handles.
 * @param operands Its arguments: arguments of C's, what is fetched, numbers, or null for a pointer.
 * @returns What the function gives, for `fetch`, or as an operand.
 * @throws {TypeError} If it is no such function, or takes something else.
 * @throws {LibraryClosedError} If its library is closed.
 */
export function fetchCall<R>(fn: (...args: never[]) => R, ...operands: readonly Operand[]): FetchedOperand<R> {
  const known = callable(fn, operands, "fetch");
  if (known.definition.result === "void") throw new TypeError(`Cannot fetch by "${known.key}": it has no result`);
  return new Opaque(inside, new Call(known, operands.map(Opaque.nodeOf))) as unknown as FetchedOperand<R>;
}

/**
 * Has the core read C's memory before it enters JavaScript for a callback: an element of an array that C passes, or a field.
 *
 * @typeParam T The type of what is there.
 * @param type Its type: a number's, `"bool"`, `"pointer"`, `"cstring"` or `"handle"`.
 * @param pointer A pointer. Where it is NULL, zero is read: `null` for a pointer.
 * @param byteOffset How many bytes behind the pointer; 0 by default. It needn't be aligned.
 * @returns What is there, for `fetch`, or as an operand.
 * @throws {TypeError} If the type is none of these, or the offset is no safe integer.
 */
export function fetchAt<const T extends Exclude<FieldType, object | "function">>(
  type: T,
  pointer: Operand,
  byteOffset = 0,
): FetchedOperand<FromNative<T>> {
  if (!isNamedType(type) || ["buffer", "handleAddress", "function"].includes(type)) {
    throw new TypeError(`Cannot fetch from memory: unknown type ${unknownType(type)}`);
  }
  if (!Number.isSafeInteger(byteOffset)) {
    throw new TypeError(`Cannot fetch from memory: byteOffset must be a safe integer, got ${shown(byteOffset)}`);
  }
  return new Opaque(inside, new Read(type, Opaque.nodeOf(pointer), byteOffset)) as unknown as FetchedOperand<
    FromNative<T>
  >;
}

/**
 * Has the core give a pointer's address as a number, of which {@linkcode pointerFrom} makes the pointer.
 *
 * It is for pointers that a function seldom needs: on Deno a pointer is a bigint, and making two of them takes as long as a whole
 * callback on a stack of C's own.
 *
 * ```ts ignore
 * fetch: [fetchCall(sqlite.sqlite3_value_double, value), fetchAddress(argument(0))],
 * // (value, context) => … pointerFrom<"sqlite3_context">(context)
 * ```
 *
 * @param pointer A pointer. NULL gives 0.
 * @returns The address, for `fetch`. It is exact up to 2^53, below which the addresses of a process are.
 */
export function fetchAddress(pointer: Operand): FetchedOperand<number> {
  return new Opaque(inside, new Numbered(Opaque.nodeOf(pointer))) as unknown as FetchedOperand<number>;
}

/**
 * Has the core give a callback's result to a C function, which is called when JavaScript has been left.
 *
 * The definition of a {@linkcode callback} has it as `answer`. The result is the function's last argument, and has its type.
 * C gets what the function gives if that is of the type of the callback's result, which else is `"void"`. If the callback throws
 * or gives `undefined`, the function isn't called, and C gets the fallback.
 *
 * @typeParam A The types of its arguments.
 * @param fn A function of a library that belay has opened, of at most four numbers, pointers or handles.
 * @param operands Its arguments but for the last one: arguments that C has given.
 * @returns What `answer` takes.
 * @throws {TypeError} If it is no such function.
 * @throws {LibraryClosedError} If its library is closed.
 */
export function answerCall<A extends readonly never[] | readonly unknown[]>(
  fn: (...args: A & never[]) => unknown,
  ...operands: readonly ArgumentOperand[]
): AnswerCall<A extends readonly [...unknown[], infer L] ? L : never> {
  const known = callable(fn, [...operands, undefined], "answer");
  const nodes: unknown[] = operands.map(Opaque.nodeOf);
  for (const node of nodes) {
    if (!(node instanceof Argument)) {
      throw new TypeError(`Cannot answer by "${known.key}": expected arguments of C's, got ${shown(node)}`);
    }
  }
  return new Opaque(inside, new Answer(known, nodes)) as unknown as AnswerCall<never>;
}

/** A function that the core can call so. @throws {TypeError | LibraryClosedError} When it can't. */
function callable(fn: TargetFunction, operands: readonly unknown[], verb: string): KnownFunction {
  const known = typeof fn === "function" ? knownFunction(fn) : undefined;
  if (known === undefined) throw new TypeError(`Cannot ${verb} by a function: expected one of a library`);
  const { key, definition, owner } = known;
  const what = `Cannot ${verb} by "${key}"`;
  if (owner.closed) throw new LibraryClosedError(`${verb} by`, key, owner.name);
  const { parameters } = definition;
  for (const option of ["nonblocking", "suspends", "stack", "captureErrno", "variadic"] as const) {
    if (definition[option]) throw new TypeError(`${what}: the core can't call what is defined with ${option}`);
  }
  if (owner.counted) throw new TypeError(`${what}: closing ${owner.name} unmaps it, since it was opened with unload`);
  if (parameters.length !== operands.length || operands.length > fetchOperands) {
    throw new TypeError(
      `${what}: it takes ${parameters.length} arguments, got ${operands.length}; at most ${fetchOperands} can be given`,
    );
  }
  if (isRecord(definition.result)) throw new TypeError(`${what}: its result is a structure`);
  parameters.forEach((type, index) => {
    if (typeof type !== "string" || type === "handleAddress") {
      throw new TypeError(`${what}: argument ${index + 1} is of the type ${typeName(type)}, which needs JavaScript`);
    }
  });
  return known;
}

/** What is fetched for the callbacks of a definition. */
export interface Fetching {
  /** What JavaScript's function gets and gives. */
  readonly definition: CallbackDefinition;
  /** Whether a C function takes what it gives. */
  readonly answers: boolean;
  /** The address of a `belay_fetching` with a fallback. */
  readonly address: (fallback: bigint) => Address;
}

/**
 * What a definition has fetched and answered.
 *
 * @param given What C gives and gets, checked.
 * @throws {TypeError} That says what is wrong.
 * @throws {RangeError} When there is too much of it.
 */
export function fetchingOf(given: CallbackDefinition, fetch: unknown, answerCall: unknown): Fetching {
  const values = fetch === undefined ? given.parameters.map((_, index) => new Argument(index)) : nodesOf(fetch);
  const answer = Opaque.nodeOf(answerCall);
  if (answer !== undefined && !(answer instanceof Answer)) {
    throw new TypeError("Cannot define a callback: answer must be what answerCall() gives");
  }
  if (isRecord(given.result)) {
    throw new TypeError("Cannot define a callback: one that returns a structure fetches nothing");
  }
  if (values.length > mostValues) {
    throw new RangeError(`Cannot define a callback: it can fetch ${mostValues} values, got ${values.length}`);
  }
  const steps = new Steps(given);
  const parameters = values.map((value: unknown, index) => steps.typeOf(value, `fetch ${index + 1}`));
  const layout = argumentLayout(parameters.map((type) => classOf(type)), backend().platform);
  values.forEach((value: unknown, index) =>
    steps.put(value, present(layout.byteOffsets[index]) / 8, `fetch ${index + 1}`)
  );
  const result = answer === undefined ? given.result : steps.answer(answer);
  return {
    definition: { parameters, result } as CallbackDefinition,
    answers: answer !== undefined,
    address: (fallback) => steps.address(fallback),
  };
}

/** What a program gives as an array, which is read once: a proxy may answer otherwise the next time. */
function nodesOf(fetch: unknown): unknown[] {
  if (!Array.isArray(fetch)) throw new TypeError("Cannot define a callback: fetch must be an array");
  const nodes: unknown[] = [];
  for (const value of fetch as unknown[]) nodes.push(Opaque.nodeOf(value));
  return nodes;
}

/** By their bytes. They are never freed, since C may call a thunk at any time. */
const known = new Map<string, Address>();

/** The steps of a definition, as the core takes them. */
class Steps {
  readonly #definition: CallbackDefinition;
  readonly #layout: ArgumentLayout;
  readonly #bytes = new Uint8Array(fetchingByteLength);
  readonly #view = new DataView(this.#bytes.buffer);
  /** Where what steps give is, by what the program has made of them. */
  readonly #places = new Map<object, number>();
  /** By the fallback. */
  readonly #addresses = new Map<bigint, Address>();
  #count = 0;
  #spare = firstSpare;

  constructor(definition: CallbackDefinition) {
    this.#definition = definition;
    const classes: ArgumentClass[] = definition.parameters.map((type) => classOf(type));
    this.#layout = argumentLayout(classes, backend().platform);
  }

  /** The type of a value. @throws {TypeError} When it is none that can be fetched. */
  typeOf(value: unknown, what: string): NamedType {
    if (value instanceof Argument) return this.#argumentType(value, what);
    if (value instanceof Answer) throw new TypeError(`Cannot define a callback: ${what} is what answerCall() gives`);
    if (value instanceof Call) return value.fn.definition.result as NamedType;
    if (value instanceof Read) return value.type;
    if (value instanceof Numbered) return "f64";
    throw new TypeError(
      `Cannot define a callback: ${what} must be what argument(), fetchCall(), fetchAt() or fetchAddress() gives, got ${
        shown(value)
      }`,
    );
  }

  #argumentType({ index }: Argument, what: string): NamedType {
    const type = this.#definition.parameters[index];
    if (type === undefined) {
      const count = this.#definition.parameters.length;
      throw new RangeError(`Cannot define a callback: ${what} names argument(${index}) of ${count}, counted from 0`);
    }
    if (isRecord(type)) throw new TypeError(`Cannot define a callback: ${what} names a structure`);
    // A function's definition is a word, as a pointer is.
    return type as NamedType;
  }

  /** Puts a value into a word of what the core has. */
  put(value: unknown, target: number, what: string): void {
    const done = this.#places.get(value as object);
    if (done !== undefined || value instanceof Argument) {
      const place = done ?? this.#argumentPlace(value as Argument, what);
      this.#add(target, { step: stepCopy, kind: kindOf(this.typeOf(value, what)), operands: [place] });
    } else if (value instanceof Call) {
      const { fn, operands } = value;
      const types = fn.definition.parameters as readonly NamedType[];
      const places = operands.map((operand, index) =>
        this.#place(operand, present(types[index]), `${what}: argument ${index + 1} of "${fn.key}"`)
      );
      const kind = kindOf(fn.definition.result as NamedType);
      this.#add(target, { step: stepCall, kind, operands: places, fn: fn.address, floats: floatsOf(types) });
    } else if (value instanceof Read) {
      const { type, from, byteOffset } = value;
      const place = this.#place(from, "pointer", `${what}: the pointer`);
      this.#add(target, { step: stepRead, kind: kindOf(type), operands: [place], bits: BigInt(byteOffset) });
    } else if (value instanceof Numbered) {
      const place = this.#place(value.pointer, "pointer", `${what}: the pointer`);
      this.#add(target, { step: stepNumber, kind: kindF64, operands: [place] });
    }
    this.#places.set(value as object, operandFetched + target);
  }

  /** Has the answer given to its function, and says what type it has. */
  answer({ fn, operands }: Answer): NamedType {
    const { parameters, result } = fn.definition;
    const types = parameters as readonly NamedType[];
    const last = present(types.at(-1));
    if (last === "buffer" || last === "cstring") {
      throw new TypeError(
        `Cannot answer by "${fn.key}": its last argument is a ${last}, whose memory nobody would keep`,
      );
    }
    const { result: wanted } = this.#definition;
    if (wanted !== "void" && wanted !== result) {
      throw new TypeError(
        `Cannot answer by "${fn.key}": it gives C ${typeName(result)} in place of ${typeName(wanted)}`,
      );
    }
    const places = operands.map((operand, index) =>
      this.#place(operand, present(types[index]), `answer: argument ${index + 1} of "${fn.key}"`)
    );
    this.#write(fetchingFunctionByteOffset, {
      step: stepCall,
      kind: wanted === "void" ? kindNone : kindOf(wanted as NamedType),
      operands: [...places, operandFetched + resultPlace],
      fn: fn.address,
      floats: floatsOf(types),
    });
    return last;
  }

  /** Where an operand is, which has to be of a type. */
  #place(operand: unknown, type: NamedType, what: string): number {
    if (typeof operand !== "object" || operand === null) {
      return this.#spared((target) =>
        this.#add(target, { step: stepConstant, kind: kindWord, operands: [], bits: constantBits(operand, type, what) })
      );
    }
    const given = this.typeOf(operand, what);
    if (!isSame(given, type)) {
      throw new TypeError(`Cannot define a callback: ${what} is of the type ${type}, got ${given}`);
    }
    if (operand instanceof Argument) return this.#argumentPlace(operand, what);
    return this.#places.get(operand) ?? this.#spared((target) => this.put(operand, target, what));
  }

  #argumentPlace({ index }: Argument, what: string): number {
    const place = present(this.#layout.byteOffsets[index]) / 8;
    if (!Number.isInteger(place)) {
      throw new RangeError(`Cannot define a callback: ${what} is on the stack, with others in one word`);
    }
    return place < registerWords ? place : operandStack + place - registerWords;
  }

  #spared(put: (target: number) => void): number {
    const target = this.#spare++;
    put(target);
    return operandFetched + target;
  }

  #add(target: number, step: Omit<Step, "target">): void {
    if (this.#count === maxFetches || this.#spare > resultPlace) {
      throw new RangeError("Cannot define a callback: it fetches too much");
    }
    this.#write(fetchingStepsByteOffset + this.#count * fetchByteLength, { ...step, target });
    this.#count += 1;
  }

  #write(start: number, { step, kind, operands, fn, floats = 0, bits = 0n, target = 0 }: Step): void {
    const view = this.#view;
    view.setBigUint64(start + fetchFunctionByteOffset, BigInt(fn ?? 0), true);
    view.setBigUint64(start + fetchByteOffsetByteOffset, BigInt.asUintN(64, bits), true);
    operands.forEach((place, index) => view.setUint16(start + fetchOperandsByteOffset + 2 * index, place, true));
    view.setUint16(start + fetchTargetByteOffset, target, true);
    view.setUint8(start + fetchStepByteOffset, quick(step, kind, operands.length, floats));
    view.setUint8(start + fetchKindByteOffset, kind);
    view.setUint8(start + fetchOperandCountByteOffset, operands.length);
    view.setUint8(start + fetchFloatsByteOffset, floats);
  }

  /** Where the steps are, with a fallback. Each callback asks. */
  address(fallback: bigint): Address {
    let address = this.#addresses.get(fallback);
    if (address === undefined) this.#addresses.set(fallback, address = this.#stored(fallback));
    return address;
  }

  #stored(fallback: bigint): Address {
    const view = this.#view;
    view.setBigUint64(fetchingFallbackByteOffset, fallback, true);
    view.setUint32(fetchingCountByteOffset, this.#count, true);
    const key = this.#bytes.join();
    const same = known.get(key);
    if (same !== undefined) return same;
    const address = allocate(fetchingByteLength, 8, true);
    if (address === null) throw new RangeError("Cannot define a callback: there is no memory for what it fetches");
    copyIn(address, 0, this.#bytes, fetchingByteLength);
    known.set(key, address);
    return address;
  }
}

/** What is written of a step. */
interface Step {
  readonly step: number;
  readonly kind: number;
  readonly operands: readonly number[];
  readonly fn?: Address;
  readonly floats?: number;
  readonly bits?: bigint;
  readonly target?: number;
}

/** The step for what is common. The upper bits of a narrow result are anything: who takes it looks at its own. */
function quick(step: number, kind: number, count: number, floats: number): number {
  const isFloat = kind === kindF32 || kind === kindF64;
  const isWide = kind === kindWord || kind === kindI32 || kind === kindU32;
  if (step === stepRead && (kind === kindWord || kind === kindF64)) return stepReadWord;
  if (step === stepRead && (isWide || isFloat)) return stepReadHalf;
  if (step !== stepCall) return step;
  if (count === 1 && floats === 0 && isFloat) return stepCallFloat;
  if (count === 1 && floats === 0 && isWide) return stepCallWord;
  return count === 2 && floats === 2 && (isWide || kind === kindNone) ? stepCallWithFloat : step;
}

const kinds: Readonly<Record<string, number>> = {
  bool: kindU8,
  i8: kindI8,
  u8: kindU8,
  i16: kindI16,
  u16: kindU16,
  i32: kindI32,
  u32: kindU32,
  f32: kindF32,
  f64: kindF64,
};

function kindOf(type: NamedType): number {
  return kinds[type] ?? kindWord;
}

/** Which of a function's parameters are floats, as bits. */
function floatsOf(types: readonly NamedType[]): number {
  let bits = 0;
  types.forEach((type, index) => bits |= argumentClass(type).float ? 1 << index : 0);
  return bits;
}

/** Whether what is of one type may be passed as another: narrow integers only as what they are, since C extends them. */
function isSame(given: NamedType, wanted: NamedType): boolean {
  if (given === wanted) return true;
  const one = argumentClass(given);
  const other = argumentClass(wanted);
  return one.float === other.float && one.byteLength === other.byteLength && one.byteLength >= 4;
}

/** The bits of a constant. @throws {TypeError} When it is not of its type. */
function constantBits(value: unknown, type: NamedType, what: string): bigint {
  if (type === "bool" && typeof value === "boolean") return BigInt(value);
  const name = type === "isize" ? "i64" : type === "usize" ? "u64" : type;
  const number = Object.hasOwn(checked, name) ? checked[name as NumberName](value) : value === null ? 0 : undefined;
  if (number === undefined || type === "bool") {
    throw new TypeError(`Cannot define a callback: ${what} is of the type ${type}, got ${shown(value)}`);
  }
  if (name !== "f32" && name !== "f64") return BigInt(number);
  const bitsOf = new DataView(new ArrayBuffer(8));
  if (name === "f32") bitsOf.setFloat32(0, Number(number), true);
  else bitsOf.setFloat64(0, Number(number), true);
  return bitsOf.getBigUint64(0, true);
}
