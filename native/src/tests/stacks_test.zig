//! C on a stack of its own: a call is started there, calls back, and goes on.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const blocks = @import("../calls/blocks.zig");
const caller = @import("../calls/caller.zig");
const own_stack = @import("../stacks/own.zig");
const support = @import("support.zig");
const switching = @import("../switching/switch.zig");
const thunks = @import("../thunks/pool.zig");
const Isolate = @import("../isolate.zig").Isolate;

fn start(isolate: *Isolate, index: u32) abi.StackState {
    return stateOf(isolate, own_stack.start(isolate, index));
}

fn goOn(isolate: *Isolate, index: u32) abi.StackState {
    return stateOf(isolate, own_stack.goOn(isolate, index));
}

fn stateOf(isolate: *Isolate, state: usize) abi.StackState {
    const calls_back = @intFromEnum(abi.StackState.calls_back);
    if (state < calls_back) return @enumFromInt(state);
    std.debug.assert(state - calls_back == isolate.words.callback);
    return .calls_back;
}

fn prepare(isolate: *Isolate, index: u32, function: *const anyopaque, arguments: []const u64) *abi.Call {
    const call = &blocks.of(isolate).?[index];
    call.* = .{ .frame = std.mem.zeroes(abi.Frame) };
    call.frame.function = function;
    @memcpy(call.frame.arguments[0..arguments.len], arguments);
    return call;
}

const Sum = struct {
    /// Calls back for each number up to a count, and answers the sum of what it gets.
    fn run(callback: *const fn (u64) callconv(.c) u64, count: u64) callconv(.c) u64 {
        var sum: u64 = 0;
        for (0..count) |number| sum += callback(number);
        return sum;
    }
};

test "a call on a stack of its own calls back and goes on, as often as it likes" {
    if (!switching.is_known) return error.SkipZigTest;
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).layout = 1 << 8;
    thunks.slotOf(number).index = 7;
    for (0..3) |_| {
        const call = prepare(isolate, 0, &Sum.run, &.{ @intFromPtr(thunks.address(number)), 1000 });
        var state = start(isolate, 0);
        var calls: u64 = 0;
        while (state == .calls_back) : (calls += 1) {
            try std.testing.expectEqual(calls, isolate.words.arguments[0]);
            try std.testing.expectEqual(@as(u32, 7), isolate.words.callback);
            isolate.words.result = 2 * calls;
            state = goOn(isolate, 0);
        }
        try std.testing.expectEqual(abi.StackState.returned, state);
        try std.testing.expectEqual(@as(u64, 1000), calls);
        try std.testing.expectEqual(@as(u64, 999_000), call.frame.integer_results[0]);
    }
    // The probe's trampoline was never called, and one stack was enough.
    try std.testing.expectEqual(@as(u32, 0), support.Probe.calls);
    try std.testing.expectEqual(@as(u32, 1), isolate.own_stacks.free_count);
    try std.testing.expectEqual(@as(u32, 0), own_stack.liveCount(isolate));
}

test "calls that wait are gone on with in any order, and a plain call calls the trampoline meanwhile" {
    if (!switching.is_known) return error.SkipZigTest;
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).layout = 1 << 8;
    const count = 100;
    for (0..count) |index| {
        _ = prepare(isolate, @intCast(index), &Sum.run, &.{ @intFromPtr(thunks.address(number)), 3 });
        try std.testing.expectEqual(abi.StackState.calls_back, start(isolate, @intCast(index)));
    }
    try std.testing.expectEqual(@as(u32, count), own_stack.liveCount(isolate));
    try std.testing.expectEqual(@as(u64, 77), support.functionOf(number, fn (u64) callconv(.c) u64)(1));
    try std.testing.expectEqual(@as(u32, 1), support.Probe.calls);
    for (0..3) |round| {
        for (0..count) |step| {
            const index: u32 = @intCast((step * 37 + round) % count);
            isolate.words.result = index;
            const state = goOn(isolate, index);
            try std.testing.expectEqual(if (round == 2) abi.StackState.returned else .calls_back, state);
        }
    }
    for (0..count) |index| {
        const call = &blocks.of(isolate).?[index];
        try std.testing.expectEqual(@as(u64, 3 * index), call.frame.integer_results[0]);
    }
}

test "control words and the error number are each stack's own" {
    if (!switching.is_known) return error.SkipZigTest;
    const Callee = struct {
        fn run(callback: *const fn () callconv(.c) u64) callconv(.c) u64 {
            caller.setLastError(33);
            _ = callback();
            return caller.lastError();
        }
    };
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    const call = prepare(isolate, 0, &Callee.run, &.{@intFromPtr(thunks.address(number))});
    try std.testing.expectEqual(abi.StackState.calls_back, start(isolate, 0));
    caller.setLastError(4);
    try std.testing.expectEqual(abi.StackState.returned, goOn(isolate, 0));
    try std.testing.expectEqual(@as(u64, 33), call.frame.integer_results[0]);
}

/// Calls itself, in frames of about 4,000 bytes, and answers how often.
const Deep = struct {
    fn run(depth: u64) callconv(.c) u64 {
        var space: [4000]u8 = undefined;
        space[0] = @truncate(depth);
        std.mem.doNotOptimizeAway(&space);
        return if (depth == 0) space[0] else run(depth - 1) + 1;
    }
};

test "C has as much stack as was asked for" {
    if (!switching.is_known) return error.SkipZigTest;
    const depth = if (builtin.os.tag == .windows) 150 else 1000;
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const call = prepare(isolate, 0, &Deep.run, &.{depth});
    try std.testing.expectEqual(abi.StackState.returned, start(isolate, 0));
    try std.testing.expectEqual(@as(u64, depth), call.frame.integer_results[0]);
}

test "a call's stack is as large as it says, and what calls leave in stacks is given back" {
    if (!switching.is_known) return error.SkipZigTest;
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    // 12 MB of a stack of 32 MiB, of which nobody keeps anything.
    var call = prepare(isolate, 0, &Deep.run, &.{3000});
    call.stack_kilobytes = 32 << 10;
    try std.testing.expectEqual(abi.StackState.returned, start(isolate, 0));
    try std.testing.expectEqual(@as(u64, 3000), call.frame.integer_results[0]);
    try std.testing.expectEqual(@as(u32, 0), isolate.own_stacks.free_count);
    if (builtin.os.tag == .linux) try std.testing.expect(own_stack.resident(isolate) <= 128 << 10);
    try std.testing.expectEqual(@as(u32, 0), own_stack.liveCount(isolate));
    // 400 KB of one that is kept.
    call = prepare(isolate, 0, &Deep.run, &.{100});
    try std.testing.expectEqual(abi.StackState.returned, start(isolate, 0));
    try std.testing.expectEqual(@as(u32, 1), isolate.own_stacks.free_count);
    try std.testing.expect(own_stack.resident(isolate) >= 400 << 10);
    own_stack.rest(isolate);
    if (builtin.os.tag == .linux) try std.testing.expect(own_stack.resident(isolate) <= 128 << 10);
    // It is as good as before.
    call = prepare(isolate, 0, &Deep.run, &.{100});
    try std.testing.expectEqual(abi.StackState.returned, start(isolate, 0));
    try std.testing.expectEqual(@as(u64, 100), call.frame.integer_results[0]);
}

test "a callback ends with a call in its place, whose result C gets" {
    if (!switching.is_known) return error.SkipZigTest;
    const Tail = struct {
        fn run(a: u64, b: u64) callconv(.c) u64 {
            return 10 * a + b;
        }
    };
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).layout = 1 << 8;
    const call = prepare(isolate, 0, &Sum.run, &.{ @intFromPtr(thunks.address(number)), 1 });
    try std.testing.expectEqual(abi.StackState.calls_back, start(isolate, 0));
    _ = prepare(isolate, 1, &Tail.run, &.{ 4, 2 });
    blocks.of(isolate).?[1].tail_result = @intFromEnum(abi.TailResult.integer);
    isolate.words.tail_call = 2;
    try std.testing.expectEqual(abi.StackState.returned, goOn(isolate, 0));
    try std.testing.expectEqual(@as(u64, 42), call.frame.integer_results[0]);
    try std.testing.expectEqual(@as(u32, 0), isolate.words.tail_call);
}

/// The core's functions for a call whose arguments are passed.
fn passing(comptime Function: type) *const Function {
    return @extern(*const Function, .{ .name = "belay_stack_call" });
}

fn resumed(isolate: *Isolate, index: u32) abi.StackState {
    const go_on = @extern(*const fn (u32) callconv(.c) u32, .{ .name = "belay_stack_resume" });
    return stateOf(isolate, go_on(isolate.words.tag << 16 | index));
}

fn preparePassing(isolate: *Isolate, index: u32, function: *const anyopaque) *abi.Call {
    const call = prepare(isolate, index, function, &.{});
    call.isolate = &isolate.words;
    return call;
}

test "arguments are passed in registers, and what C gives comes back as it is" {
    if (!switching.has_jumps) return error.SkipZigTest;
    const Callee = struct {
        fn integers(a: u64, b: u64, c: u64, d: u64, e: u64) callconv(.c) u64 {
            return a + 10 * b + 100 * c + 1000 * d + 10_000 * e;
        }
        fn floats(a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64, i: u64) callconv(.c) f64 {
            return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + @as(f64, @floatFromInt(i));
        }
    };
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const Integers = fn (*abi.Call, u64, u64, u64, u64, u64) callconv(.c) u64;
    const Floats = fn (*abi.Call, f64, f64, f64, f64, f64, f64, f64, f64, u64) callconv(.c) f64;
    const call = preparePassing(isolate, 0, &Callee.integers);
    const other = preparePassing(isolate, 1, &Callee.floats);
    // The first one makes a stack; the others find it ready, until what is left in it is given back.
    for (0..10_000) |_| {
        try std.testing.expectEqual(@as(u64, 54_321), passing(Integers)(call, 1, 2, 3, 4, 5));
        try std.testing.expectEqual(@as(u64, 0), call.stack);
        try std.testing.expectEqual(@as(f64, 213.0), passing(Floats)(other, 1, 2, 3, 4, 5, 6, 7, 8, 9));
        try std.testing.expectEqual(@as(u64, 0), other.stack);
    }
    try std.testing.expectEqual(@as(u32, 1), isolate.own_stacks.made_count);
    try std.testing.expectEqual(@as(u32, 0), own_stack.liveCount(isolate));
}

test "calls whose arguments are passed call back inside of each other, and leave a stack that is ready" {
    if (!switching.has_jumps) return error.SkipZigTest;
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).layout = 1 << 8;
    const Run = fn (*abi.Call, *const anyopaque, u64) callconv(.c) u64;
    const depth = 5;
    for (0..3) |_| {
        for (0..depth) |index| {
            const call = preparePassing(isolate, @intCast(index), &Sum.run);
            _ = passing(Run)(call, thunks.address(number), 2);
            try std.testing.expect(call.stack > @intFromEnum(abi.StackState.calls_back));
            try std.testing.expectEqual(@as(u32, @intCast(index + 1)), own_stack.liveCount(isolate));
        }
        for (0..depth) |step| {
            const index: u32 = @intCast(depth - 1 - step);
            const call = &blocks.of(isolate).?[index];
            isolate.words.result = index;
            try std.testing.expectEqual(abi.StackState.calls_back, resumed(isolate, index));
            isolate.words.result = 10;
            try std.testing.expectEqual(abi.StackState.returned, resumed(isolate, index));
            try std.testing.expectEqual(@as(u64, 0), call.stack);
            try std.testing.expectEqual(@as(u64, 10 + index), call.frame.integer_results[0]);
        }
        try std.testing.expectEqual(@as(u32, 0), own_stack.liveCount(isolate));
        try std.testing.expect(isolate.own_stacks.ready != null);
        try std.testing.expectEqual(@as(u32, depth - 1), isolate.own_stacks.free_count);
    }
}

test "where JavaScript has little stack, or none is left, a call whose arguments are passed ends as others" {
    if (!switching.has_jumps) return error.SkipZigTest;
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).layout = 1 << 8;
    const Run = fn (*abi.Call, *const anyopaque, u64) callconv(.c) u64;
    const floor = isolate.stack_floor;
    for ([_]usize{ floor, isolate.stack.top, floor }) |low| {
        isolate.stack_floor = low;
        const call = preparePassing(isolate, 0, &Sum.run);
        try std.testing.expectEqual(@as(u64, 0), passing(Run)(call, thunks.address(number), 0));
        try std.testing.expectEqual(@as(u64, 0), call.stack);
        _ = passing(Run)(call, thunks.address(number), 1);
        try std.testing.expectEqual(@as(u32, @intFromBool(low != floor)), isolate.words.overflow);
        isolate.words.result = 7;
        try std.testing.expectEqual(abi.StackState.returned, resumed(isolate, 0));
        try std.testing.expectEqual(@as(u64, 7), call.frame.integer_results[0]);
        try std.testing.expectEqual(@as(u32, 0), own_stack.liveCount(isolate));
    }
    // Its length is another one by now, so that the stack isn't kept.
    const call = preparePassing(isolate, 0, &Sum.run);
    _ = passing(Run)(call, thunks.address(number), 1);
    own_stack.setByteLength(isolate, 1 << 20);
    try std.testing.expectEqual(abi.StackState.returned, resumed(isolate, 0));
    try std.testing.expectEqual(@as(?*@TypeOf(isolate.own_stacks.ready.?.*), null), isolate.own_stacks.ready);
    try std.testing.expectEqual(@as(u32, 0), own_stack.liveCount(isolate));
    _ = passing(Run)(call, thunks.address(number), 0);
    try std.testing.expectEqual(@as(usize, 1 << 20), isolate.own_stacks.ready.?.byte_length);
}
