//! A queue of records from many threads to one, after Dmitry Vyukov's bounded queue: each cell has a sequence number that
//! says whose turn it is. No lock and no allocation; a producer never waits for another one.
//!
//! A record takes as many cells in a row as it needs. Its producer gets them all at once, by moving the head; the
//! sequence number of the first one says that the record is complete. Whoever takes it moves the tail, and gives each cell
//! the number of its next round. Producers take records, too, where the oldest is to be dropped.
//!
//! https://www.1024cores.net/home/lock-free-algorithms/queues/bounded-mpmc-queue

const std = @import("std");
const futex = @import("futex.zig");

pub const cell_words = 7;

pub const Cell = extern struct {
    sequence: std.atomic.Value(u64),
    words: [cell_words]u64,
};

pub const OnFull = enum(u32) { block = 0, drop_newest = 1, drop_oldest = 2 };

/// How many cells a record of so many words takes.
pub fn cellsFor(words: usize) u32 {
    return @intCast((words + cell_words - 1) / cell_words);
}

/// Where the cells of a record are, for those who reserved or took it.
pub const Record = struct {
    position: u64,
    cell_count: u32,
};

pub const Queue = struct {
    head: std.atomic.Value(u64) align(64) = .init(0),
    tail: std.atomic.Value(u64) align(64) = .init(0),
    cells: []Cell align(64),
    /// How many cells may be in use.
    limit: std.atomic.Value(u64),
    on_full: std.atomic.Value(u32),
    /// Changes when there is space again, or something else to look at for those who sleep on it.
    space: futex.Word = .init(0),
    sleepers: std.atomic.Value(u32) = .init(0),
    /// The next queue of the isolate. Only its own thread reads and writes these two.
    next: ?*Queue = null,
    retired: bool = false,

    /// Its memory is never given back: a thread may hold on to it for any time.
    pub fn create(allocator: std.mem.Allocator, limit: u64, on_full: OnFull) ?*Queue {
        const length = std.math.ceilPowerOfTwo(u64, limit) catch return null;
        const cells = allocator.alloc(Cell, @intCast(length)) catch return null;
        const queue = allocator.create(Queue) catch {
            allocator.free(cells);
            return null;
        };
        queue.* = .{ .cells = cells, .limit = .init(limit), .on_full = .init(@intFromEnum(on_full)) };
        for (cells, 0..) |*each, i| each.* = .{ .sequence = .init(i), .words = @splat(0) };
        return queue;
    }

    pub fn destroy(queue: *Queue, allocator: std.mem.Allocator) void {
        allocator.free(queue.cells);
        allocator.destroy(queue);
    }

    fn cell(queue: *Queue, position: u64) *Cell {
        return &queue.cells[@intCast(position & (queue.cells.len - 1))];
    }

    /// A word of a record, by its number from 0.
    pub fn word(queue: *Queue, record: Record, index: usize) *u64 {
        return &queue.cell(record.position + index / cell_words).words[index % cell_words];
    }

    /// Cells for a record that is to be filled and committed; null when there is no space.
    pub fn reserve(queue: *Queue, cell_count: u32) ?Record {
        var position = queue.head.load(.monotonic);
        while (true) {
            const used = position -% queue.tail.load(.acquire);
            // A tail that has moved past an old head makes it look huge.
            if (@as(i64, @bitCast(used)) >= 0 and used + cell_count > queue.limit.load(.monotonic)) {
                const now = queue.head.load(.monotonic);
                if (now == position) return null;
                position = now;
                continue;
            }
            switch (queue.turnOf(position, cell_count)) {
                .ours => position = queue.head.cmpxchgWeak(position, position + cell_count, .monotonic, .monotonic) orelse
                    return .{ .position = position, .cell_count = cell_count },
                .passed => position = queue.head.load(.monotonic),
                .taken => return null,
            }
        }
    }

    const Turn = enum { ours, passed, taken };

    fn turnOf(queue: *Queue, position: u64, cell_count: u32) Turn {
        for (0..cell_count) |i| {
            const difference: i64 = @bitCast(queue.cell(position + i).sequence.load(.acquire) -% (position + i));
            if (difference < 0) return .taken;
            if (difference > 0) return .passed;
        }
        return .ours;
    }

    pub fn commit(queue: *Queue, record: Record) void {
        queue.cell(record.position).sequence.store(record.position + 1, .release);
    }

    /// The oldest record, if it is complete. Until it is released its cells stay as they are.
    ///
    /// @param cellsOf How many cells a record takes, from its first word.
    pub fn take(queue: *Queue, comptime cellsOf: fn (u64) u32) ?Record {
        var position = queue.tail.load(.monotonic);
        while (true) {
            const first = queue.cell(position);
            const difference: i64 = @bitCast(first.sequence.load(.acquire) -% (position + 1));
            if (difference < 0) return null;
            if (difference > 0) {
                position = queue.tail.load(.monotonic);
                continue;
            }
            // Another thread may have taken it by now, and a third may be writing: then the exchange fails.
            const cell_count = cellsOf(@atomicLoad(u64, &first.words[0], .monotonic));
            position = queue.tail.cmpxchgWeak(position, position + cell_count, .acq_rel, .monotonic) orelse
                return .{ .position = position, .cell_count = cell_count };
        }
    }

    /// The oldest complete record, which stays where it is; for the thread that takes, where no other one does.
    pub fn oldest(queue: *Queue) ?Record {
        return queue.completeAt(queue.tail.load(.monotonic));
    }

    /// The complete record after one.
    pub fn following(queue: *Queue, record: Record, comptime cellsOf: fn (u64) u32) ?Record {
        return queue.completeAt(record.position + cellsOf(queue.word(record, 0).*));
    }

    fn completeAt(queue: *Queue, position: u64) ?Record {
        if (queue.cell(position).sequence.load(.acquire) != position + 1) return null;
        return .{ .position = position, .cell_count = 0 };
    }

    /// Gives the cells of a taken record back.
    pub fn release(queue: *Queue, record: Record) void {
        for (0..record.cell_count) |i| {
            queue.cell(record.position + i).sequence.store(record.position + i + queue.cells.len, .release);
        }
        if (queue.sleepers.load(.monotonic) == 0) return;
        const used = queue.head.load(.monotonic) -% queue.tail.load(.monotonic);
        if (used <= queue.limit.load(.monotonic) / 2) queue.wakeSleepers();
    }

    /// Has those who found no space look again.
    pub fn wakeSleepers(queue: *Queue) void {
        _ = queue.space.fetchAdd(1, .release);
        futex.wakeAll(&queue.space);
    }

    /// As `wakeSleepers`, when the queue was seen empty: nothing will be released to do it.
    pub fn emptied(queue: *Queue) void {
        // Together with the sleeper's addition: one of the two sees what the other did.
        if (queue.sleepers.fetchAdd(0, .seq_cst) != 0) queue.wakeSleepers();
    }

    /// As `reserve`; waits for space until a time, or until `cancelled` says not to.
    pub fn reserveUntil(queue: *Queue, cell_count: u32, deadline: u64, context: anytype, comptime cancelled: fn (@TypeOf(context)) bool) ?Record {
        if (cell_count > queue.limit.load(.monotonic)) return null;
        for (0..100) |_| {
            if (queue.reserve(cell_count)) |record| return record;
            std.atomic.spinLoopHint();
        }
        _ = queue.sleepers.fetchAdd(1, .seq_cst);
        defer _ = queue.sleepers.fetchSub(1, .monotonic);
        while (true) {
            const seen = queue.space.load(.acquire);
            if (queue.reserve(cell_count)) |record| return record;
            const time = futex.now();
            if (time >= deadline or cancelled(context)) return null;
            futex.wait(&queue.space, seen, @min(deadline - time, 100 * std.time.ns_per_ms));
        }
    }
};

const testing = std.testing;

fn oneCell(_: u64) u32 {
    return 1;
}

/// In the tests the first word says it.
fn saidCells(first: u64) u32 {
    return @intCast(first >> 56);
}

fn push(queue: *Queue, cell_count: u32, value: u64) bool {
    const record = queue.reserve(cell_count) orelse return false;
    for (0..cell_count * cell_words) |i| queue.word(record, i).* = value;
    queue.word(record, 0).* = @as(u64, cell_count) << 56 | value;
    queue.commit(record);
    return true;
}

fn pop(queue: *Queue) ?u64 {
    const record = queue.take(saidCells) orelse return null;
    const value = queue.word(record, 0).* << 8 >> 8;
    for (1..record.cell_count * cell_words) |i| {
        if (queue.word(record, i).* != value) return std.math.maxInt(u64);
    }
    queue.release(record);
    return value;
}

test "records come out as they went in, whatever their lengths, and no more go in than the limit says" {
    const queue = Queue.create(testing.allocator, 5, .block).?;
    defer queue.destroy(testing.allocator);
    try testing.expectEqual(@as(usize, 8), queue.cells.len);
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

test "a reserved record that is not committed holds back those after it" {
    const queue = Queue.create(testing.allocator, 4, .block).?;
    defer queue.destroy(testing.allocator);
    const first = queue.reserve(1).?;
    try testing.expect(push(queue, 1, 2));
    try testing.expectEqual(@as(?Record, null), queue.take(oneCell));
    queue.word(first, 0).* = 1 << 56 | 1;
    for (1..cell_words) |i| queue.word(first, i).* = 1;
    queue.commit(first);
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
                const cells: u32 = @intCast(1 + (i + id) % 3);
                const record = queue.reserveUntil(cells, std.math.maxInt(u64), {}, notCancelled).?;
                const value = id << 32 | i;
                for (0..cells * cell_words) |w| queue.word(record, w).* = value;
                queue.word(record, 0).* = @as(u64, cells) << 56 | value;
                queue.commit(record);
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
