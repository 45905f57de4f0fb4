//! Channels: C sends events from any thread, JavaScript reads them in place. No lock, no allocation, and nobody waits.
//!
//! A channel is a ring of words. A producer gets the words for its record by moving the head, copies the event into
//! them, and stores the record's header, its first word, last: a header of zero is of a record that is not complete
//! yet. The consumer zeroes what was read before it moves the tail, so that whatever comes into those words next is
//! found incomplete until it is. A record is in one piece: where the rest of the ring is too short, the same move of
//! the head takes the rest as well, which gets the header of a padding. As no record takes more than half of the ring,
//! an empty ring has space for each, wherever the head is.
//!
//! - A producer looks at the tail (acquire) before it moves the head, so it writes after the zeroes; the consumer reads
//!   a header (acquire) that was stored (release) after the record. It takes records in the order of the head's moves,
//!   so those of one thread in that thread's order.
//! - The head never goes back, also when the channel's place is taken by another one: its lowest bit says whether the
//!   channel is open, so closing is a move, too. Hence a producer whose move succeeds has moved the head of the channel
//!   that it looked at, and what it read in between (the id, the ring, the mask) is of that channel.
//! - What C holds is no address but a place and a generation, so that none is issued twice: a stale one reaches
//!   nothing.
//! - A ring is given away only when the channel is closed and every record before the head is complete: nobody writes
//!   into it then, and nobody can begin to.
//!
//! The head is a claim sequence as in LMAX's Disruptor; that a record is complete is said by itself, as in Dmitry
//! Vyukov's queues; records of any length with padding at the end are those of Martin Thompson's Agrona
//! (ManyToOneRingBuffer). https://github.com/real-logic/agrona

const std = @import("std");
const abi = @import("abi.zig");
const isolates = @import("isolate.zig");
const pages = @import("os/pages.zig");
const waker = @import("waking/waker.zig");
const Isolate = isolates.Isolate;
const Lock = @import("os/lock.zig").Lock;

const max_channels = abi.max_channels;
const header_words = abi.event_header_words;
pub const least_words = 8;
pub const open_bit = 1;

/// The upper half of a header; the lower one is the length of the payload in bytes, or that of a padding in words.
pub const event_mark = 1;
const padding_mark = 2;

pub const Channel = struct {
    // What producers read. It changes only while the channel is closed and nobody has a record to complete.
    id: std.atomic.Value(u64) align(128) = .init(0),
    ring: std.atomic.Value(?[*]u64) = .init(null),
    mask: std.atomic.Value(u64) = .init(0),
    isolate: std.atomic.Value(?*Isolate) = .init(null),
    // Under the lock.
    state: enum(u8) { free, open, closing } = .free,
    /// Whether JavaScript has let go of the ring.
    released: bool = false,
    generation: u64 = 0,

    /// Where the next record goes, times two, and whether the channel is open; the tail as a producer saw it last.
    head: std.atomic.Value(u64) align(128) = .init(0),
    seen_tail: std.atomic.Value(u64) = .init(0),

    /// Where the oldest record is. What comes before it is free and zeroed.
    tail: std.atomic.Value(u64) align(128) = .init(0),
    /// As far as has been taken.
    taken: u64 = 0,
    words: abi.ChannelWords = .{},

    pub fn position(channel: *Channel) u64 {
        return channel.head.load(.acquire) >> 1;
    }

    fn assertOwnThread(channel: *Channel) void {
        if (std.debug.runtime_safety) channel.isolate.load(.monotonic).?.assertOwnThread();
    }

    /// Gives the batch that was taken last back.
    fn release(channel: *Channel) void {
        const tail = channel.tail.load(.monotonic);
        if (tail == channel.taken) return;
        const ring = channel.words.ring.?;
        @memset(ring[@intCast(tail & (channel.words.length - 1))..][0..@intCast(channel.taken - tail)], 0);
        channel.tail.store(channel.taken, .release);
    }

    fn headerAt(channel: *Channel, place: u64) u64 {
        // So that who was woken finds what it was woken for; see `waking/waker.zig`.
        return @atomicLoad(u64, &channel.words.ring.?[@intCast(place & (channel.words.length - 1))], .seq_cst);
    }
};

// Zeroes, which take no memory before they are used.
var table: [max_channels]Channel = @splat(.{});
/// How many places have been used. Under the lock.
var used: u32 = 0;
var lock: Lock = .{};

pub fn recordWords(header: u64) u64 {
    const length = header & std.math.maxInt(u32);
    return if (header >> 32 == padding_mark) length else header_words + (length + 7) / 8;
}

/// Queues an event, if there is space, and has JavaScript look: `belay_channel_send`. With any bits for the channel.
pub fn send(id: ?*anyopaque, handle: ?*anyopaque, data: ?[*]const u8, byte_length: u32) callconv(.c) bool {
    const bits: u64 = @intFromPtr(id);
    const channel = &table[@intCast(bits % max_channels)];
    const length = recordWords(@as(u64, event_mark) << 32 | byte_length);
    var tail = channel.seen_tail.load(.acquire);
    var head = channel.head.load(.acquire);
    while (true) {
        if (head & open_bit == 0 or channel.id.load(.acquire) != bits) return false;
        const ring = channel.ring.load(.monotonic).?;
        const mask = channel.mask.load(.monotonic);
        const isolate = channel.isolate.load(.monotonic).?;
        if (!isolate.words.isLive()) return false;
        const position = head >> 1;
        const room = mask + 1 - (position & mask);
        const padding = if (length > room) room else 0;
        const end = position + padding + length;
        // A tail that has passed an old position makes the difference huge.
        const full = end -% tail > mask + 1;
        if (full or length > (mask + 1) / 2) {
            tail = channel.tail.load(.acquire);
            const now = channel.head.load(.acquire);
            if (now != head) {
                head = now;
                continue;
            }
            if (end -% tail > mask + 1 or length > (mask + 1) / 2) {
                _ = @atomicRmw(u32, &channel.words.dropped, .Add, 1, .monotonic);
                return false;
            }
            channel.seen_tail.store(tail, .release);
        }
        if (channel.head.cmpxchgWeak(head, end << 1 | open_bit, .acquire, .acquire)) |now| {
            head = now;
            continue;
        }
        if (padding != 0) {
            @atomicStore(u64, &ring[@intCast(position & mask)], @as(u64, padding_mark) << 32 | padding, .release);
        }
        const record = ring[@intCast((position + padding) & mask)..];
        // As JavaScript reads it. What is rounded is no handle.
        record[1] = @bitCast(@as(f64, @floatFromInt(@as(u64, @intFromPtr(handle)))));
        const payload: [*]u8 = @ptrCast(record + header_words);
        if (byte_length > 0) @memcpy(payload[0..byte_length], data.?[0..byte_length]);
        // Sequentially consistent, as in `queue.zig`: either JavaScript finds it, or this finds that it wants to be
        // woken.
        @atomicStore(u64, &record[0], @as(u64, event_mark) << 32 | byte_length, .seq_cst);
        waker.wake(isolate);
        return true;
    }
}

pub fn of(id: u64) ?*Channel {
    const channel = &table[@intCast(id % max_channels)];
    return if (channel.id.load(.acquire) == id and id != 0) channel else null;
}

/// Takes at most so many events, which lie one behind the other from `words.batch` on, after giving those back that
/// were taken last. On the isolate's thread, as all that follows.
pub fn take(id: u64, most: u32) u32 {
    const channel = of(id) orelse return 0;
    channel.assertOwnThread();
    channel.release();
    const length = channel.words.length;
    var start: u32 = @intCast(channel.taken & (length - 1));
    const first = channel.headerAt(start);
    if (first >> 32 == padding_mark) {
        channel.taken += recordWords(first);
        // Nothing but its header was written.
        @atomicStore(u64, &channel.words.ring.?[start], 0, .monotonic);
        channel.tail.store(channel.taken, .release);
        start = 0;
    }
    var place: u64 = start;
    var count: u32 = 0;
    // A quarter of the ring at most, or one: the rest is for producers meanwhile.
    while (place < length and count < most and (count == 0 or place - start < length / 4)) {
        const header = channel.headerAt(place);
        if (header >> 32 != event_mark) break;
        place += recordWords(header);
        count += 1;
    }
    channel.taken += place - start;
    channel.words.batch = start;
    return count;
}

/// A channel with a ring of so many bytes, rounded up to a power of two. Null: no memory, or too many channels.
pub fn create(isolate: *Isolate, byte_length: u32) ?*abi.ChannelWords {
    isolate.assertOwnThread();
    const words = byte_length / 8 + @intFromBool(byte_length % 8 != 0);
    const length = std.math.ceilPowerOfTwo(u32, @max(least_words, words)) catch return null;
    lock.acquire();
    defer lock.release();
    const channel = findPlace(length) orelse return null;
    if (channel.words.ring == null) {
        const memory = pages.mapWritable(@as(usize, length) * 8) orelse return null;
        channel.words.ring = @ptrCast(@alignCast(memory.ptr));
    }
    channel.generation += 1;
    const id = (@intFromPtr(channel) - @intFromPtr(&table)) / @sizeOf(Channel) | channel.generation * max_channels;
    // A move of the head, as every opening and closing is.
    const position = channel.position() + 1;
    channel.id.store(id, .monotonic);
    channel.ring.store(channel.words.ring, .monotonic);
    channel.mask.store(length - 1, .monotonic);
    channel.isolate.store(isolate, .monotonic);
    channel.seen_tail.store(position, .monotonic);
    channel.tail.store(position, .monotonic);
    channel.taken = position;
    channel.words.id = id;
    channel.words.length = length;
    channel.words.batch = 0;
    // One that found no space in the channel before, and was put aside, may still count here.
    @atomicStore(u32, &channel.words.dropped, 0, .monotonic);
    channel.state = .open;
    channel.released = false;
    channel.head.store(position << 1 | open_bit, .release);
    return &channel.words;
}

/// A free place: best one with a ring of the same length that an isolate has left behind.
fn findPlace(length: u32) ?*Channel {
    lock.assertHeld();
    var best: ?*Channel = null;
    for (table[0..used]) |*channel| {
        if (channel.state != .free and hasLeft(channel.isolate.load(.monotonic).?)) {
            beginClosing(channel);
            channel.released = true;
        }
        if (channel.state == .closing and channel.released) _ = settle(channel, true);
        if (channel.state != .free) continue;
        if (channel.words.ring != null) {
            if (channel.words.length == length) return channel;
        } else best = channel;
    }
    if (best) |channel| return channel;
    if (used == max_channels) return null;
    used += 1;
    return &table[used - 1];
}

fn hasLeft(isolate: *Isolate) bool {
    return @atomicLoad(u32, &isolate.departure, .acquire) != 0;
}

fn beginClosing(channel: *Channel) void {
    _ = channel.head.fetchAnd(~@as(u64, open_bit), .acq_rel);
    channel.state = .closing;
}

/// Ends a channel: from now on nothing can be sent. With `settled`, JavaScript reads the ring no more; answers how many
/// events it has not taken.
pub fn close(id: u64, settled: bool) u32 {
    const channel = of(id) orelse return 0;
    channel.assertOwnThread();
    lock.acquire();
    defer lock.release();
    if (channel.state == .open) beginClosing(channel);
    if (!settled) return 0;
    channel.released = true;
    return settle(channel, false);
}

/// Frees the place of a closed channel when every record is complete; if not, when somebody comes by later. Its ring
/// stays where it is if `keep`: the JavaScript of an isolate that has left is hardly there, but not always known not to
/// be.
fn settle(channel: *Channel, keep: bool) u32 {
    lock.assertHeld();
    const end = channel.position();
    var position = channel.taken;
    var count: u32 = 0;
    var complete = true;
    while (position != end) {
        const header = channel.headerAt(position);
        complete = header != 0;
        // How long it is isn't known yet.
        if (!complete) break;
        count += @intFromBool(header >> 32 == event_mark);
        position += recordWords(header);
    }
    if (!complete) return count;
    const ring = channel.words.ring.?[0..channel.words.length];
    if (keep) {
        @memset(ring, 0);
    } else {
        pages.unmap(std.mem.sliceAsBytes(ring));
        channel.words.ring = null;
    }
    channel.id.store(0, .monotonic);
    channel.state = .free;
    return count;
}
