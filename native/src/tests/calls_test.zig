//! Calls that the core makes, on the isolate's thread and on call threads.

const std = @import("std");
const abi = @import("../abi.zig");
const blocks = @import("../calls/blocks.zig");
const call_threads = @import("../calls/call_threads.zig");
const caller = @import("../calls/caller.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const lifecycle = @import("../lifecycle.zig");
const support = @import("support.zig");
const Isolate = isolates.Isolate;
const default_threads = abi.default_call_threads;

const Test = struct {
    const gpa = std.testing.allocator;

    fn attach() *Isolate {
        const isolate = lifecycle.attach(gpa, false, support.stack_byte_length).?;
        _ = blocks.of(isolate).?;
        return isolate;
    }

    /// The last isolate's calls have ended, and their threads.
    fn dismiss(isolate: *Isolate) !void {
        lifecycle.leaveThread();
        while (isolate.calls.holders.load(.acquire) != 0) rest();
        while (call_threads.threadCount() != 0) rest();
        try std.testing.expect(call_threads.isIdle());
        gpa.destroy(isolate);
    }

    fn rest() void {
        var never: futex.Word = .init(0);
        futex.wait(&never, 0, std.time.ns_per_ms);
    }

    fn write(isolate: *Isolate, index: u32, function: *const anyopaque, argument: u64) void {
        const frame = &isolate.calls.blocks.raw.?[index].frame;
        frame.function = function;
        frame.stack_words = 0;
        frame.arguments[0] = argument;
    }

    fn start(isolate: *Isolate, index: u32, function: *const anyopaque, argument: u64) !void {
        write(isolate, index, function, argument);
        try std.testing.expect(call_threads.submit(isolate, index));
    }

    /// Takes completed calls as JavaScript does, until so many are.
    fn await_(isolate: *Isolate, count: u32) void {
        var done: u32 = 0;
        while (done < count) {
            var next = @atomicRmw(u32, &isolate.words.completed, .Xchg, 0, .seq_cst);
            if (next == 0) rest();
            while (next != 0) : (done += 1) next = isolate.calls.blocks.raw.?[next - 1].completed_next;
        }
    }

    fn double(value: u64) callconv(.c) u64 {
        return 2 * value;
    }

    /// Answers the error that it found, and leaves another one.
    fn fail(code: u64) callconv(.c) u64 {
        const found = caller.lastError();
        caller.setLastError(@intCast(code));
        return found;
    }

    /// What happens before it is known that no thread can be started.
    var before_refusal: ?*const fn () void = null;

    fn refuse() bool {
        const before = before_refusal orelse return false;
        before_refusal = null;
        before();
        return false;
    }

    var nesting: *Isolate = undefined;
    /// Has the block below make a call that fails, too, before it fails itself.
    fn nest(depth: u64) callconv(.c) u64 {
        if (depth > 0) blocks.make(nesting, @intCast(depth - 1));
        return fail(100 + depth);
    }

    var arrived: futex.Word = .init(0);
    fn meet(wanted: u64) callconv(.c) u64 {
        _ = arrived.fetchAdd(1, .acq_rel);
        futex.wakeAll(&arrived);
        var seen = arrived.load(.acquire);
        while (seen < wanted) : (seen = arrived.load(.acquire)) futex.wait(&arrived, seen, std.time.ns_per_s);
        return isolates.current_call;
    }

    var most: u32 = 0;
    var inside: u32 = 0;
    fn dwell(_: u64) callconv(.c) u64 {
        const now_inside = @atomicRmw(u32, &inside, .Add, 1, .monotonic) + 1;
        _ = @atomicRmw(u32, &most, .Max, now_inside, .monotonic);
        for (0..3) |_| rest();
        _ = @atomicRmw(u32, &inside, .Sub, 1, .monotonic);
        return 0;
    }
};

test "calls are made on other threads, every one once, and the threads end when they are idle" {
    const isolate = Test.attach();
    for (0..20) |round| {
        for (0..1000) |index| try Test.start(isolate, @intCast(index), &Test.double, index + round);
        Test.await_(isolate, 1000);
        for (0..1000) |index| {
            const call = &isolate.calls.blocks.raw.?[index];
            try std.testing.expectEqual(2 * (index + round), call.frame.integer_results[0]);
        }
    }
    try std.testing.expect(call_threads.threadCount() >= 1 and call_threads.threadCount() <= default_threads);
    try Test.dismiss(isolate);
}

test "a call on this thread answers, and the error that it sets is captured where that is asked for" {
    const isolate = Test.attach();
    const call = &isolate.calls.blocks.raw.?[3];
    Test.write(isolate, 3, &Test.double, 21);
    blocks.make(isolate, 3);
    try std.testing.expectEqual(@as(u64, 42), call.frame.integer_results[0]);

    Test.write(isolate, 3, &Test.fail, 12);
    call.capture_error = 1;
    caller.setLastError(7);
    blocks.make(isolate, 3);
    try std.testing.expectEqual(@as(u32, 12), call.@"error");
    try std.testing.expectEqual(@as(u64, 0), call.frame.integer_results[0]);

    call.capture_error = 0;
    call.frame.arguments[0] = 13;
    caller.setLastError(7);
    blocks.make(isolate, 3);
    const left = caller.lastError();
    try std.testing.expectEqual(@as(u32, 13), left);
    try std.testing.expectEqual(@as(u64, 7), call.frame.integer_results[0]);
    try std.testing.expectEqual(@as(u32, 12), call.@"error");
    try Test.dismiss(isolate);
}

test "a call on this thread may make others before it ends, and each has its own error" {
    const isolate = Test.attach();
    Test.nesting = isolate;
    const calls = isolate.calls.blocks.raw.?[0..4];
    for (calls, 0..) |*call, depth| {
        Test.write(isolate, @intCast(depth), &Test.nest, depth);
        call.capture_error = 1;
    }
    blocks.make(isolate, 3);
    for (calls, 0..) |*call, depth| {
        try std.testing.expectEqual(@as(u32, @intCast(100 + depth)), call.@"error");
        // What the call inside has left.
        const found: u64 = if (depth == 0) 0 else 99 + depth;
        try std.testing.expectEqual(found, call.frame.integer_results[0]);
    }
    try Test.dismiss(isolate);
}

test "a call on a call thread captures the error of that thread" {
    const isolate = Test.attach();
    const calls = isolate.calls.blocks.raw.?[0..100];
    for (calls, 1..) |*call, code| {
        call.capture_error = @intCast(code % 2);
        try Test.start(isolate, @intCast(code - 1), &Test.fail, code);
    }
    Test.await_(isolate, calls.len);
    for (calls, 1..) |*call, code| {
        const captured = code % 2 == 1;
        try std.testing.expectEqual(@as(u32, if (captured) @intCast(code) else 0), call.@"error");
        if (captured) try std.testing.expectEqual(@as(u64, 0), call.frame.integer_results[0]);
    }
    try Test.dismiss(isolate);
}

test "JavaScript that polls finds what completes, and stops after a while where nothing does" {
    const isolate = Test.attach();
    @atomicStore(u32, &isolate.words.polls, 1, .seq_cst);
    try std.testing.expect(!call_threads.poll(isolate));
    try std.testing.expectEqual(@as(u32, 0), @atomicLoad(u32, &isolate.words.polls, .monotonic));
    @atomicStore(u32, &isolate.words.polls, 1, .seq_cst);
    try Test.start(isolate, 5, &Test.double, 21);
    while (@atomicLoad(u32, &isolate.words.completed, .acquire) == 0) _ = call_threads.poll(isolate);
    Test.await_(isolate, 1);
    try std.testing.expectEqual(@as(u64, 42), isolate.calls.blocks.raw.?[5].frame.integer_results[0]);
    try Test.dismiss(isolate);
}

test "calls that wait for one another find a thread each, and have their own call token" {
    const isolate = Test.attach();
    Test.arrived.store(0, .monotonic);
    for (0..30) |index| try Test.start(isolate, @intCast(index), &Test.meet, 30);
    Test.await_(isolate, 30);
    for (0..30) |index| {
        try std.testing.expectEqual(index + 1, isolate.calls.blocks.raw.?[index].frame.integer_results[0]);
    }
    try Test.dismiss(isolate);
}

test "there are no more threads than may be" {
    const isolate = Test.attach();
    call_threads.setLimit(3);
    defer call_threads.setLimit(default_threads);
    Test.most = 0;
    for (0..12) |index| try Test.start(isolate, @intCast(index), &Test.dwell, 0);
    Test.await_(isolate, 12);
    try std.testing.expectEqual(@as(u32, 3), Test.most);
    try std.testing.expect(call_threads.threadCount() <= 3);
    try Test.dismiss(isolate);
}

test "a lower limit holds at once, also for threads that are there and idle" {
    const isolate = Test.attach();
    defer call_threads.setLimit(default_threads);
    Test.arrived.store(0, .monotonic);
    for (0..8) |index| try Test.start(isolate, @intCast(index), &Test.meet, 8);
    Test.await_(isolate, 8);
    try std.testing.expect(call_threads.threadCount() > 2);
    call_threads.setLimit(2);
    Test.most = 0;
    for (0..12) |index| try Test.start(isolate, @intCast(index), &Test.dwell, 0);
    Test.await_(isolate, 12);
    try std.testing.expectEqual(@as(u32, 2), Test.most);
    // And a higher one, while calls wait.
    Test.arrived.store(0, .monotonic);
    for (0..4) |index| try Test.start(isolate, @intCast(index), &Test.meet, 4);
    while (Test.arrived.load(.acquire) < 2) Test.rest();
    call_threads.setLimit(4);
    Test.await_(isolate, 4);
    try Test.dismiss(isolate);
}

test "when the isolate is gone, running calls end, queued ones are not made, and the blocks go" {
    const isolate = Test.attach();
    call_threads.setLimit(1);
    defer call_threads.setLimit(default_threads);
    Test.arrived.store(0, .monotonic);
    for (0..3) |index| try Test.start(isolate, @intCast(index), &Test.meet, 2);
    while (Test.arrived.load(.acquire) == 0) Test.rest();
    lifecycle.leave(isolate);
    Test.arrived.store(2, .release);
    futex.wakeAll(&Test.arrived);
    try Test.dismiss(isolate);
    try std.testing.expectEqual(@as(u32, 2), Test.arrived.raw);
}

test "where no thread can be started, a call is refused, also one that comes while another one tries to start it" {
    const isolate = Test.attach();
    const other = lifecycle.attach(Test.gpa, true, support.stack_byte_length).?;
    _ = blocks.of(other).?;
    const World = struct {
        var second: *Isolate = undefined;
        var thread: std.Thread = undefined;
        var submitted: futex.Word = .init(waiting);
        const waiting = 2;

        /// On a thread that stands in for the other isolate's own.
        fn submitSecond() void {
            isolates.current_thread = second.thread;
            submitted.store(@intFromBool(call_threads.submit(second, 0)), .release);
        }

        fn startSecond() void {
            thread = std.Thread.spawn(.{}, submitSecond, .{}) catch unreachable;
            while (call_threads.incoming.load(.acquire) == null) Test.rest();
            // Now it looks whether a thread searches.
            for (0..20) |_| Test.rest();
        }
    };
    World.second = other;
    call_threads.before_start = Test.refuse;
    defer call_threads.before_start = null;
    Test.before_refusal = World.startSecond;
    Test.write(isolate, 0, &Test.double, 1);
    Test.write(other, 0, &Test.double, 2);
    try std.testing.expect(!call_threads.submit(isolate, 0));
    World.thread.join();
    try std.testing.expectEqual(@as(u32, 0), World.submitted.raw);
    try std.testing.expect(call_threads.isIdle());

    call_threads.before_start = null;
    try Test.start(isolate, 0, &Test.double, 21);
    Test.await_(isolate, 1);
    try Test.dismiss(isolate);
    while (other.calls.holders.load(.acquire) != 0) Test.rest();
    Test.gpa.destroy(other);
}
