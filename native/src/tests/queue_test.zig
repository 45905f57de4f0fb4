//! The ring by itself: order, space, and threads.

const std = @import("std");
const queues = @import("../queue.zig");
const Queue = queues.Queue;
const Record = queues.Record;
const testing = std.testing;

/// In the tests the header says it.
fn saidLength(header: u64) u32 {
    return @intCast(header >> 56);
}

fn fill(queue: *Queue, record: Record, value: u64) void {
    for (1..record.length) |i| queue.word(record, i).* = value;
    queue.commit(record, @as(u64, record.length) << 56 | value);
}

fn push(queue: *Queue, length: u32, value: u64) bool {
    fill(queue, queue.reserve(length) orelse return false, value);
    return true;
}

fn pop(queue: *Queue) ?u64 {
    if (!queue.beginTaking()) return null;
    defer queue.endTaking();
    const record = queue.take(saidLength) orelse return null;
    const value = queue.word(record, 0).* << 8 >> 8;
    for (1..record.length) |i| {
        if (queue.word(record, i).* != value) return std.math.maxInt(u64);
    }
    queue.release(record);
    return value;
}

test "records come out as they went in, whatever their lengths, and no more go in than the limit says" {
    const queue = Queue.create(testing.allocator, 5, .block).?;
    defer queue.destroy(testing.allocator);
    try testing.expectEqual(@as(usize, 8), queue.words.len);
    try testing.expectEqual(@as(?u64, null), pop(queue));
    for (0..100) |round| {
        try testing.expect(push(queue, 2, round));
        try testing.expect(push(queue, 3, round + 1));
        try testing.expect(!push(queue, 1, round));
        try testing.expectEqual(@as(?u64, round), pop(queue));
        try testing.expect(!push(queue, 3, round));
        try testing.expect(push(queue, 1, round + 2));
        try testing.expectEqual(@as(?u64, round + 1), pop(queue));
        try testing.expectEqual(@as(?u64, round + 2), pop(queue));
        try testing.expectEqual(@as(?u64, null), pop(queue));
    }
}

test "a queue that is as full as can be gives each record once" {
    const queue = Queue.create(testing.allocator, 8, .block).?;
    defer queue.destroy(testing.allocator);
    for (0..20) |round| {
        for (0..4) |i| try testing.expect(push(queue, 2, 4 * round + i));
        try testing.expect(!push(queue, 2, 0));
        var record = queue.oldest(saidLength);
        var count: usize = 0;
        while (record) |one| : (record = queue.following(one, saidLength)) count += 1;
        try testing.expectEqual(@as(usize, 4), count);
        for (0..4) |i| try testing.expectEqual(@as(?u64, 4 * round + i), pop(queue));
        try testing.expectEqual(@as(?u64, null), pop(queue));
    }
}

test "a reserved record that is not committed holds back those after it" {
    const queue = Queue.create(testing.allocator, 4, .block).?;
    defer queue.destroy(testing.allocator);
    const first = queue.reserve(1).?;
    try testing.expect(push(queue, 1, 2));
    try testing.expectEqual(@as(?u64, null), pop(queue));
    fill(queue, first, 1);
    try testing.expectEqual(@as(?u64, 1), pop(queue));
    try testing.expectEqual(@as(?u64, 2), pop(queue));
}

test "four threads push, one takes: none is lost, and each thread's come in order" {
    const Producer = struct {
        const count = 50_000;
        fn notCancelled(_: void) bool {
            return false;
        }
        fn run(queue: *Queue, id: u64) void {
            for (0..count) |i| {
                const record = queue.reserveUntil(@intCast(1 + (i + id) % 3), std.math.maxInt(u64), {}, notCancelled).?;
                fill(queue, record, id << 32 | i);
            }
        }
    };
    const queue = Queue.create(testing.allocator, 48, .block).?;
    defer queue.destroy(testing.allocator);
    var threads: [4]std.Thread = undefined;
    for (&threads, 0..) |*thread, id| thread.* = try std.Thread.spawn(.{}, Producer.run, .{ queue, id });
    var next: [4]u64 = @splat(0);
    var taken: usize = 0;
    while (taken < 4 * Producer.count) {
        const value = pop(queue) orelse {
            queue.emptied();
            continue;
        };
        const id: usize = @intCast(value >> 32);
        try testing.expectEqual(next[id], value & 0xffffffff);
        next[id] += 1;
        taken += 1;
    }
    for (threads) |thread| thread.join();
}

test "three threads push and drop the oldest: what comes out is in order, and all is accounted for" {
    const Producer = struct {
        const count = 30_000;
        var dropped: std.atomic.Value(u64) = .init(0);
        fn run(queue: *Queue, id: u64) void {
            for (0..count) |i| {
                while (!push(queue, 1, id << 32 | i)) {
                    if (pop(queue) != null) _ = dropped.fetchAdd(1, .monotonic);
                }
            }
        }
    };
    const queue = Queue.create(testing.allocator, 16, .drop_oldest).?;
    defer queue.destroy(testing.allocator);
    var threads: [3]std.Thread = undefined;
    for (&threads, 0..) |*thread, id| thread.* = try std.Thread.spawn(.{}, Producer.run, .{ queue, id });
    var next: [3]u64 = @splat(0);
    var taken: u64 = 0;
    var joined = false;
    while (true) {
        const value = pop(queue) orelse {
            if (joined) break;
            if (taken + Producer.dropped.load(.monotonic) + 16 >= 3 * Producer.count) {
                for (threads) |thread| thread.join();
                joined = true;
            }
            continue;
        };
        const id: usize = @intCast(value >> 32);
        try testing.expect((value & 0xffffffff) >= next[id]);
        next[id] = (value & 0xffffffff) + 1;
        taken += 1;
    }
    try testing.expectEqual(@as(u64, 3 * Producer.count), taken + Producer.dropped.load(.monotonic));
}
