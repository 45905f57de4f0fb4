//! A queue of records from many threads to one. No lock and no allocation; a producer never waits for another one.
//!
//! The queue is a ring of words. A producer gets the words for its record by moving the head, fills them, and stores
//! the record's header, its first word, last: a header of zero is of a record that is not complete yet. Whoever takes
//! zeroes what was read before it moves the tail, so that whatever comes into those words next is found incomplete
//! until it is. Only one thread takes, except where the oldest record may be dropped for a newer one: there who takes
//! holds a flag.
//!
//! The head moves after the words are known to be free, as LMAX's Disruptor claims sequences; that a record is complete
//! is said by itself, as in Dmitry Vyukov's queues. https://lmax-exchange.github.io/disruptor/disruptor.html

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("abi.zig");
const fork = @import("os/fork.zig");
const futex = @import("os/futex.zig");

extern "c" fn calloc(count: usize, byte_length: usize) callconv(.c) ?[*]u64;

/// Where the words of a record are, for those who reserved or took it.
pub const Record = struct {
    position: u64,
    length: u32,
};

/// How many words a record takes, from its header.
pub const LengthOf = fn (header: u64) u32;

pub const Queue = struct {
    // Each part on lines of its own: what one side writes for each record would take the line from the other.
    producers: Producers align(128) = .{},
    consumer: Consumer align(128) = .{},
    sleep: Sleep align(128) = .{},
    words: []u64 align(128),
    on_full: abi.OnFull,
    /// How many words may be in use.
    limit: std.atomic.Value(u64),
    /// The next queue of the isolate. Only its own thread reads and writes these three.
    next: ?*Queue = null,
    retired: bool = false,
    /// Where the head was when it was marked last.
    marked: u64 = 0,

    const Producers = struct {
        /// Where the next record goes, and the tail as a producer saw it last.
        head: std.atomic.Value(u64) = .init(0),
        seen_tail: std.atomic.Value(u64) = .init(0),
    };

    const Consumer = struct {
        /// Where the oldest record is. What comes before it is free and zeroed, as far as others were told.
        tail: std.atomic.Value(u64) = .init(0),
        /// As far as has been taken: only for who takes.
        taken: u64 = 0,
        taking: std.atomic.Value(bool) = .init(false),
    };

    const Sleep = struct {
        /// Changes when there is space again, or something else to look at for those who sleep on it.
        space: futex.Word = .init(0),
        sleepers: std.atomic.Value(u32) = .init(0),
    };

    /// How many words a queue has for a limit from 1 to 2^63: the next power of two.
    pub fn lengthFor(limit: u64) u64 {
        return @as(u64, 1) << @intCast(64 - @clz(limit - 1));
    }

    /// Its memory is never given back: a thread may hold on to it for any time.
    pub fn create(allocator: std.mem.Allocator, limit: u64, on_full: abi.OnFull) ?*Queue {
        const length = lengthFor(limit);
        const queue = allocator.create(Queue) catch return null;
        const words = zeroed(allocator, @intCast(length)) orelse {
            allocator.destroy(queue);
            return null;
        };
        queue.* = .{ .words = words, .limit = .init(limit), .on_full = on_full };
        return queue;
    }

    fn zeroed(allocator: std.mem.Allocator, length: usize) ?[]u64 {
        if (!builtin.is_test) {
            // Where it is much, what nobody has written to takes no memory.
            const words = calloc(length, @sizeOf(u64)) orelse return null;
            return words[0..length];
        }
        const words = allocator.alloc(u64, length) catch return null;
        @memset(words, 0);
        return words;
    }

    pub fn destroy(queue: *Queue, allocator: std.mem.Allocator) void {
        if (!builtin.is_test) @compileError("a thread may hold on to a queue for any time");
        allocator.free(queue.words);
        allocator.destroy(queue);
    }

    /// The queue that JavaScript has an address of.
    pub fn of(queue: *abi.Queue) *Queue {
        return @ptrCast(@alignCast(queue));
    }

    /// Whether it is of a kind.
    pub fn is(queue: *const Queue, length: u64, on_full: abi.OnFull) bool {
        return queue.words.len == length and queue.on_full == on_full;
    }

    inline fn at(queue: *Queue, position: u64) *u64 {
        return &queue.words[@intCast(position & (queue.words.len - 1))];
    }

    /// A word of a record, by its number from 0, the header.
    pub inline fn word(queue: *Queue, record: Record, index: usize) *u64 {
        return queue.at(record.position + index);
    }

    /// Words for a record that is to be filled and committed; null when there is no space.
    pub inline fn reserve(queue: *Queue, length: u32) ?Record {
        const limit = queue.limit.load(.monotonic);
        var tail = queue.producers.seen_tail.load(.acquire);
        var position = queue.producers.head.load(.monotonic);
        while (true) {
            // A tail that has passed an old position makes the difference huge.
            if (position +% length -% tail > limit) {
                tail = queue.consumer.tail.load(.acquire);
                if (position +% length -% tail > limit) {
                    const now = queue.producers.head.load(.monotonic);
                    if (now == position) return null;
                    position = now;
                    continue;
                }
                queue.producers.seen_tail.store(tail, .release);
            }
            position = queue.producers.head.cmpxchgWeak(position, position + length, .monotonic, .monotonic) orelse
                return .{ .position = position, .length = length };
            // Another thread is at it. Both going on would take the line to and fro for each record; the one that
            // yields lets the other do several, or the thread that takes them run where there are more threads than
            // processors.
            for (0..8) |_| std.atomic.spinLoopHint();
            std.Thread.yield() catch {};
            position = queue.producers.head.load(.monotonic);
        }
    }

    /// Marks the records that are there or about to be, as far as this thread knows.
    pub fn mark(queue: *Queue) void {
        queue.marked = queue.producers.head.load(.monotonic);
    }

    /// Whether those that were marked last have been taken and released.
    pub fn markIsPassed(queue: *const Queue) bool {
        return queue.consumer.tail.load(.monotonic) >= queue.marked;
    }

    /// Completes a record. Sequentially consistent, so that who looks afterwards whether somebody must be woken sees a
    /// sleep that began before this.
    pub inline fn commit(queue: *Queue, record: Record, header: u64) void {
        @atomicStore(u64, queue.at(record.position), header, .seq_cst);
    }

    /// The oldest record, if it is complete. Until it is released its words stay as they are.
    pub inline fn take(queue: *Queue, comptime lengthOf: LengthOf) ?Record {
        const record = queue.completeAt(queue.consumer.taken, lengthOf) orelse return null;
        queue.consumer.taken += record.length;
        return record;
    }

    /// The oldest record that was not taken, and the one after another, if complete; for the thread that takes.
    pub inline fn oldest(queue: *Queue, comptime lengthOf: LengthOf) ?Record {
        return queue.completeAt(queue.consumer.taken, lengthOf);
    }
    pub fn following(queue: *Queue, record: Record, comptime lengthOf: LengthOf) ?Record {
        return queue.completeAt(record.position + record.length, lengthOf);
    }

    inline fn completeAt(queue: *Queue, position: u64, comptime lengthOf: LengthOf) ?Record {
        const header = @atomicLoad(u64, queue.at(position), .seq_cst);
        // All words taken are those of whole rounds: the oldest one's header would be met again.
        if (header == 0 or position - queue.consumer.tail.load(.monotonic) >= queue.words.len) return null;
        return .{ .position = position, .length = lengthOf(header) };
    }

    /// Gives the words of a taken record back, and of those taken before it.
    pub inline fn release(queue: *Queue, record: Record) void {
        for (0..record.length) |index| @atomicStore(u64, queue.at(record.position + index), 0, .monotonic);
        const end = record.position + record.length;
        queue.consumer.tail.store(end, .release);
        if (queue.sleep.sleepers.load(.monotonic) == 0) return;
        if (queue.producers.head.load(.monotonic) - end <= queue.limit.load(.monotonic) / 2) queue.wakeSleepers();
    }

    /// Lets one thread take at a time, where several may; answers whether it is the caller.
    pub inline fn beginTaking(queue: *Queue) bool {
        return queue.on_full != .drop_oldest or !queue.consumer.taking.swap(true, .acquire);
    }

    /// As `beginTaking`, in the caller's turn: another thread takes for a moment only.
    pub inline fn awaitTaking(queue: *Queue) void {
        while (!queue.beginTaking()) {
            // The thread that took at the fork is not here to end it.
            if (fork.isChild()) return;
            std.Thread.yield() catch {};
        }
    }

    pub inline fn endTaking(queue: *Queue) void {
        if (queue.on_full == .drop_oldest) queue.consumer.taking.store(false, .release);
    }

    /// Has those who found no space look again.
    pub fn wakeSleepers(queue: *Queue) void {
        _ = queue.sleep.space.fetchAdd(1, .release);
        futex.wakeAll(&queue.sleep.space);
    }

    /// As `wakeSleepers`, when the queue was seen empty: nothing will be released to do it.
    pub fn emptied(queue: *Queue) void {
        // Together with the sleeper's addition: one of the two sees what the other did.
        if (queue.sleep.sleepers.fetchAdd(0, .seq_cst) != 0) queue.wakeSleepers();
    }

    /// As `reserve`; waits for space until a time, or until `cancelled` says not to.
    pub fn reserveUntil(
        queue: *Queue,
        length: u32,
        deadline: u64,
        context: anytype,
        comptime cancelled: fn (@TypeOf(context)) bool,
    ) ?Record {
        if (length > queue.limit.load(.monotonic)) return null;
        for (0..100) |_| {
            if (queue.reserve(length)) |record| return record;
            std.atomic.spinLoopHint();
        }
        _ = queue.sleep.sleepers.fetchAdd(1, .seq_cst);
        defer _ = queue.sleep.sleepers.fetchSub(1, .monotonic);
        while (true) {
            const seen = queue.sleep.space.load(.seq_cst);
            if (queue.reserve(length)) |record| return record;
            const time = futex.now();
            if (time >= deadline or cancelled(context)) return null;
            futex.wait(&queue.sleep.space, seen, @min(deadline - time, 100 * std.time.ns_per_ms));
        }
    }
};
