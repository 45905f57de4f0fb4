//! The pool of precompiled thunks: C function pointers that TypeScript functions can stand behind. They are code of this
//! library, so no memory is ever both writable and executable, and none is ever unmapped.

const std = @import("std");
const builtin = @import("builtin");
const isolates = @import("isolate.zig");
const Isolate = isolates.Isolate;
const Lock = @import("lock.zig").Lock;

const arch = switch (builtin.cpu.arch) {
    .x86_64 => if (builtin.os.tag == .windows)
        @import("arch_x86_64_windows.zig")
    else
        @import("arch_x86_64_sysv.zig"),
    .aarch64 => @import("arch_aarch64.zig"),
    else => @compileError("belay has no thunks for this processor"),
};

pub const capacity = 4096;
pub const capacity_text = std.fmt.comptimePrint("{d}", .{capacity});
pub const thunk_byte_length = arch.thunk_byte_length;
/// Isolates take thunks from the pool this many at a time.
pub const chunk_length = 64;

/// What the dispatcher has to know of a thunk. The isolate that claimed it writes the two last words from JavaScript.
pub const Slot = extern struct {
    isolate: ?*Isolate = null,
    /// The bits that C gets when the function can't be asked.
    fallback: u64 = 0,
    /// How many stack words its signature has.
    stack_words: u64 = 0,
};

/// The argument registers, in the order in which the architecture's entry spills them.
pub const Frame = [isolates.register_words]u64;

pub var slots: [capacity]Slot = @splat(.{});
var chunks: [capacity / chunk_length]?*Isolate = @splat(null);
var lock: Lock = .{};

/// Takes a chunk of thunks for `isolate`: fresh ones first, then those of an isolate that is gone.
pub fn claim(isolate: *Isolate) ?u32 {
    lock.acquire();
    defer lock.release();
    const chunk = free: {
        for (chunks, 0..) |owner, number| if (owner == null) break :free number;
        for (chunks, 0..) |owner, number| if (!owner.?.live.load(.acquire)) break :free number;
        return null;
    };
    chunks[chunk] = isolate;
    const first = chunk * chunk_length;
    for (slots[first..][0..chunk_length]) |*slot| slot.* = .{ .isolate = isolate };
    return @intCast(first);
}

/// Where every thunk's jump ends, with the argument registers spilled to `frame` and the stack arguments at `stack`.
/// Answers the bits for the integer and the float result register.
fn dispatch(number: u32, frame: *const Frame, stack: [*]const u64) callconv(.c) u64 {
    const slot = &slots[number];
    const isolate = slot.isolate orelse return 0;
    if (isolates.current_thread != isolate.thread or !isolate.live.load(.monotonic)) {
        _ = @atomicRmw(u32, &isolate.words.foreign_calls, .Add, 1, .monotonic);
        return slot.fallback;
    }
    const words = &isolate.words;
    words.arguments[0..isolates.register_words].* = frame.*;
    if (slot.stack_words != 0) {
        const count: usize = @min(slot.stack_words, isolates.stack_words);
        @memcpy(words.arguments[isolates.register_words..][0..count], stack[0..count]);
    }
    const trampoline = isolate.trampoline orelse return slot.fallback;
    // A callback inside this one writes its own result over ours: keep what was there.
    const outer = words.result;
    words.thunk = number;
    trampoline();
    const result = words.result;
    words.result = outer;
    return result;
}

comptime {
    @export(&dispatch, .{ .name = "belay_dispatch", .visibility = .hidden });
    _ = arch;
}

pub fn base() *const anyopaque {
    return @extern(*const anyopaque, .{ .name = "belay_thunks", .visibility = .hidden });
}

pub fn address(number: u32) *const anyopaque {
    return @ptrFromInt(@intFromPtr(base()) + @as(usize, number) * thunk_byte_length);
}

const Probe = struct {
    var words: *isolates.Words = undefined;
    var seen: [isolates.argument_words]u64 = undefined;
    var thunk: u32 = undefined;
    var calls: u32 = 0;
    var again: ?*const fn (u64) callconv(.c) u64 = null;

    fn run() callconv(.c) void {
        calls += 1;
        seen = words.arguments;
        thunk = words.thunk;
        if (again) |inner| {
            again = null;
            words.result = 5;
            std.testing.expectEqual(@as(u64, 77), inner(1)) catch unreachable;
            return;
        }
        words.result = 77;
    }
};

/// An isolate on this thread whose trampoline is the probe's, for the tests below.
fn probe() !*Isolate {
    const isolate = isolates.attach(std.testing.allocator, false).?;
    isolate.trampoline = Probe.run;
    Probe.words = &isolate.words;
    Probe.calls = 0;
    Probe.again = null;
    return isolate;
}

fn dismiss(isolate: *Isolate) void {
    isolates.leaveThread();
    for (&chunks) |*owner| {
        if (owner.* == isolate) owner.* = null;
    }
    for (&slots) |*slot| {
        if (slot.isolate == isolate) slot.* = .{};
    }
    std.testing.allocator.destroy(isolate);
}

test "a thunk hands over integer and float registers and stack words, and answers the result" {
    const isolate = try probe();
    defer dismiss(isolate);
    const first = claim(isolate).?;
    const number = first + 63;
    slots[number].stack_words = 6;
    const Function = fn (u64, f64, u64, f64, u64, u64, u64, u64, u64, u64, u64, u64) callconv(.c) u64;
    const function: *const Function = @ptrCast(@alignCast(address(number)));
    try std.testing.expectEqual(@as(u64, 77), function(1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10));
    try std.testing.expectEqual(number, Probe.thunk);
    if (builtin.os.tag == .windows) {
        // Positional: the second and fourth registers are floats.
        try std.testing.expectEqual(@as(u64, 1), Probe.seen[0]);
        try std.testing.expectEqual(@as(u64, 2), Probe.seen[2]);
        try std.testing.expectEqual(@as(f64, 1.5), @as(f64, @bitCast(Probe.seen[9])));
        try std.testing.expectEqual(@as(f64, 2.5), @as(f64, @bitCast(Probe.seen[11])));
        try std.testing.expectEqual(@as(u64, 3), Probe.seen[16]);
        return;
    }
    const registers: usize = if (builtin.cpu.arch == .x86_64) 6 else 8;
    for (0..10) |i| {
        const word = if (i < registers) i else isolates.register_words + i - registers;
        try std.testing.expectEqual(i + 1, Probe.seen[word]);
    }
    try std.testing.expectEqual(@as(f64, 1.5), @as(f64, @bitCast(Probe.seen[8])));
    try std.testing.expectEqual(@as(f64, 2.5), @as(f64, @bitCast(Probe.seen[9])));
}

test "a float result arrives in the float register" {
    const isolate = try probe();
    defer dismiss(isolate);
    const number = claim(isolate).?;
    const function: *const fn () callconv(.c) f64 = @ptrCast(@alignCast(address(number)));
    try std.testing.expectEqual(@as(u64, 77), @as(u64, @bitCast(function())));
}

test "the result of a callback inside a callback does not replace the outer one's" {
    const isolate = try probe();
    defer dismiss(isolate);
    const number = claim(isolate).?;
    const function: *const fn (u64) callconv(.c) u64 = @ptrCast(@alignCast(address(number)));
    Probe.again = function;
    try std.testing.expectEqual(@as(u64, 5), function(0));
    try std.testing.expectEqual(@as(u32, 2), Probe.calls);
}

test "a thunk answers its fallback on another thread and when its isolate is gone, and counts" {
    const isolate = try probe();
    defer dismiss(isolate);
    const number = claim(isolate).?;
    slots[number].fallback = 9;
    const Caller = struct {
        var answer: u64 = 0;
        fn run(thunk_number: u32) void {
            const function: *const fn () callconv(.c) u64 = @ptrCast(@alignCast(address(thunk_number)));
            answer = function();
        }
    };
    const thread = try std.Thread.spawn(.{}, Caller.run, .{number});
    thread.join();
    try std.testing.expectEqual(@as(u64, 9), Caller.answer);
    isolates.leaveThread();
    Caller.run(number);
    try std.testing.expectEqual(@as(u64, 9), Caller.answer);
    try std.testing.expectEqual(@as(u32, 2), isolate.words.foreign_calls);
    try std.testing.expectEqual(@as(u32, 0), Probe.calls);
}

test "a thunk that was never claimed answers zero" {
    const function: *const fn () callconv(.c) u64 = @ptrCast(@alignCast(address(capacity - 1)));
    try std.testing.expectEqual(@as(u64, 0), function());
}

test "chunks run out, and come back only from an isolate that is gone" {
    const isolate = try probe();
    defer dismiss(isolate);
    var count: usize = 0;
    while (claim(isolate)) |_| count += 1;
    try std.testing.expectEqual(@as(usize, capacity / chunk_length), count);
    isolates.leave(isolate);
    const next = isolates.attach(std.testing.allocator, false).?;
    defer std.testing.allocator.destroy(next);
    const first = claim(next).?;
    try std.testing.expectEqual(@as(?*Isolate, next), slots[first].isolate);
    isolates.leaveThread();
    for (&slots) |*slot| {
        if (slot.isolate == next) slot.* = .{};
    }
    for (&chunks) |*owner| {
        if (owner.* == next) owner.* = null;
    }
}
