//! Callbacks of other threads, end to end: real thunks and threads, with a runtime that is the tests' own.
//! The file is long because all of its tests share that runtime and its crews of threads.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const queues = @import("../queued/queues.zig");
const serve = @import("../queued/serve.zig");
const runtimes = @import("runtime.zig");
const thunks = @import("../thunks/pool.zig");
const waker = @import("../waking/waker.zig");
const Bridge = runtimes.Bridge;
const Flag = runtimes.Flag;
const Isolate = isolates.Isolate;
const Queue = @import("../queue.zig").Queue;
const Runtime = runtimes.Runtime;

/// Checks that each thread's calls come in the order in which it made them: thread and number are the arguments.
const Order = struct {
    next: [4]u64 = @splat(0),
    /// Calls may be missing.
    gaps: bool = false,
    wrong: u32 = 0,

    fn handle(runtime: *Runtime, words: *abi.Words) void {
        const order: *Order = @ptrCast(@alignCast(runtime.context.?));
        const next = &order.next[@intCast(words.arguments[0])];
        const number = words.arguments[1];
        if (number < next.* or (number != next.* and !order.gaps)) order.wrong += 1;
        next.* = number + 1;
    }
};

const Poster = struct {
    fn run(bridge: Bridge, id: u64, count: u64) void {
        for (0..count) |i| _ = bridge.call(id, i);
    }
};

fn ignore(_: *Runtime, _: *abi.Words) void {}

test "post: four threads, a queue that is often full, an event loop that only wakes start: none is lost, all in order" {
    const count = 20_000;
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{});
    var poster: [4]std.Thread = undefined;
    for (&poster, 0..) |*thread, id| thread.* = try std.Thread.spawn(.{}, Poster.run, .{ bridge, id, count });
    runtime.turnUntil(4 * count);
    for (poster) |thread| thread.join();
    try std.testing.expectEqual(@as(u32, 0), order.wrong);
    try std.testing.expectEqual([4]u64{ count, count, count, count }, order.next);
    try std.testing.expectEqual(@as(u32, 0), runtime.isolate.words.dropped);
    try std.testing.expectEqual(@as(u32, 0), runtime.isolate.words.misplaced_calls);
}

test "post: a callback of the runtime's wakes in place of the thread-safe function, which is called where it is deaf" {
    const Wake = struct {
        var target: *Runtime = undefined;
        var wakes: std.atomic.Value(u32) = .init(0);
        var deaf: std.atomic.Value(bool) = .init(false);
        fn wake() callconv(.c) void {
            _ = wakes.fetchAdd(1, .monotonic);
            if (deaf.load(.monotonic)) return;
            target.signal.store(1, .release);
            futex.wakeAll(&target.signal);
        }
    };
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order, .callback = @intFromPtr(&Wake.wake) };
    Wake.target = &runtime;
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{});
    for (0..3) |i| {
        _ = bridge.call(0, i);
        runtime.turnUntil(i + 1);
    }
    try std.testing.expectEqual(@as(u32, 3), Wake.wakes.load(.monotonic));
    Wake.deaf.store(true, .monotonic);
    const repeated = runtime.signals.load(.monotonic);
    _ = bridge.call(0, 3);
    runtime.turnUntil(4);
    try std.testing.expect(runtime.signals.load(.monotonic) > repeated);
    try std.testing.expectEqual(@as(u32, 0), order.wrong);
    runtime.end();
    const wakes = Wake.wakes.load(.monotonic);
    _ = bridge.call(0, 4);
    try std.testing.expectEqual(wakes, Wake.wakes.load(.monotonic));
}

test "post: callbacks with different arguments share a queue, a thread's calls come in order across them" {
    const Both = struct {
        fn run(bridges: [2]Bridge, id: u64) void {
            for (0..5000) |i| _ = bridges[i % 2].call(id, i);
        }
    };
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const first: Bridge = .open(&runtime, .{});
    const second: Bridge = .open(&runtime, .{ .integers = 4, .queue = first.queue });
    var threads: [2]std.Thread = undefined;
    for (&threads, 0..) |*thread, id| thread.* = try std.Thread.spawn(.{}, Both.run, .{ [_]Bridge{ first, second }, id });
    runtime.turnUntil(10_000);
    for (threads) |thread| thread.join();
    try std.testing.expectEqual(@as(u32, 0), order.wrong);
}

test "post: on the isolate's own thread a call is queued, and dropped when the queue is full" {
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{ .capacity = 3 });
    for (0..5) |i| try std.testing.expectEqual(Bridge.fallback, bridge.call(0, i));
    try std.testing.expectEqual(@as(u64, 0), runtime.handled);
    runtime.turn();
    try std.testing.expectEqual(@as(u64, 3), runtime.handled);
    try std.testing.expectEqual(@as(u32, 2), bridge.slotOf().dropped);
    try std.testing.expectEqual(@as(u32, 2), runtime.isolate.words.dropped);
    try std.testing.expectEqual(@as(u32, abi.attention_notice), runtime.isolate.words.attention);
}

test "post: a thread that finds no space for its time drops its call" {
    var runtime: Runtime = .{ .handle = ignore };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{ .capacity = 2, .timeout_ms = 10 });
    const thread = try std.Thread.spawn(.{}, Poster.run, .{ bridge, 0, 3 });
    thread.join();
    runtime.turn();
    try std.testing.expectEqual(@as(u64, 2), runtime.handled);
    try std.testing.expectEqual(@as(u32, 1), bridge.slotOf().dropped);
}

test "post: JavaScript that stops after each call and wakes itself for the rest gets all" {
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{ .capacity = 8 });
    const thread = try std.Thread.spawn(.{}, Poster.run, .{ bridge, 0, 3000 });
    while (runtime.handled < 3000) {
        while (runtime.signal.swap(0, .acquire) == 0) futex.wait(&runtime.signal, 0, std.time.ns_per_s);
        _ = waker.looking(runtime.isolate, false);
        if (!serve.next(runtime.isolate, .take)) continue;
        runtime.handle(&runtime, &runtime.isolate.words);
        runtime.handled += 1;
        _ = serve.next(runtime.isolate, .finish);
        waker.wake(runtime.isolate);
    }
    thread.join();
    try std.testing.expectEqual(@as(u32, 0), order.wrong);
}

test "post: a queue that never gets empty doesn't keep others waiting for more than a turn each" {
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    var bridges: [3]Bridge = undefined;
    for (&bridges) |*bridge| bridge.* = .open(&runtime, .{});
    for (bridges, 0..) |bridge, id| {
        for (0..10) |i| _ = bridge.call(id, i);
    }
    for (0..6) |_| {
        try std.testing.expect(serve.next(runtime.isolate, .take));
        runtime.handle(&runtime, &runtime.isolate.words);
        _ = serve.next(runtime.isolate, .finish);
    }
    try std.testing.expectEqual([4]u64{ 2, 2, 2, 0 }, order.next);
    runtime.turn();
    try std.testing.expectEqual([4]u64{ 10, 10, 10, 0 }, order.next);
    try std.testing.expectEqual(@as(u32, 0), order.wrong);
}

test "wait: each of four threads gets its own answers" {
    const Asker = struct {
        const count = 2000;
        var wrong: std.atomic.Value(u32) = .init(0);
        fn run(bridge: Bridge, id: u64) void {
            for (0..count) |i| {
                if (bridge.call(id, i) != (id << 32) + i) _ = wrong.fetchAdd(1, .monotonic);
            }
        }
        fn handle(_: *Runtime, words: *abi.Words) void {
            words.result = (words.arguments[0] << 32) + words.arguments[1];
        }
    };
    var runtime: Runtime = .{ .handle = Asker.handle };
    try runtime.start();
    defer runtime.stop();
    // Smaller than the number of threads: they also wait for space.
    const bridge: Bridge = .open(&runtime, .{ .contract = abi.contract_wait, .capacity = 3 });
    var threads: [4]std.Thread = undefined;
    for (&threads, 0..) |*thread, id| thread.* = try std.Thread.spawn(.{}, Asker.run, .{ bridge, id });
    runtime.turnUntil(4 * Asker.count);
    for (threads) |thread| thread.join();
    try std.testing.expectEqual(@as(u32, 0), Asker.wrong.load(.monotonic));
    try std.testing.expectEqual(@as(u32, 0), runtime.isolate.words.timeouts);
}

/// One call on a thread of its own.
const Ask = struct {
    bridge: Bridge,
    answer: u64 = 0,
    thread: std.Thread = undefined,

    fn start(ask: *Ask) !void {
        ask.thread = try std.Thread.spawn(.{}, run, .{ask});
    }
    fn run(ask: *Ask) void {
        ask.answer = ask.bridge.call(1, 2);
    }
    fn join(ask: *Ask) u64 {
        ask.thread.join();
        return ask.answer;
    }
};

test "wait: twenty integers and floats in turn arrive from another thread, in registers and on the stack" {
    const World = struct {
        const Function = fn (u64, f64, u64, f64, u64, f64, u64, f64, u64, f64, u64, f64, u64, f64, u64, f64, u64, f64, u64, f64) callconv(.c) u64;
        // What each word holds: an integer, or a float, which ends in a half here. 0 is a register that the other kind
        // has.
        const Expected = struct { integers: []const f64, floats: []const f64, stack: []const f64 };
        const expected: Expected = if (builtin.os.tag == .windows)
            .{ .integers = &.{ 1, 0, 2 }, .floats = &.{ 0, 1.5, 0, 2.5 }, .stack = &.{ 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5 } }
        else if (builtin.cpu.arch == .x86_64)
            .{ .integers = &.{ 1, 2, 3, 4, 5, 6 }, .floats = &.{ 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5 }, .stack = &.{ 7, 8, 9, 9.5, 10, 10.5 } }
        else
            .{ .integers = &.{ 1, 2, 3, 4, 5, 6, 7, 8 }, .floats = &.{ 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5 }, .stack = &.{ 9, 9.5, 10, 10.5 } };
        var wrong: u32 = 0;

        fn check(values: []const f64, words: []const u64) void {
            for (values, words[0..values.len]) |value, word| {
                const wanted: u64 = if (@floor(value) == value) @intFromFloat(value) else @bitCast(value);
                if (value != 0 and word != wanted) wrong += 1;
            }
        }

        fn handle(_: *Runtime, words: *abi.Words) void {
            check(expected.integers, words.arguments[0..8]);
            check(expected.floats, words.arguments[8..16]);
            check(expected.stack, words.arguments[abi.register_words..]);
            words.result = 77;
        }

        fn run(function: *const anyopaque, answer: *u64) void {
            const call: *const Function = @ptrCast(@alignCast(function));
            answer.* = call(1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5);
        }
    };
    var runtime: Runtime = .{ .handle = World.handle };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{
        .contract = abi.contract_wait,
        .integers = World.expected.integers.len,
        .floats = World.expected.floats.len,
        .stack = World.expected.stack.len,
    });
    var answer: u64 = 0;
    const thread = try std.Thread.spawn(.{}, World.run, .{ bridge.function, &answer });
    runtime.turnUntil(1);
    // Taking the next one answers the last one.
    _ = serve.next(runtime.isolate, .take);
    thread.join();
    try std.testing.expectEqual(@as(u64, 77), answer);
    try std.testing.expectEqual(@as(u32, 0), World.wrong);
}

test "wait: nobody looks in time" {
    var runtime: Runtime = .{ .handle = ignore };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{ .contract = abi.contract_wait, .timeout_ms = 20 });
    var unseen: Ask = .{ .bridge = bridge };
    try unseen.start();
    try std.testing.expectEqual(Bridge.fallback, unseen.join());
    runtime.turn();
    try std.testing.expectEqual(@as(u64, 0), runtime.handled);
    try std.testing.expectEqual(@as(u16, 1), bridge.slotOf().timeouts);
    try std.testing.expectEqual(@as(u16, 0), bridge.slotOf().in_vain);
    try std.testing.expectEqual(@as(u32, 1), runtime.isolate.words.timeouts);
}

test "wait: of those that wait while JavaScript is in one native call the first to give up ends the wait of all" {
    var runtime: Runtime = .{ .handle = ignore };
    try runtime.start();
    defer runtime.stop();
    const words = &runtime.isolate.words;
    const bridge: Bridge = .open(&runtime, .{ .contract = abi.contract_wait, .timeout_ms = 60_000 });
    @atomicStore(u32, &words.native_call, 0x30001, .seq_cst);
    var patient: Ask = .{ .bridge = bridge };
    try patient.start();
    untilQueued(bridge.queue);
    @atomicStore(u32, &bridge.slotOf().timeout_ms, 20, .seq_cst);
    var hasty: Ask = .{ .bridge = bridge };
    try hasty.start();
    try std.testing.expectEqual(Bridge.fallback, hasty.join());
    try std.testing.expectEqual(Bridge.fallback, patient.join());
    // Who comes later doesn't wait.
    @atomicStore(u32, &bridge.slotOf().timeout_ms, 60_000, .seq_cst);
    var late: Ask = .{ .bridge = bridge };
    try late.start();
    try std.testing.expectEqual(Bridge.fallback, late.join());
    try std.testing.expectEqual(@as(u16, 3), bridge.slotOf().in_vain);
    try std.testing.expectEqual(@as(u16, 0), bridge.slotOf().timeouts);
    try std.testing.expectEqual(@as(u32, abi.attention_notice | abi.attention_in_vain), words.attention);
    try std.testing.expectEqual(@as(u32, 0x30001), words.in_vain_call);
    // JavaScript has looked, and makes one short call after the other: none of them is to blame.
    @atomicStore(u32, &words.attention, 0, .seq_cst);
    @atomicStore(u32, &words.native_call, 0x40000, .seq_cst);
    @atomicStore(u32, &bridge.slotOf().timeout_ms, 300, .seq_cst);
    var early: Ask = .{ .bridge = bridge };
    try early.start();
    var native_call: u32 = 0x40001;
    while (@atomicLoad(u32, &words.timeouts, .acquire) < 4) : (native_call +%= 0x10000) {
        @atomicStore(u32, &words.native_call, native_call, .seq_cst);
        std.Thread.yield() catch {};
    }
    try std.testing.expectEqual(Bridge.fallback, early.join());
    try std.testing.expectEqual(@as(u16, 3), bridge.slotOf().in_vain);
    try std.testing.expectEqual(@as(u16, 1), bridge.slotOf().timeouts);
    // A call that begins soon after the wait and doesn't return is; calls inside of it change nothing.
    @atomicStore(u32, &words.native_call, 0x40000, .seq_cst);
    @atomicStore(u32, &words.in_vain_call, 0, .seq_cst);
    // Half of it is what this thread has to see that the other waits.
    @atomicStore(u32, &bridge.slotOf().timeout_ms, 1_000, .seq_cst);
    var caught: Ask = .{ .bridge = bridge };
    try caught.start();
    while (!someoneWaits(runtime.isolate) and @atomicLoad(u32, &words.timeouts, .acquire) < 5) std.Thread.yield() catch {};
    var depth: u32 = 0;
    while (@atomicLoad(u32, &words.timeouts, .acquire) < 5) : (depth +%= 1) {
        @atomicStore(u32, &words.native_call, 0x70001 + depth % 3, .seq_cst);
        std.Thread.yield() catch {};
    }
    try std.testing.expectEqual(Bridge.fallback, caught.join());
    try std.testing.expectEqual(@as(u16, 4), bridge.slotOf().in_vain);
    try std.testing.expectEqual(@as(u32, 7), words.in_vain_call >> 16);
}

fn someoneWaits(isolate: *Isolate) bool {
    const calls = &isolate.queued;
    calls.mutex.acquire();
    defer calls.mutex.release();
    return calls.waiters != null;
}

/// Waits until a condition of another thread's holds.
fn untilSleeping(queue: *Queue) void {
    while (queue.sleep.sleepers.load(.acquire) == 0) std.Thread.yield() catch {};
}
fn untilQueued(queue: *Queue) void {
    while (@atomicLoad(u64, &queue.words[0], .acquire) == 0) std.Thread.yield() catch {};
}

test "the isolate ends while threads wait for an answer and for space: all go on at once" {
    var runtime: Runtime = .{ .handle = ignore };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{ .contract = abi.contract_wait, .capacity = 1 });
    var first: Ask = .{ .bridge = bridge };
    var second: Ask = .{ .bridge = bridge };
    try first.start();
    untilQueued(bridge.queue);
    try second.start();
    untilSleeping(bridge.queue);
    const start = futex.now();
    queues.end(runtime.isolate);
    try std.testing.expectEqual(Bridge.fallback, first.join());
    try std.testing.expectEqual(Bridge.fallback, second.join());
    try std.testing.expect(futex.now() - start < 10 * std.time.ns_per_s);
    // Who waited for space was not refused by a queue that is too small.
    try std.testing.expectEqual(@as(u32, 0), runtime.isolate.words.dropped);
    try std.testing.expectEqual(@as(u32, 1), runtime.isolate.words.misplaced_calls);
    // From now on its thunks answer for themselves.
    var third: Ask = .{ .bridge = bridge };
    try third.start();
    try std.testing.expectEqual(Bridge.fallback, third.join());
    // The one that waited for space, and the one that came later.
    try std.testing.expectEqual(@as(u32, 2), runtime.isolate.words.misplaced_calls);
    _ = bridge.close();
    runtime.look();
    try std.testing.expectEqual(@as(u64, 0), runtime.handled);
}

test "the isolate ends while JavaScript makes a call that a thread waits for" {
    const Ends = struct {
        fn handle(runtime: *Runtime, words: *abi.Words) void {
            words.result = 5;
            queues.end(runtime.isolate);
        }
    };
    var runtime: Runtime = .{ .handle = Ends.handle };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{ .contract = abi.contract_wait });
    var ask: Ask = .{ .bridge = bridge };
    try ask.start();
    runtime.turnUntil(1);
    try std.testing.expectEqual(Bridge.fallback, ask.join());
}

test "environments end while threads push: nobody is left behind, and nothing calls what was released" {
    const Pusher = struct {
        fn run(post: Bridge, wait: Bridge, stop: *Flag, name: [*:0]const u8) void {
            var i: u64 = 0;
            while (!stop.isUp()) : (i += 1) {
                _ = post.call(i, @intFromPtr(name));
                if (i % 8 == 0) _ = wait.call(i, i);
            }
        }
    };
    for (0..10) |round| {
        var runtime: Runtime = .{ .handle = ignore };
        try runtime.start();
        defer runtime.stop();
        const on_full: abi.OnFull = if (round % 2 == 0) .block else .drop_oldest;
        const post: Bridge = .open(&runtime, .{ .capacity = 8, .strings = 2, .on_full = on_full });
        const wait: Bridge = .open(&runtime, .{ .contract = abi.contract_wait, .capacity = 2 });
        var stop: Flag = .{};
        var threads: [3]std.Thread = undefined;
        for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, Pusher.run, .{ post, wait, &stop, "a name" });
        runtime.turnUntil(200 * round);
        runtime.end();
        try std.testing.expect(runtime.released.load(.acquire));
        stop.raise();
        for (threads) |thread| thread.join();
        // What was queued last holds strings and threads' waits.
        _ = post.close();
        _ = wait.close();
        runtime.look();
    }
}

test "cancel: who waits gets the fallback, what is queued doesn't run, and the queue serves another callback" {
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const asked: Bridge = .open(&runtime, .{ .contract = abi.contract_wait, .capacity = 1 });
    var first: Ask = .{ .bridge = asked };
    var second: Ask = .{ .bridge = asked };
    try first.start();
    untilQueued(asked.queue);
    try second.start();
    untilSleeping(asked.queue);
    try std.testing.expectEqual(@as(u32, 1), asked.cancel());
    try std.testing.expectEqual(Bridge.fallback, first.join());
    try std.testing.expectEqual(Bridge.fallback, second.join());

    const posted: Bridge = .open(&runtime, .{ .capacity = 4 });
    for (0..4) |i| _ = posted.call(0, i);
    try std.testing.expectEqual(@as(u32, 4), posted.cancel());
    const again: Bridge = .open(&runtime, .{ .capacity = 4 });
    try std.testing.expectEqual(posted.queue, again.queue);
    // The new callback finds it empty.
    for (0..4) |i| _ = again.call(0, i);
    try std.testing.expectEqual(@as(u32, 0), again.slotOf().dropped);
    runtime.turn();
    try std.testing.expectEqual(@as(u64, 4), runtime.handled);
    try std.testing.expectEqual(@as(u32, 0), order.wrong);
}

test "drop_oldest: what comes is in order, and what doesn't is counted" {
    const count = 10_000;
    var order: Order = .{ .gaps = true };
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{ .capacity = 8, .on_full = .drop_oldest });
    var threads: [3]std.Thread = undefined;
    for (&threads, 0..) |*thread, id| thread.* = try std.Thread.spawn(.{}, Poster.run, .{ bridge, id, count });
    runtime.turnUntilAll(3 * count);
    for (threads) |thread| thread.join();
    try std.testing.expectEqual(@as(u32, 0), order.wrong);
    const dropped = @atomicLoad(u32, &bridge.slotOf().dropped, .monotonic);
    try std.testing.expectEqual(@as(u64, 3 * count), runtime.handled + dropped);
    try std.testing.expectEqual(dropped, runtime.isolate.words.dropped);
}

test "drop_newest: what comes is in order, and what doesn't is counted" {
    const count = 5000;
    var order: Order = .{ .gaps = true };
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{ .capacity = 8, .on_full = .drop_newest });
    var threads: [2]std.Thread = undefined;
    for (&threads, 0..) |*thread, id| thread.* = try std.Thread.spawn(.{}, Poster.run, .{ bridge, id, count });
    runtime.turnUntilAll(2 * count);
    for (threads) |thread| thread.join();
    try std.testing.expectEqual(@as(u32, 0), order.wrong);
}

test "strings are copied before the call returns, whatever becomes of it, and freed: handled, dropped or cancelled" {
    const Strings = struct {
        const count = 2000;
        var wrong: u32 = 0;
        fn handle(_: *Runtime, words: *abi.Words) void {
            const string: ?[*:0]const u8 = @ptrFromInt(@as(usize, @intCast(words.arguments[1])));
            var expected: [24]u8 = undefined;
            const number = words.arguments[0];
            if (number % 16 == 15) {
                wrong += @intFromBool(string != null);
            } else if (!std.mem.eql(u8, std.mem.span(string.?), write(&expected, number))) wrong += 1;
        }
        fn write(buffer: *[24]u8, number: u64) [:0]const u8 {
            return std.fmt.bufPrintZ(buffer, "string {d}", .{number}) catch unreachable;
        }
        fn run(bridge: Bridge) void {
            var buffer: [24]u8 = undefined;
            for (0..count) |i| {
                _ = bridge.call(i, if (i % 16 == 15) 0 else @intFromPtr(write(&buffer, i).ptr));
                @memset(&buffer, '!');
            }
        }
    };
    for ([_]abi.OnFull{ .block, .drop_newest, .drop_oldest }) |on_full| {
        var runtime: Runtime = .{ .handle = Strings.handle };
        try runtime.start();
        defer runtime.stop();
        const bridge: Bridge = .open(&runtime, .{ .capacity = 8, .strings = 2, .on_full = on_full });
        const thread = try std.Thread.spawn(.{}, Strings.run, .{bridge});
        runtime.turnUntilAll(Strings.count);
        thread.join();
        for (0..3) |i| _ = bridge.call(i, @intFromPtr("never seen"));
        try std.testing.expectEqual(@as(u32, 3), bridge.cancel());
        const handled = runtime.handled;
        runtime.turn();
        try std.testing.expectEqual(handled, runtime.handled);
        try std.testing.expectEqual(@as(u32, 0), Strings.wrong);
    }
}

test "wakes that the runtime loses are repeated" {
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{});
    for (0..3) |i| {
        runtime.deaf.store(2, .monotonic);
        _ = bridge.call(0, i);
        runtime.turn();
        try std.testing.expectEqual(@as(u64, i + 1), runtime.handled);
    }
    // Three for each; a repeated one may have come just when it was no longer needed, and have served the next call.
    try std.testing.expect(runtime.signals.load(.monotonic) >= 5);
}

test "nobody repeats wakes for an isolate that has ended" {
    var runtime: Runtime = .{ .handle = ignore, .deaf = .init(1000) };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{});
    _ = bridge.call(0, 0);
    queues.end(runtime.isolate);
    // One may be under way.
    var never: futex.Word = .init(0);
    futex.wait(&never, 0, 5 * std.time.ns_per_ms);
    const before = runtime.signals.load(.monotonic);
    futex.wait(&never, 0, 50 * std.time.ns_per_ms);
    try std.testing.expectEqual(before, runtime.signals.load(.monotonic));
}

test "a rest ends with a wake: what is queued meanwhile is handled then, and not before" {
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{});
    for ([_]u64{ 300, 1_000, 10_000 }, 1..) |duration_us, round| {
        const start_ns = futex.now();
        waker.rest(runtime.isolate, duration_us * std.time.ns_per_us);
        order.next[0] = 0;
        Poster.run(bridge, 0, 1);
        // As a wake does that was on its way.
        runtime.look();
        runtime.turnUntil(round);
        try std.testing.expect(futex.now() - start_ns >= duration_us * std.time.ns_per_us);
    }
}

test "a rest that is ended at once is over, and the wake at its end that was lost is repeated" {
    var order: Order = .{};
    var runtime: Runtime = .{ .handle = Order.handle, .context = &order };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{});
    waker.rest(runtime.isolate, 3600 * std.time.ns_per_s);
    try std.testing.expectEqual(@as(?u64, null), waker.looking(runtime.isolate, false));
    try std.testing.expect(waker.looking(runtime.isolate, true) != null);
    Poster.run(bridge, 0, 1);
    runtime.turnUntil(1);
    order.next[0] = 0;
    runtime.deaf.store(2, .monotonic);
    waker.rest(runtime.isolate, 100 * std.time.ns_per_us);
    Poster.run(bridge, 0, 1);
    runtime.turnUntil(2);
}

test "a burst is one wake" {
    var runtime: Runtime = .{ .handle = ignore };
    try runtime.start();
    defer runtime.stop();
    const bridge: Bridge = .open(&runtime, .{});
    for (0..10) |round| {
        for (0..50) |i| _ = bridge.call(round, i);
        // The watchdog may have repeated it: only if the system let this thread wait for so long.
        runtime.turn();
        try std.testing.expectEqual(@as(u64, 50 * (round + 1)), runtime.handled);
    }
    try std.testing.expect(runtime.signals.load(.monotonic) < 100);
}
