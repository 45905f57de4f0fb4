//! C on a stack of its own. JavaScript starts a call there. When C calls back, the thunk goes back to JavaScript's stack:
//! the call that JavaScript made answers that a callback is wanted. JavaScript calls the function, puts the result into
//! the words, and goes on with the call. So no engine is entered from C, and JavaScript may do anything before it goes on.

const std = @import("std");
const abi = @import("../abi.zig");
const blocks = @import("../calls/blocks.zig");
const caller = @import("../calls/caller.zig");
const isolates = @import("../isolate.zig");
const pages = @import("../os/pages.zig");
const switching = @import("switch.zig");
const Isolate = isolates.Isolate;
const OwnStack = isolates.OwnStack;
const State = abi.StackState;

/// How many stacks without a call an isolate keeps.
const most_free = 64;

/// Makes the call of a block on a stack of its own, until C has returned or calls back. On the isolate's thread.
pub fn start(isolate: *Isolate, index: u32) State {
    isolate.assertOwnThread();
    if (!switching.is_known) return .unknown;
    const stack = take(isolate) orelse return .no_memory;
    const call = &isolate.calls.blocks.load(.monotonic).?[index];
    stack.call = call;
    call.stack = @intFromPtr(stack);
    return goTo(isolate, stack);
}

/// Goes on with a call that has called back: the words have the callback's result.
pub fn goOn(isolate: *Isolate, index: u32) State {
    isolate.assertOwnThread();
    const call = &isolate.calls.blocks.load(.monotonic).?[index];
    return goTo(isolate, @ptrFromInt(@as(usize, @intCast(call.stack))));
}

fn goTo(isolate: *Isolate, stack: *OwnStack) State {
    const own = &isolate.own_stacks;
    stack.outer = own.running;
    own.running = stack;
    const state: State = @enumFromInt(switching.go(&stack.javascript, stack.pointer, @intFromPtr(stack)));
    own.running = stack.outer;
    if (state == .returned) give(isolate, stack);
    return state;
}

/// From C, in a thunk: has JavaScript call the function. What C's errno was, it is afterwards.
pub fn giveWay(stack: *OwnStack) void {
    const code = caller.lastError();
    _ = switching.go(&stack.pointer, stack.javascript, @intFromEnum(State.calls_back));
    caller.setLastError(code);
}

/// From C, in a thunk whose function has ended with a tail call: makes that call in its place. It may never return: what is
/// left here then is nobody's.
pub fn goOnWith(isolate: *Isolate) u64 {
    const words = &isolate.words;
    // JavaScript uses the block again.
    var call = isolate.calls.blocks.load(.monotonic).?[words.tail_call - 1];
    words.tail_call = 0;
    blocks.perform(&call);
    return if (call.stack != 0) call.frame.float_results[0] else call.frame.integer_results[0];
}

fn body(stack: *OwnStack) callconv(.c) noreturn {
    while (true) {
        blocks.perform(stack.call);
        // Whoever comes next has another call.
        _ = switching.go(&stack.pointer, stack.javascript, @intFromEnum(State.returned));
    }
}

fn take(isolate: *Isolate) ?*OwnStack {
    const own = &isolate.own_stacks;
    const stack = if (own.free) |free| free else make(own.byte_length) orelse return null;
    if (own.free != null) {
        own.free = stack.next;
        own.free_count -= 1;
    }
    own.live_count += 1;
    return stack;
}

fn give(isolate: *Isolate, stack: *OwnStack) void {
    const own = &isolate.own_stacks;
    own.live_count -= 1;
    if (own.free_count == most_free) return pages.unmapStack(stack.memory);
    stack.next = own.free;
    own.free = stack;
    own.free_count += 1;
}

fn make(byte_length: usize) ?*OwnStack {
    const memory = pages.mapStack(byte_length) orelse return null;
    const record_byte_length = comptime std.mem.alignForward(usize, @sizeOf(OwnStack), 64);
    const stack: *OwnStack = @ptrCast(@alignCast(memory.ptr + memory.len - record_byte_length));
    const usable: []align(16) u8 = @alignCast(memory[0 .. memory.len - record_byte_length]);
    stack.* = .{ .memory = memory, .pointer = switching.prepare(usable) };
    return stack;
}

/// Unmaps the stacks that no call has: the isolate is gone. Those on which C waits stay: it may still hold pointers into them.
pub fn leave(isolate: *Isolate) void {
    const own = &isolate.own_stacks;
    while (own.free) |stack| {
        own.free = stack.next;
        pages.unmapStack(stack.memory);
    }
    own.free_count = 0;
}

comptime {
    if (switching.is_known) @export(&body, .{ .name = "belay_stack_body", .visibility = .hidden });
}
