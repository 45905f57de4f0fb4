//! The dispatcher, by thunks that are called as C calls them.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const caller = @import("../calls/caller.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const lifecycle = @import("../lifecycle.zig");
const queues = @import("../queued/queues.zig");
const support = @import("support.zig");
const tags = @import("../handles/tags.zig");
const thunks = @import("../thunks/pool.zig");
const Isolate = isolates.Isolate;
const Probe = support.Probe;

test "a thunk hands over integer and float registers and stack words, and answers the result" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const first = thunks.claim(isolate, "a").?;
    const number = first + thunks.chunk_length - 1;
    thunks.slotOf(number).layout = 6 | 8 << 8 | 8 << 16;
    thunks.slotOf(number).index = 42;
    const Function = fn (u64, f64, u64, f64, u64, u64, u64, u64, u64, u64, u64, u64) callconv(.c) u64;
    const function: *const Function = @ptrCast(@alignCast(thunks.address(number)));
    try std.testing.expectEqual(@as(u64, 77), function(1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10));
    try std.testing.expectEqual(@as(u32, 42), Probe.callback);
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
        const word = if (i < registers) i else abi.register_words + i - registers;
        try std.testing.expectEqual(i + 1, Probe.seen[word]);
    }
    try std.testing.expectEqual(@as(f64, 1.5), @as(f64, @bitCast(Probe.seen[8])));
    try std.testing.expectEqual(@as(f64, 2.5), @as(f64, @bitCast(Probe.seen[9])));
}

test "a float result arrives in the float register" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    const function: *const fn () callconv(.c) f64 = @ptrCast(@alignCast(thunks.address(number)));
    try std.testing.expectEqual(@as(u64, 77), @as(u64, @bitCast(function())));
}

test "the result of a callback inside a callback does not replace the outer one's" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    const function: *const fn (u64) callconv(.c) u64 = @ptrCast(@alignCast(thunks.address(number)));
    Probe.again = function;
    try std.testing.expectEqual(@as(u64, 5), function(0));
    try std.testing.expectEqual(@as(u32, 2), Probe.calls);
}

test "a thunk answers its fallback on another thread and when its isolate is gone, and counts" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).fallback = 9;
    const Caller = struct {
        var answer: u64 = 0;
        fn run(thunk_number: u32) void {
            const function: *const fn () callconv(.c) u64 = @ptrCast(@alignCast(thunks.address(thunk_number)));
            answer = function();
        }
    };
    const thread = try std.Thread.spawn(.{}, Caller.run, .{number});
    thread.join();
    try std.testing.expectEqual(@as(u64, 9), Caller.answer);
    lifecycle.leaveThread();
    Caller.run(number);
    try std.testing.expectEqual(@as(u64, 9), Caller.answer);
    try std.testing.expectEqual(@as(u32, 2), isolate.words.misplaced_calls);
    try std.testing.expectEqual(@as(u32, 0), Probe.calls);
}

test "a thunk that was never claimed answers zero" {
    const function: *const fn () callconv(.c) u64 = @ptrCast(@alignCast(thunks.address(thunks.block_length - 1)));
    try std.testing.expectEqual(@as(u64, 0), function());
}

test "a result that the function doesn't write is the fallback" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    isolate.words.trampoline = struct {
        fn run() callconv(.c) void {}
    }.run;
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).fallback = 11;
    isolate.words.result = 3;
    try std.testing.expectEqual(@as(u64, 11), support.functionOf(number, fn () callconv(.c) u64)());
    try std.testing.expectEqual(@as(u64, 3), isolate.words.result);
}

test "a call below the floor of the stack is marked, one below its limit or from another stack is misplaced" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).fallback = 9;
    const function = support.functionOf(number, fn () callconv(.c) u64);
    const stack = isolate.stack;
    isolate.stack_floor = stack.top - 1;
    try std.testing.expectEqual(@as(u64, 77), function());
    try std.testing.expectEqual(@as(u32, 1), isolate.words.overflow);
    try std.testing.expectEqual(@as(u32, abi.attention_overflow), isolate.words.attention);
    isolate.words.attention = 0;
    const limit = isolate.stack_limit;
    isolate.stack_limit = stack.top - 1;
    try std.testing.expectEqual(@as(u64, 9), function());
    isolate.stack_limit = limit;
    thunks.slotOf(number).misplaced_calls = 0;
    isolate.words.misplaced_calls = 0;
    isolate.words.attention = 0;
    isolate.stack = .{ .low = 4096, .top = 8192 };
    isolate.stack_floor = 4096;
    isolate.stack_limit = 4096;
    for (0..2) |_| try std.testing.expectEqual(@as(u64, 9), function());
    try std.testing.expectEqual(@as(u32, 2), thunks.slotOf(number).misplaced_calls);
    try std.testing.expectEqual(@as(u32, 2), isolate.words.misplaced_calls);
    try std.testing.expectEqual(@as(u32, abi.attention_notice), isolate.words.attention);
    try std.testing.expectEqual(@as(u32, 1), Probe.calls);
}

/// A thunk that answers structures, and JavaScript that does or doesn't write them.
const Structures = struct {
    const garbage = 0xaaaa_aaaa_aaaa_aaaa;
    const Doubles = extern struct { a: f64, b: f64 };
    const Integers = extern struct { a: u64, b: u64 };
    const Mixed = extern struct { a: u64, b: f64 };
    const Floats = extern struct { a: f32, b: f32, c: f32, d: f32 };
    const Word = extern struct { a: f32, b: u32 };
    const FourDoubles = extern struct { a: f64, b: f64, c: f64, d: f64 };
    const Many = extern struct { words: [5]u64 };

    /// What the result registers have to hold; null where the structure is in memory.
    const Registers = struct {
        sysv: ?[abi.result_words]u64 = null,
        aapcs: ?[abi.result_words]u64 = null,
        windows: ?[abi.result_words]u64 = null,

        fn here(placed: Registers) ?[abi.result_words]u64 {
            if (builtin.cpu.arch == .aarch64) return placed.aapcs;
            return if (builtin.os.tag == .windows) placed.windows else placed.sysv;
        }
    };

    var words: *abi.Words = undefined;
    var registers: ?[abi.result_words]u64 = null;
    var bytes: []const u8 = undefined;
    var written: u64 = undefined;
    var argument: u64 = undefined;
    var calls: u32 = 0;

    fn trampoline() callconv(.c) void {
        calls += 1;
        std.testing.expectEqual(@as(u64, 0), words.result) catch unreachable;
        const passes_address = registers == null and builtin.cpu.arch == .x86_64;
        argument = words.arguments[@intFromBool(passes_address)];
        if (registers) |values| {
            words.results = values;
        } else {
            const memory: [*]u8 = @ptrFromInt(@as(usize, @intCast(words.results[0])));
            @memcpy(memory[0..bytes.len], bytes);
        }
        words.result = written;
    }

    /// Calls with the registers as they are, and expects that every one of the results, or all of the memory, is zero.
    fn expectZeroes(number: u32) !void {
        var memory: [64]u8 = @splat(0xff);
        var frame: abi.Frame = .{
            .arguments = @splat(garbage),
            .function = thunks.address(number),
            .stack_words = 0,
            .indirect_result = @intFromPtr(&memory),
            .integer_results = @splat(0),
            .float_results = @splat(0),
        };
        if (registers == null) frame.arguments[0] = @intFromPtr(&memory);
        caller.make(&frame);
        const length = if (registers == null) bytes.len else 0;
        try std.testing.expect(std.mem.allEqual(u8, memory[0..length], 0));
        try std.testing.expect(std.mem.allEqual(u8, memory[length..], 0xff));
        if (registers == null) {
            if (builtin.cpu.arch == .x86_64) try std.testing.expectEqual(@intFromPtr(&memory), frame.integer_results[0]);
            return;
        }
        try std.testing.expectEqual([2]u64{ 0, 0 }, frame.integer_results);
        try std.testing.expectEqual([4]u64{ 0, 0, 0, 0 }, frame.float_results);
    }

    fn expectZeroesElsewhere(number: u32) !void {
        const Other = struct {
            var outcome: anyerror!void = {};
            fn run(thunk_number: u32) void {
                outcome = expectZeroes(thunk_number);
            }
        };
        const thread = try std.Thread.spawn(.{}, Other.run, .{number});
        thread.join();
        try Other.outcome;
    }

    fn expect(comptime Structure: type, value: Structure, placed: Registers) !void {
        const isolate = lifecycle.attach(std.testing.allocator, false, support.stack_byte_length).?;
        defer support.dismiss(isolate);
        isolate.words.trampoline = trampoline;
        words = &isolate.words;
        registers = placed.here();
        bytes = std.mem.asBytes(&value);
        calls = 0;
        const number = thunks.claim(isolate, "structure").?;
        const slot = thunks.slotOf(number);
        const kind: abi.Result = if (registers == null) .memory else .registers;
        slot.layout = @as(u32, @intFromEnum(kind)) << 24 | 2 << 8;
        slot.fallback = if (registers == null) @sizeOf(Structure) else 0;
        written = 1;
        isolate.words.result = 3;
        const function = support.functionOf(number, fn (u64) callconv(.c) Structure);
        try std.testing.expectEqual(value, function(7));
        try std.testing.expectEqual(@as(u64, 7), argument);
        try std.testing.expectEqual(@as(u64, 3), isolate.words.result);

        // Half of it was there when the function threw.
        written = 0;
        try expectZeroes(number);
        try std.testing.expectEqual(@as(u32, 2), calls);
        written = 1;
        isolate.words.trampoline = null;
        try expectZeroes(number);
        isolate.words.trampoline = trampoline;
        const stack = isolate.stack;
        isolate.stack = .{ .low = 4096, .top = 8192 };
        try expectZeroes(number);
        isolate.stack = stack;
        try expectZeroesElsewhere(number);
        lifecycle.leaveThread();
        try expectZeroes(number);
        try std.testing.expectEqual(@as(u32, 3), isolate.words.misplaced_calls);

        // C calls what another isolate has by now, which hasn't put a function behind it.
        const next = lifecycle.attach(std.testing.allocator, false, support.stack_byte_length).?;
        defer std.testing.allocator.destroy(next);
        thunks.reuse(slot, next);
        try expectZeroes(number);
        try expectZeroesElsewhere(number);
        try std.testing.expectEqual(@as(u32, 2), calls);
    }

    fn bitsOf(value: anytype) u64 {
        return if (@TypeOf(value) == f32) @as(u32, @bitCast(value)) else @bitCast(value);
    }
};

test "a structure goes back in registers or in memory; where the function writes none, it is zeroes" {
    const garbage = Structures.garbage;
    const bitsOf = Structures.bitsOf;
    const a: f64 = 1.5;
    const b: f64 = -2.5;
    const integer: u64 = 0x1234_5678_9abc_def0;
    const single: [4]f32 = .{ 0.5, -1.5, 2.5, -3.5 };
    const halves: [2]u64 = @bitCast(single);

    const in_floats: [abi.result_words]u64 = .{ garbage, garbage, bitsOf(a), bitsOf(b), garbage, garbage };
    try Structures.expect(Structures.Doubles, .{ .a = a, .b = b }, .{ .sysv = in_floats, .aapcs = in_floats });
    const in_integers: [abi.result_words]u64 = .{ integer, 9, garbage, garbage, garbage, garbage };
    try Structures.expect(Structures.Integers, .{ .a = integer, .b = 9 }, .{ .sysv = in_integers, .aapcs = in_integers });
    try Structures.expect(Structures.Mixed, .{ .a = integer, .b = a }, .{
        .sysv = .{ integer, garbage, bitsOf(a), garbage, garbage, garbage },
        .aapcs = .{ integer, bitsOf(a), garbage, garbage, garbage, garbage },
    });
    try Structures.expect(Structures.Floats, .{ .a = single[0], .b = single[1], .c = single[2], .d = single[3] }, .{
        .sysv = .{ garbage, garbage, halves[0], halves[1], garbage, garbage },
        .aapcs = .{ garbage, garbage, bitsOf(single[0]), bitsOf(single[1]), bitsOf(single[2]), bitsOf(single[3]) },
    });
    const in_one: [abi.result_words]u64 = .{ bitsOf(single[0]) | 11 << 32, garbage, garbage, garbage, garbage, garbage };
    try Structures.expect(Structures.Word, .{ .a = single[0], .b = 11 }, .{ .sysv = in_one, .aapcs = in_one, .windows = in_one });
    try Structures.expect(Structures.FourDoubles, .{ .a = a, .b = b, .c = 2 * a, .d = 2 * b }, .{
        .aapcs = .{ garbage, garbage, bitsOf(a), bitsOf(b), bitsOf(2 * a), bitsOf(2 * b) },
    });
    try Structures.expect(Structures.Many, .{ .words = .{ 1, 2, 3, 4, 5 } }, .{});
}

test "the results of a structure's callback do not replace those of a scalar's around it" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const outer = thunks.claim(isolate, "a").?;
    const inner = thunks.claim(isolate, "structure").?;
    const in_memory = builtin.os.tag == .windows;
    const kind: abi.Result = if (in_memory) .memory else .registers;
    thunks.slotOf(inner).layout = @as(u32, @intFromEnum(kind)) << 24;
    thunks.slotOf(inner).fallback = if (in_memory) @sizeOf(Structures.Integers) else 0;
    const World = struct {
        var inside = false;
        var answered: Structures.Integers = undefined;
        var function: *const fn () callconv(.c) Structures.Integers = undefined;

        fn run() callconv(.c) void {
            const words = Probe.words;
            if (!inside) {
                inside = true;
                words.result = @bitCast(@as(f64, 2.5));
                answered = function();
                return;
            }
            const target: *[2]u64 = if (in_memory) @ptrFromInt(@as(usize, @intCast(words.results[0]))) else words.results[0..2];
            target.* = .{ 8, 9 };
            words.result = 1;
        }
    };
    World.function = support.functionOf(inner, fn () callconv(.c) Structures.Integers);
    isolate.words.trampoline = World.run;
    try std.testing.expectEqual(@as(f64, 2.5), support.functionOf(outer, fn () callconv(.c) f64)());
    try std.testing.expectEqual(Structures.Integers{ .a = 8, .b = 9 }, World.answered);
}

test "in a forked child thunks answer their fallbacks, also on the isolate's own thread, and no lock is waited for" {
    // Without fork; or with a sanitizer, which may wait for threads of its own.
    if (builtin.os.tag == .windows or builtin.sanitize_thread) return error.SkipZigTest;
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "a").?;
    thunks.slotOf(number).fallback = 9;
    const function = support.functionOf(number, fn (u64) callconv(.c) u64);
    // As another thread might have them just then.
    thunks.lock.acquire();
    isolate.queued.mutex.acquire();
    isolate.waker.mutex.acquire();
    const child = std.c.fork();
    if (child == 0) {
        const answer = function(1);
        tags.release(@ptrFromInt(@as(usize, isolate.words.tag) << 23));
        lifecycle.leaveThread();
        queues.end(isolate);
        _ = thunks.claim(isolate, "a");
        std.c._exit(if (answer == 9 and Probe.calls == 0 and isolate.words.stale_releases == 0) 7 else 8);
    }
    thunks.lock.release();
    isolate.queued.mutex.release();
    isolate.waker.mutex.release();
    var status: c_int = 0;
    const end = futex.now() + 20 * std.time.ns_per_s;
    while (std.c.waitpid(child, &status, std.c.W.NOHANG) == 0) {
        if (futex.now() > end) _ = std.c.kill(child, .KILL);
        std.Thread.yield() catch {};
    }
    try std.testing.expectEqual(7 << 8, status);
    try std.testing.expectEqual(@as(u64, 77), function(1));
}

test "isolates of eight threads claim and call at once, and refuse each other's thunks" {
    const World = struct {
        const member_count = 8;
        const call_count = 2000;
        threadlocal var words: *abi.Words = undefined;
        var members: [member_count]?*Isolate = @splat(null);
        var thunks_of: [member_count]std.atomic.Value(u32) = @splat(.init(0));
        var wrong: std.atomic.Value(u32) = .init(0);

        fn trampoline() callconv(.c) void {
            words.result = words.callback + words.arguments[0];
        }

        fn run(member: usize) void {
            const isolate = lifecycle.attach(std.testing.allocator, false, support.stack_byte_length) orelse return;
            members[member] = isolate;
            words = &isolate.words;
            isolate.words.trampoline = trampoline;
            for (0..4) |_| {
                const first = thunks.claim(isolate, if (member % 2 == 0) "even" else "odd") orelse return;
                for (first..first + thunks.chunk_length) |number| {
                    thunks.slotOf(@intCast(number)).index = @intCast(number);
                    thunks.slotOf(@intCast(number)).layout = 1 << 8;
                    thunks.slotOf(@intCast(number)).fallback = 1 << 40;
                }
                thunks_of[member].store(first + 1, .release);
                for (0..call_count) |i| {
                    const number = first + @as(u32, @intCast(i % thunks.chunk_length));
                    const own = support.functionOf(number, fn (u64) callconv(.c) u64)(i);
                    if (own != number + i) _ = wrong.fetchAdd(1, .monotonic);
                    const theirs = thunks_of[(member + 1) % member_count].load(.acquire);
                    if (theirs == 0) continue;
                    const answer = support.functionOf(theirs - 1, fn (u64) callconv(.c) u64)(i);
                    if (answer != 1 << 40) _ = wrong.fetchAdd(1, .monotonic);
                }
            }
        }
    };
    var threads: [World.member_count]std.Thread = undefined;
    for (&threads, 0..) |*thread, member| thread.* = try std.Thread.spawn(.{}, World.run, .{member});
    for (threads) |thread| thread.join();
    defer for (World.members) |member| support.dismiss(member.?);
    try std.testing.expectEqual(@as(u32, 0), World.wrong.load(.acquire));
    try std.testing.expectEqual(@as(usize, 4 * World.member_count), thunks.chunks.items.len);
    for (World.members) |member| try std.testing.expect(!member.?.words.isLive());
}
