//! The dispatcher, in which every thunk ends. It runs the callback at once, on the isolate's thread; or queues it; or
//! answers a misplaced call with the fallback.

const builtin = @import("builtin");
const abi = @import("abi.zig");
const caller = @import("calls/caller.zig");
const enqueue = @import("queued/enqueue.zig");
const fetching = @import("calls/fetching.zig");
const isolates = @import("isolate.zig");
const own_stack = @import("stacks/own.zig");
const notices = @import("thunks/notices.zig");
const thunks = @import("thunks/pool.zig");
const Isolate = isolates.Isolate;
const OwnStack = isolates.OwnStack;
const Registers = thunks.Registers;
const Slot = abi.Slot;

const first_float = 8;

/// Where every thunk's jump ends, with the argument registers spilled to `frame` and the stack arguments at `stack`.
/// Answers the bits for the first integer result register; those for the others are in the frame.
///
/// Behind the registers, the frame has a word that is 0. On a stack of its own, C gives way to JavaScript: then the word is
/// that stack afterwards, what is answered means nothing, and the thunk calls `belay_stack_give_way`, or does what that does.
///
/// @param indirect_result What AArch64 has in x8; the other entries don't pass it.
fn dispatch(number: u32, frame: *Registers, stack: [*]const u64, indirect_result: u64) callconv(.c) u64 {
    const slot = thunks.slotOf(number);
    const kind = thunks.resultOf(slot);
    if (kind != .scalar and kind != .fetched) {
        return structure(slot, frame, stack, if (builtin.cpu.arch == .aarch64) indirect_result else frame[0]);
    }
    const result = if (kind == .scalar) scalar(number, slot, frame, stack) else fetched(number, slot, frame, stack);
    // Where JavaScript has yet to run the function, C's arguments are still needed for the answer.
    if (kind == .scalar or ownWord(frame).* == 0) frame[first_float] = result;
    return result;
}

inline fn scalar(number: u32, slot: *Slot, frame: *Registers, stack: [*]const u64) u64 {
    const isolate: *Isolate = .of(@atomicLoad(?*abi.Words, &slot.isolate, .monotonic) orelse return 0);
    const contract = @atomicLoad(u32, &slot.state, .monotonic) & abi.contract_mask;
    if (isolates.current_thread != isolate.thread or @atomicLoad(u32, &isolate.words.live, .monotonic) == 0) {
        if (contract == abi.contract_same or !isolate.words.isLive()) return notices.misplaced(slot, isolate);
        return enqueue.call(number, slot, isolate, frame, stack, false, null);
    }
    if (contract == abi.contract_post) return enqueue.call(number, slot, isolate, frame, stack, true, null);
    const fallback = @atomicLoad(u64, &slot.fallback, .monotonic);
    return enter(slot, isolate, frame, frame, stack, fallback, null) orelse fallback;
}

/// A call whose arguments are fetched, on the thread on which C makes it. What JavaScript answers is C's function's to give.
noinline fn fetched(number: u32, slot: *Slot, frame: *Registers, stack: [*]const u64) u64 {
    const isolate: *Isolate = .of(@atomicLoad(?*abi.Words, &slot.isolate, .monotonic) orelse return 0);
    // Before what is fetched: it is for the callback that has this state, and the thunk may be another one's afterwards.
    const state = @atomicLoad(u32, &slot.state, .acquire);
    const definition = thunks.fetchingOf(slot) orelse return 0;
    const words = &isolate.words;
    const contract = state & abi.contract_mask;
    const elsewhere = isolates.current_thread != isolate.thread or @atomicLoad(u32, &words.live, .monotonic) == 0;
    if (elsewhere and (contract == abi.contract_same or !words.isLive())) return notices.misplaced(slot, isolate);
    var values: fetching.Fetched = undefined;
    fetching.fetch(definition, &.of(frame, stack, &values), &values);
    if (!elsewhere and contract != abi.contract_post and isGone(slot, state, isolate)) return definition.fallback;
    if (elsewhere or contract == abi.contract_post) {
        return enqueue.call(number, slot, isolate, &values.registers, &values.rest, !elsewhere, state);
    }
    // As `result`, it is a callback's inside this one, too.
    const outer = words.answered;
    words.answered = 0;
    const fallback = definition.fallback;
    const result = enterSeldom(slot, isolate, frame, &values.registers, &values.rest, fallback, null);
    if (ownWord(frame).* != 0) {
        const left: *OwnStack = @ptrFromInt(ownWord(frame).*);
        left.target = @intFromPtr(definition);
        return 0;
    }
    const answered = words.answered != 0;
    words.answered = outer;
    return fetchedAnswer(definition, frame, stack, result orelse fallback, answered);
}

/// The same on a stack of its own, where JavaScript has stack enough. Answers that stack if C is to give way; else the first
/// word of the frame is what C gets.
fn fetchedDirectly(slot: *Slot, frame: *Registers, left: *OwnStack) callconv(.c) ?*OwnStack {
    const isolate = left.isolate;
    const words = &isolate.words;
    const state = @atomicLoad(u32, &slot.state, .acquire);
    const definition = thunks.fetchingOf(slot) orelse {
        frame[0] = 0;
        return null;
    };
    var values: fetching.Fetched = undefined;
    words.callback = no_callback;
    fetching.fetchFor(definition, &.of(frame, thunks.stackOf(frame), &values), &values, &words.arguments);
    // A C function that was called has called back, whose arguments have been in the same place.
    if (words.callback != no_callback and !fetchedBefore(slot, state, isolate, &values)) {
        frame[0] = definition.fallback;
        return null;
    }
    words.overflow = 0;
    words.answered = 0;
    leave(left, slot, frame, definition.fallback, @intFromPtr(definition));
    return left;
}

/// No thunk's index.
const no_callback = 0xffff_ffff;

noinline fn fetchedBefore(slot: *Slot, state: u32, isolate: *Isolate, values: *const fetching.Fetched) bool {
    if (isGone(slot, state, isolate)) return false;
    copyArguments(&isolate.words, slot.layout, &values.registers, &values.rest);
    return true;
}

/// Whether the thunk is another callback's by now, or JavaScript can't run any more: a C function that was called for what is
/// fetched may have called back. On the isolate's thread.
inline fn isGone(slot: *Slot, state: u32, isolate: *Isolate) bool {
    return @atomicLoad(u32, &slot.state, .monotonic) != state or !isolate.words.isLive();
}

inline fn fetchedAnswer(
    definition: *const abi.Fetching,
    registers: *const Registers,
    stack: [*]const u64,
    result: u64,
    answered: bool,
) u64 {
    if (!answered and definition.answer.function != null) return definition.fallback;
    return fetching.answer(definition, registers, stack, result);
}

/// A call whose result is a structure: JavaScript says by the result 1 that it has written one. If it hasn't, C gets
/// zeroes.
///
/// @param target Where the structure goes, if that is in memory.
fn structure(slot: *Slot, frame: *Registers, stack: [*]const u64, target: u64) u64 {
    @branchHint(.cold);
    const isolate: *Isolate = .of(@atomicLoad(?*abi.Words, &slot.isolate, .monotonic).?);
    var written = false;
    if (isolates.current_thread != isolate.thread or !isolate.words.isLive()) {
        _ = notices.misplaced(slot, isolate);
    } else {
        written = enterSeldom(slot, isolate, frame, frame, stack, 0, target) == 1;
    }
    return answer(slot, isolate, frame, written, target);
}

/// Puts a structure where C wants it, or zeroes; answers the first integer register.
fn answer(slot: *Slot, isolate: *Isolate, frame: *Registers, written: bool, target: u64) u64 {
    if (thunks.resultOf(slot) == .memory) {
        const memory: [*]u8 = @ptrFromInt(@as(usize, @intCast(target)));
        if (!written) @memset(memory[0..@intCast(@atomicLoad(u64, &slot.fallback, .monotonic))], 0);
        return target;
    }
    const results: [abi.result_words]u64 = if (written) isolate.words.results else @splat(0);
    frame[1] = results[1];
    frame[first_float..][0..4].* = results[2..6].*;
    return results[0];
}

/// Has JavaScript run the function, on the isolate's thread; answers what it wrote as the result, or `fallback`. Null
/// when it can't be entered.
///
/// @param frame Of the thunk.
/// @param arguments What the function gets of registers; `stack` has the rest.
inline fn enter(
    slot: *Slot,
    isolate: *Isolate,
    frame: *Registers,
    arguments: *const Registers,
    stack: [*]const u64,
    fallback: u64,
    target: ?u64,
) ?u64 {
    const words = &isolate.words;
    var position = @intFromPtr(frame);
    var own: ?*OwnStack = null;
    words.overflow = 0;
    if (position < isolate.stack_floor or position >= isolate.stack.top) {
        @branchHint(.unlikely);
        own = isolate.own_stacks.at(position);
        // JavaScript runs the function where it has left its own stack.
        if (own != null) position = isolate.own_stacks.javascript;
    }
    if (position < isolate.stack_floor or position >= isolate.stack.top) {
        @branchHint(.unlikely);
        if (position < isolate.stack_limit or position >= isolate.stack.top) {
            _ = notices.misplaced(slot, isolate);
            return null;
        }
        words.overflow = 1;
        _ = @atomicRmw(u32, &words.attention, .Or, abi.attention_overflow, .monotonic);
    }
    copyArguments(words, slot.layout, arguments, stack);
    const trampoline = words.trampoline orelse return null;
    if (target) |address_in_c| words.results[0] = address_in_c;
    if (own) |left| {
        leave(left, slot, frame, fallback, target orelse 0);
        return null;
    }
    // A callback inside this one writes its own result over ours: keep what was there.
    const outer = words.result;
    words.result = fallback;
    words.callback = slot.index;
    trampoline();
    const result = words.answer(slot);
    words.result = outer;
    return result;
}

/// The same, where a call more is nothing.
noinline fn enterSeldom(
    slot: *Slot,
    isolate: *Isolate,
    frame: *Registers,
    arguments: *const Registers,
    stack: [*]const u64,
    fallback: u64,
    target: ?u64,
) ?u64 {
    return enter(slot, isolate, frame, arguments, stack, fallback, target);
}

inline fn copyArguments(words: *abi.Words, layout: u32, registers: *const Registers, stack: [*]const u64) void {
    // One by one, as they were spilled: a load that spans two stores waits for both.
    for (0..@min(layout >> 8 & 0xff, 8)) |i| {
        words.arguments[i] = registers[i];
        asm volatile ("");
    }
    const float_end = first_float + @as(usize, @min(layout >> 16 & 0xff, 8));
    for (first_float..float_end) |i| {
        words.arguments[i] = registers[i];
        asm volatile ("");
    }
    if (layout & 0xff != 0) {
        const length: usize = @min(layout & 0xff, abi.stack_words);
        @memcpy(words.arguments[abi.register_words..][0..length], stack[0..length]);
    }
}

/// On a stack of its own, C is about to be left for JavaScript.
inline fn leave(left: *OwnStack, slot: *Slot, frame: *Registers, fallback: u64, target: u64) void {
    const words = &left.isolate.words;
    words.result = fallback;
    words.callback = slot.index;
    left.slot = slot;
    left.registers = frame;
    left.target = target;
    left.code = if (has_error_place) left.error_place.* else caller.lastError();
    ownWord(frame).* = @intFromPtr(left);
}

/// Whether the thread's errno has an address.
const has_error_place = builtin.os.tag != .windows;

/// Behind the registers that a thunk has spilled.
fn ownWord(frame: *Registers) *usize {
    return @ptrFromInt(@intFromPtr(frame) + @sizeOf(Registers));
}

/// In a thunk on a stack of its own, when JavaScript has run the function: answers as `dispatch` does.
fn goOn(stack: *OwnStack) callconv(.c) u64 {
    const isolate = stack.isolate;
    const words = &isolate.words;
    const frame = stack.registers;
    // A callback of the tail call's has the stack's fields.
    const slot = stack.slot.?;
    const target = stack.target;
    const kind = thunks.resultOf(slot);
    if (kind == .fetched) {
        frame[first_float] = fetchedLater(stack);
        return frame[first_float];
    }
    restoreError(stack);
    const is_scalar = kind == .scalar;
    if (words.tail_call != 0) {
        own_stack.tailCall(isolate, if (is_scalar) @atomicLoad(u64, &slot.fallback, .monotonic) else 0);
        if (!is_scalar) words.result = 0;
    }
    if (!is_scalar) return answer(slot, isolate, frame, words.result == 1, target);
    frame[first_float] = words.answer(slot);
    return frame[first_float];
}

inline fn restoreError(stack: *OwnStack) void {
    if (has_error_place) stack.error_place.* = stack.code else caller.setLastError(stack.code);
}

/// The same where arguments were fetched. What ends with a tail call has no answer but that.
fn fetchedLater(stack: *OwnStack) callconv(.c) u64 {
    const isolate = stack.isolate;
    const words = &isolate.words;
    const definition: *const abi.Fetching = @ptrFromInt(@as(usize, @intCast(stack.target)));
    const frame = stack.registers;
    restoreError(stack);
    const answered = words.answered != 0;
    words.answered = 0;
    if (words.tail_call != 0) {
        own_stack.tailCall(isolate, definition.fallback);
        return words.result;
    }
    return fetchedAnswer(definition, frame, thunks.stackOf(frame), words.answer(stack.slot.?), answered);
}

/// In a thunk that the assembly has let JavaScript run the function of, which has ended with a tail call: answers the bits
/// of that one's result.
fn goOnElsewhere(stack: *OwnStack) callconv(.c) u64 {
    own_stack.tailCall(stack.isolate, @atomicLoad(u64, &stack.slot.?.fallback, .monotonic));
    return stack.isolate.words.result;
}

/// In a thunk on a stack of its own: lets JavaScript run the function, and answers as `dispatch` does.
fn giveWay(stack: *OwnStack) callconv(.c) u64 {
    own_stack.giveWay(stack);
    return goOn(stack);
}

comptime {
    if (own_stack.is_known) @export(&goOn, .{ .name = "belay_stack_answer", .visibility = .hidden });
    if (own_stack.has_jumps) @export(&fetchedDirectly, .{ .name = "belay_stack_fetch", .visibility = .hidden });
    if (own_stack.has_jumps) @export(&fetchedLater, .{ .name = "belay_stack_fetched", .visibility = .hidden });
    if (own_stack.has_jumps) @export(&goOnElsewhere, .{ .name = "belay_stack_tail", .visibility = .hidden });
    if (!own_stack.has_jumps) @export(&giveWay, .{ .name = "belay_stack_give_way", .visibility = .hidden });
    @export(&dispatch, .{ .name = "belay_dispatch", .visibility = .hidden });
}
