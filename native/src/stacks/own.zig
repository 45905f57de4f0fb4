//! C on a stack of its own. JavaScript starts a call there. When C calls back, the thunk goes back to JavaScript's stack:
//! the call that JavaScript made answers that a callback is wanted. JavaScript calls the function, puts the result into
//! the words, and goes on with the call. So no engine is entered from C, and JavaScript may do anything before it goes on.

const std = @import("std");
const abi = @import("../abi.zig");
const blocks = @import("../calls/blocks.zig");
const caller = @import("../calls/caller.zig");
const isolates = @import("../isolate.zig");
const pages = @import("../os/pages.zig");
const switching = @import("../switching/switch.zig");
const Isolate = isolates.Isolate;
const OwnStack = isolates.OwnStack;
const State = abi.StackState;

/// How many stacks without a call an isolate keeps.
const most_free = 64;
/// How many calls of an isolate may have one. Each takes two mappings, of which Linux gives a process 65,530.
const most_live = 16384;
/// What calls have left in stacks is given back now and then: it takes longer than a call.
const calls_between_rests = 4096;

/// Whether stacks can be switched on this processor and system.
pub const is_known = switching.is_known;
pub const has_jumps = switching.has_jumps;

/// Makes the call of a block on a stack of its own, until C has returned or calls back. On the isolate's thread.
pub fn start(isolate: *Isolate, index: u32) usize {
    if (has_jumps) return assembly.belay_stack_start(isolate, index);
    const stack = begin(isolate, index);
    return if (stack <= @intFromEnum(State.shadowed)) stack else goTo(@ptrFromInt(stack));
}

/// Goes on with a call that has called back: the words have the callback's result.
pub fn goOn(isolate: *Isolate, index: u32) usize {
    if (has_jumps) return assembly.belay_stack_go_on(isolate, index);
    isolate.assertOwnThread();
    const call = &isolate.calls.blocks.load(.monotonic).?[index];
    return goTo(enter(@ptrFromInt(@as(usize, @intCast(call.stack)))));
}

const assembly = struct {
    extern fn belay_stack_start(isolate: *Isolate, index: u32) callconv(.c) u32;
    extern fn belay_stack_go_on(isolate: *Isolate, index: u32) callconv(.c) u32;
};

fn goTo(stack: *OwnStack) usize {
    return switching.go(&stack.isolate.own_stacks.javascript, stack.pointer, @intFromPtr(stack));
}

/// Gives a call a stack, which is about to run. Answers why there is none, by a state, or its address.
fn begin(isolate: *Isolate, index: u32) callconv(.c) usize {
    isolate.assertOwnThread();
    const own = &isolate.own_stacks;
    const call = &isolate.calls.blocks.load(.monotonic).?[index];
    // Most calls have one that was left by another. The rest is done by a function, so that nothing is saved for it here.
    const stack = own.free orelse return beginAnew(isolate, index, call);
    if (call.stack_kilobytes != 0 or call.suspends != 0 or own.until_rest <= 0) {
        return beginAnew(isolate, index, call);
    }
    own.free = stack.next;
    own.free_count -= 1;
    own.until_rest -= 1;
    return run(isolate, call, stack, @frameAddress());
}

noinline fn beginAnew(isolate: *Isolate, index: u32, call: *abi.Call) usize {
    if (!is_known) return @intFromEnum(State.unknown);
    const own = &isolate.own_stacks;
    if (own.free == null and switching.hasShadowStack()) return @intFromEnum(State.shadowed);
    const byte_length = if (call.stack_kilobytes == 0)
        own.byte_length
    else
        std.mem.alignForward(usize, @as(usize, call.stack_kilobytes) << 10, granularity);
    if (own.until_rest <= 0) rest(isolate);
    const stack = take(isolate, byte_length) orelse return @intFromEnum(State.no_memory);
    own.until_rest -= 1;
    if (call.suspends != 0) isolate.calls.used = @max(isolate.calls.used, index + 1);
    return run(isolate, call, stack, @frameAddress());
}

/// The same for a call whose arguments are passed, where it has no stack that is ready, or JavaScript has little.
fn beginPassed(call: *abi.Call) callconv(.c) usize {
    const result = beginAnew(.of(call.isolate.?), 0, call);
    if (result > @intFromEnum(State.shadowed)) {
        const stack: *OwnStack = @ptrFromInt(result);
        // Then it isn't left as it has to be for the next call.
        if (!stack.direct) stack.slot = &not_called;
    }
    return result;
}

/// Of no thunk.
var not_called: abi.Slot = .{};

/// @param position Where JavaScript's stack ends, nearly.
inline fn run(isolate: *Isolate, call: *abi.Call, stack: *OwnStack, position: usize) usize {
    stack.synchronous = call.suspends == 0;
    if (!stack.synchronous) stack.control = switching.controlWords();
    // JavaScript goes on with a call that doesn't suspend from where it started it.
    stack.direct = isolate.words.live != 0 and position >= isolate.stack_floor and position < isolate.stack.top;
    stack.slot = null;
    stack.call = call;
    call.stack = @intFromPtr(stack);
    return @intFromPtr(enter(stack));
}

fn enter(stack: *OwnStack) *OwnStack {
    const own = &stack.isolate.own_stacks;
    @atomicStore(?*OwnStack, &own.running, if (stack.direct) stack else null, .monotonic);
    @atomicStore(?*OwnStack, &own.indirect, if (stack.direct) null else stack, .monotonic);
    return stack;
}

/// From C, in a thunk: has JavaScript call the function.
pub fn giveWay(stack: *OwnStack) void {
    const state = @intFromEnum(State.calls_back) + stack.isolate.words.callback;
    _ = switching.go(&stack.pointer, stack.isolate.own_stacks.javascript, state);
}

/// In a thunk whose function has ended with a tail call: makes that call in its place, and puts the bits of its result into
/// the words. It may never return: what is left here then is nobody's.
pub fn tailCall(isolate: *Isolate, fallback: u64) void {
    const words = &isolate.words;
    // JavaScript uses the block again.
    var call = isolate.calls.blocks.load(.monotonic).?[words.tail_call - 1];
    words.tail_call = 0;
    blocks.perform(&call);
    words.result = switch (@as(abi.TailResult, @enumFromInt(call.tail_result))) {
        .none => fallback,
        .integer => call.frame.integer_results[0],
        .float => call.frame.float_results[0],
    };
}

const body = if (switching.has_jumps) perform else performAll;

/// On the stack, which is nobody's afterwards.
fn perform(stack: *OwnStack) callconv(.c) void {
    blocks.perform(stack.call);
    give(stack);
}

fn performAll(stack: *OwnStack) callconv(.c) noreturn {
    while (true) {
        perform(stack);
        // Whoever comes next has another call.
        _ = switching.go(&stack.pointer, stack.isolate.own_stacks.javascript, @intFromEnum(State.returned));
    }
}

fn take(isolate: *Isolate, byte_length: usize) ?*OwnStack {
    const own = &isolate.own_stacks;
    if (byte_length == own.byte_length) {
        if (own.ready) |stack| {
            own.ready = null;
            return stack;
        }
        if (own.free) |stack| {
            own.free = stack.next;
            own.free_count -= 1;
            return stack;
        }
    }
    if (own.unusual) |stack| {
        own.unusual = null;
        if (stack.byte_length == byte_length) return stack;
        unmap(stack);
    }
    return if (liveCount(isolate) < most_live) make(isolate, byte_length) else null;
}

/// How many calls have a stack. On the isolate's thread.
pub fn liveCount(isolate: *Isolate) u32 {
    const own = &isolate.own_stacks;
    return own.made_count - own.free_count - @intFromBool(own.unusual != null) - @intFromBool(own.ready != null);
}

/// The call of a stack is over. This still runs on it: it has to stay mapped until JavaScript's goes on.
inline fn give(stack: *OwnStack) void {
    const own = &stack.isolate.own_stacks;
    if (!stack.synchronous) @atomicStore(u64, &stack.call.stack, 0, .monotonic);
    own.forget(null);
    if (own.free_count == most_free or stack.byte_length != own.byte_length) return giveUnusual(stack);
    stack.next = own.free;
    own.free = stack;
    own.free_count += 1;
}

/// The same for a call whose arguments were passed, unless it is one that has never been left, and can't be the one before the
/// next. It runs on the stack yet. Answers whether JavaScript gets C's result itself.
fn givePassed(stack: *OwnStack) callconv(.c) bool {
    const own = &stack.isolate.own_stacks;
    const was_left = stack.slot != &not_called;
    @atomicStore(u64, &stack.call.stack, 0, .monotonic);
    stack.pointer = switching.restingPointer(stack);
    if (own.ready == null and stack.byte_length == own.byte_length) {
        own.forget(null);
        stack.slot = null;
        stack.direct = true;
        own.ready = stack;
    } else give(stack);
    return !was_left;
}

noinline fn giveUnusual(stack: *OwnStack) void {
    const own = &stack.isolate.own_stacks;
    if (own.unusual) |before| unmap(before);
    own.unusual = stack;
    forget(stack, @frameAddress() - still_used);
}

/// How much of a stack this and what it calls take.
const still_used = 16 << 10;

/// Gives the system what is below an address, which is nobody's.
fn forget(stack: *OwnStack, address: usize) void {
    const start_address = @intFromPtr(stack.memory.ptr);
    const end = std.mem.alignBackward(usize, address, std.heap.pageSize());
    if (end > start_address) pages.forget(stack.memory[0 .. end - start_address]);
}

fn make(isolate: *Isolate, byte_length: usize) ?*OwnStack {
    const memory = pages.mapStack(byte_length) orelse return null;
    const record_byte_length = comptime std.mem.alignForward(usize, @sizeOf(OwnStack), 64);
    const stack: *OwnStack = @ptrCast(@alignCast(memory.ptr + memory.len - record_byte_length));
    const usable: []align(16) u8 = @alignCast(memory[0 .. memory.len - record_byte_length]);
    const own = &isolate.own_stacks;
    stack.* = .{
        .memory = memory,
        .byte_length = byte_length,
        .pointer = switching.prepare(usable),
        .isolate = isolate,
        .error_place = caller.errorPlace(),
        .made_before = own.made,
    };
    if (own.made) |before| before.made_after = stack;
    own.made = stack;
    own.made_count += 1;
    return stack;
}

fn unmap(stack: *OwnStack) void {
    stack.isolate.own_stacks.forget(stack);
    stack.isolate.own_stacks.made_count -= 1;
    if (stack.made_before) |before| before.made_after = stack.made_after;
    if (stack.made_after) |after| after.made_before = stack.made_before else stack.isolate.own_stacks.made = stack.made_before;
    pages.unmapStack(stack.memory);
}

/// What the multiples are of that stacks' lengths have to be: the largest pages.
const granularity = 64 << 10;

/// New stacks take so many bytes. Those that no call has are given up.
pub fn setByteLength(isolate: *Isolate, byte_length: usize) void {
    isolate.assertOwnThread();
    leave(isolate);
    isolate.own_stacks.byte_length = std.mem.alignForward(usize, byte_length, granularity);
}

/// Gives the system what calls have left in stacks that no call has now.
pub fn rest(isolate: *Isolate) void {
    isolate.assertOwnThread();
    isolate.own_stacks.until_rest = calls_between_rests;
    var next = isolate.own_stacks.free;
    while (next) |stack| : (next = stack.next) forget(stack, stack.pointer);
    if (isolate.own_stacks.ready) |stack| forget(stack, stack.pointer);
    if (isolate.own_stacks.unusual) |stack| unmap(stack);
    isolate.own_stacks.unusual = null;
}

/// How many bytes of memory all stacks take.
pub fn resident(isolate: *Isolate) usize {
    isolate.assertOwnThread();
    var byte_length: usize = 0;
    var next = isolate.own_stacks.made;
    while (next) |stack| : (next = stack.made_before) byte_length += pages.resident(stack.memory);
    return byte_length;
}

/// Unmaps the stacks that no call has: the isolate is gone. Those on which C waits stay: it may still hold pointers into them.
pub fn leave(isolate: *Isolate) void {
    const own = &isolate.own_stacks;
    while (own.free) |stack| {
        own.free = stack.next;
        unmap(stack);
    }
    own.free_count = 0;
    for ([_]*?*OwnStack{ &own.unusual, &own.ready }) |place| {
        if (place.*) |stack| unmap(stack);
        place.* = null;
    }
}

comptime {
    if (is_known) @export(&body, .{ .name = "belay_stack_body", .visibility = .hidden });
    if (switching.has_jumps) {
        @export(&begin, .{ .name = "belay_stack_begin", .visibility = .hidden });
        @export(&beginPassed, .{ .name = "belay_stack_begin_passed", .visibility = .hidden });
        @export(&givePassed, .{ .name = "belay_stack_give_passed", .visibility = .hidden });
    }
}
