//! Channels: C sends events from any thread, JavaScript reads them in place. No lock, no allocation, and nobody waits.
//!
//! A channel is a ring of words. A producer gets the words for its record by moving the head, copies the event into them,
//! and stores the record's header, its first word, last: a header of zero is of a record that is not complete yet. The
//! consumer zeroes what was read before it moves the tail, so that whatever comes into those words next is found incomplete
//! until it is. A record is in one piece: where the rest of the ring is too short, the same move of the head takes the rest
//! as well, which gets the header of a padding. As no record takes more than half of the ring, an empty ring has space for
//! each, wherever the head is.
//!
//! - A producer looks at the tail (acquire) before it moves the head, so it writes after the zeroes; the consumer reads a
//!   header (acquire) that was stored (release) after the record. It takes records in the order of the head's moves, so
//!   those of one thread in that thread's order.
//! - The head never goes back, also when the channel's place is taken by another one: its lowest bit says whether the
//!   channel is open, so closing is a move, too. Hence a producer whose move succeeds has moved the head of the channel
//!   that it looked at, and what it read in between (the token, the ring, the mask) is of that channel.
//! - What C holds is no address but a place and a generation, so that none is issued twice: a stale one reaches nothing.
//! - A ring is given away only when the channel is closed and every record before the head is complete: nobody writes
//!   into it then, and nobody can begin to.
//!
//! The head is a claim sequence as in LMAX's Disruptor; that a record is complete is said by itself, as in Dmitry Vyukov's
//! queues; records of any length with padding at the end are those of Martin Thompson's Agrona (ManyToOneRingBuffer).
//! https://github.com/real-logic/agrona

const std = @import("std");
const isolates = @import("isolate.zig");
const pages = @import("os/pages.zig");
const waker = @import("waking/waker.zig");
const Isolate = isolates.Isolate;
const Lock = @import("os/lock.zig").Lock;

pub const max_channels = 16384;
/// Of a record: its header and the handle.
pub const header_words = 2;
const least_words = 8;
const open_bit = 1;

/// The upper half of a header; the lower one is the length of the payload in bytes, or that of a padding in words.
const event_mark = 1;
const padding_mark = 2;

/// What JavaScript maps, and C's `belay_channel_words`.
pub const Words = extern struct {
    channel: u64 = 0,
    ring: ?[*]u64 = null,
    /// How many words the ring has.
    length: u32 = 0,
    /// Where the batch begins that was taken last.
    batch: u32 = 0,
    /// Events that found no space.
    dropped: u32 = 0,
    unused: u32 = 0,
};

const Channel = struct {
    // What producers read. It changes only while the channel is closed and nobody has a record to complete.
    token: std.atomic.Value(u64) align(128) = .init(0),
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
    words: Words = .{},

    fn position(channel: *Channel) u64 {
        return channel.head.load(.acquire) >> 1;
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

fn recordWords(header: u64) u64 {
    const length = header & std.math.maxInt(u32);
    return if (header >> 32 == padding_mark) length else header_words + (length + 7) / 8;
}

/// Queues an event, if there is space, and has JavaScript look: `belay_channel_send`. With any bits for the channel.
pub fn send(token: ?*anyopaque, handle: ?*anyopaque, data: ?[*]const u8, byte_length: u32) callconv(.c) bool {
    const bits: u64 = @intFromPtr(token);
    const channel = &table[@intCast(bits % max_channels)];
    const length = recordWords(@as(u64, event_mark) << 32 | byte_length);
    var tail = channel.seen_tail.load(.acquire);
    var head = channel.head.load(.acquire);
    while (true) {
        if (head & open_bit == 0 or channel.token.load(.acquire) != bits) return false;
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
        if (padding != 0) @atomicStore(u64, &ring[@intCast(position & mask)], @as(u64, padding_mark) << 32 | padding, .release);
        const record = ring[@intCast((position + padding) & mask)..];
        // As JavaScript reads it. What is rounded is no handle.
        record[1] = @bitCast(@as(f64, @floatFromInt(@as(u64, @intFromPtr(handle)))));
        const payload: [*]u8 = @ptrCast(record + header_words);
        if (byte_length > 0) @memcpy(payload[0..byte_length], data.?[0..byte_length]);
        // Sequentially consistent, as in `queue.zig`: either JavaScript finds it, or this finds that it wants to be woken.
        @atomicStore(u64, &record[0], @as(u64, event_mark) << 32 | byte_length, .seq_cst);
        waker.wake(isolate);
        return true;
    }
}

fn of(token: u64) ?*Channel {
    const channel = &table[@intCast(token % max_channels)];
    return if (channel.token.load(.acquire) == token and token != 0) channel else null;
}

/// Takes at most so many events, which lie one behind the other from `words.batch` on, after giving those back that were
/// taken last. On the isolate's thread, as all that follows.
pub fn take(token: u64, most: u32) u32 {
    const channel = of(token) orelse return 0;
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
pub fn create(isolate: *Isolate, byte_length: u32) ?*Words {
    const length = std.math.ceilPowerOfTwo(u32, @max(least_words, byte_length / 8 + @intFromBool(byte_length % 8 != 0))) catch return null;
    lock.acquire();
    defer lock.release();
    const channel = findPlace(length) orelse return null;
    if (channel.words.ring == null) {
        const memory = pages.mapWritable(@as(usize, length) * 8) orelse return null;
        channel.words.ring = @ptrCast(@alignCast(memory.ptr));
    }
    channel.generation += 1;
    const token = (@intFromPtr(channel) - @intFromPtr(&table)) / @sizeOf(Channel) | channel.generation * max_channels;
    // A move of the head, as every opening and closing is.
    const position = channel.position() + 1;
    channel.token.store(token, .monotonic);
    channel.ring.store(channel.words.ring, .monotonic);
    channel.mask.store(length - 1, .monotonic);
    channel.isolate.store(isolate, .monotonic);
    channel.seen_tail.store(position, .monotonic);
    channel.tail.store(position, .monotonic);
    channel.taken = position;
    channel.words.channel = token;
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
pub fn close(token: u64, settled: bool) u32 {
    const channel = of(token) orelse return 0;
    lock.acquire();
    defer lock.release();
    if (channel.state == .open) beginClosing(channel);
    if (!settled) return 0;
    channel.released = true;
    return settle(channel, false);
}

/// Frees the place of a closed channel when every record is complete; if not, when somebody comes by later. Its ring stays
/// where it is if `keep`: the JavaScript of an isolate that has left is hardly there, but not always known not to be.
fn settle(channel: *Channel, keep: bool) u32 {
    const end = channel.position();
    var position = channel.taken;
    var count: u32 = 0;
    var complete = true;
    while (position != end) {
        const header = channel.headerAt(position);
        complete = header != 0;
        // Nobody knows how long it is.
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
    channel.token.store(0, .monotonic);
    channel.state = .free;
    return count;
}

const testing = std.testing;

fn testIsolate() *Isolate {
    return isolates.attach(testing.allocator, false, isolates.test_stack).?;
}

fn endTest(isolate: *Isolate) void {
    isolates.leaveThread();
    testing.allocator.destroy(isolate);
}

fn sendBytes(token: u64, handle: u64, bytes: []const u8) bool {
    return send(@ptrFromInt(@as(usize, @intCast(token))), @ptrFromInt(@as(usize, @intCast(handle))), bytes.ptr, @intCast(bytes.len));
}

/// Reads a batch as JavaScript does.
const Reader = struct {
    words: *const Words,
    left: u32,
    place: u64,

    const Event = struct { handle: f64, bytes: []const u8 };

    fn of(words: *const Words, most: u32) Reader {
        const left = take(words.channel, most);
        return .{ .words = words, .left = left, .place = words.batch };
    }

    fn next(reader: *Reader) ?Event {
        if (reader.left == 0) return null;
        reader.left -= 1;
        const record = reader.words.ring.?[@intCast(reader.place)..reader.words.length];
        reader.place += recordWords(record[0]);
        const payload: [*]const u8 = @ptrCast(record[header_words..].ptr);
        return .{ .handle = @bitCast(record[1]), .bytes = payload[0 .. record[0] & 0xffffffff] };
    }
};

test "events come out as they went in, whatever their lengths and wherever the ring's end is" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = create(isolate, 1000).?;
    try testing.expectEqual(@as(u32, 128), words.length);
    var random = std.Random.DefaultPrng.init(1);
    var bytes: [512]u8 = undefined;
    var sent: u64 = 0;
    var read: u64 = 0;
    var lengths: [64]u32 = undefined;
    for (0..20_000) |_| {
        const length = random.random().uintAtMost(u32, if (random.random().boolean()) 24 else 512 - 16);
        @memset(&bytes, @truncate(sent));
        if (sendBytes(words.channel, sent, bytes[0..length])) {
            lengths[sent % 64] = length;
            sent += 1;
            if (random.random().boolean()) continue;
        }
        var reader: Reader = .of(words, 1 + random.random().uintLessThan(u32, 8));
        while (reader.next()) |event| {
            try testing.expectEqual(@as(f64, @floatFromInt(read)), event.handle);
            try testing.expectEqual(@as(usize, lengths[read % 64]), event.bytes.len);
            for (event.bytes) |byte| try testing.expectEqual(@as(u8, @truncate(read)), byte);
            read += 1;
        }
    }
    try testing.expect(read > 5_000);
    try testing.expectEqual(@as(u32, @intCast(sent - read)), close(words.channel, true));
}

test "an empty ring has space for each event that isn't refused, wherever the head is; a larger one is counted" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = create(isolate, 1).?;
    try testing.expectEqual(@as(u32, least_words), words.length);
    const bytes: [64]u8 = @splat('x');
    // Also when nobody has to look at the tail.
    try testing.expect(!sendBytes(words.channel, 0, bytes[0..17]));
    for (0..64) |round| {
        // Half of the ring, at most.
        for (0..17) |length| {
            try testing.expect(sendBytes(words.channel, round, bytes[0..length]));
            var reader: Reader = .of(words, 9);
            try testing.expectEqualStrings(bytes[0..length], reader.next().?.bytes);
            try testing.expectEqual(@as(?Reader.Event, null), reader.next());
            try testing.expectEqual(@as(u32, 0), take(words.channel, 9));
        }
        try testing.expect(!sendBytes(words.channel, round, bytes[0..17]));
        // One more word, so that each place has its turn.
        if (round % 2 == 0) try testing.expect(sendBytes(words.channel, 0, bytes[0..1]));
        _ = take(words.channel, 9);
        _ = take(words.channel, 9);
    }
    try testing.expectEqual(@as(u32, 65), words.dropped);
    try testing.expect(!send(@ptrFromInt(@as(usize, @intCast(words.channel))), null, null, std.math.maxInt(u32)));
    _ = close(words.channel, true);
}

test "a full ring takes no more until a batch was given back" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = create(isolate, 64).?;
    for (0..100) |round| {
        var sent: u32 = 0;
        while (sendBytes(words.channel, sent, "")) sent += 1;
        // Where it has to leave the last word alone, there is space for three.
        try testing.expect(sent == 3 or sent == 4);
        var read = take(words.channel, 1);
        try testing.expectEqual(@as(u32, 1), read);
        // That one is given back with the next call.
        if (sent == 4) try testing.expect(!sendBytes(words.channel, 4, ""));
        while (read < sent) read += take(words.channel, 9);
        try testing.expectEqual(@as(u32, 0), take(words.channel, 9));
        if (round % 3 == 0) try testing.expect(sendBytes(words.channel, 5, "shift"));
        _ = take(words.channel, 9);
        _ = take(words.channel, 9);
    }
    try testing.expect(words.dropped >= 100);
    _ = close(words.channel, true);
}

test "handles are given as doubles: what no double holds is none that was issued" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = create(isolate, 256).?;
    for ([_]u64{ 0, 1, 1 << 52, (1 << 53) - 1, std.math.maxInt(u64) }) |handle| {
        try testing.expect(sendBytes(words.channel, handle, ""));
        var reader: Reader = .of(words, 1);
        try testing.expectEqual(@as(f64, @floatFromInt(handle)), reader.next().?.handle);
    }
    _ = close(words.channel, true);
}

test "a record that is not complete holds back those after it, and keeps the ring of a closed channel" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = create(isolate, 256).?;
    const channel = of(words.channel).?;
    const position = channel.position();
    // As a thread that was put aside.
    channel.head.store((position + 3) << 1 | open_bit, .monotonic);
    try testing.expect(sendBytes(words.channel, 1, "after"));
    try testing.expectEqual(@as(u32, 0), take(words.channel, 9));
    const token = words.channel;
    try testing.expectEqual(@as(u32, 0), close(token, true));
    try testing.expect(!sendBytes(token, 1, "closed"));
    const other = create(isolate, 256).?;
    try testing.expect(other != words);
    try testing.expect(words.ring != null);
    const place: usize = @intCast(position & (words.length - 1));
    @atomicStore(u64, &words.ring.?[place], event_mark << 32 | 8, .release);
    _ = close(other.channel, true);
    // Whoever comes by sees that it is.
    const next = create(isolate, 128).?;
    try testing.expect(next == words or of(token) == null);
    try testing.expectEqual(@as(?*Channel, null), of(token));
    _ = close(next.channel, true);
}

test "what JavaScript still reads of a closed channel stays, whoever makes another one" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = create(isolate, 256).?;
    const token = words.channel;
    try testing.expect(sendBytes(token, 1, "read"));
    var reader: Reader = .of(words, 9);
    try testing.expectEqual(@as(u32, 0), close(token, false));
    const other = create(isolate, 256).?;
    try testing.expect(other != words);
    try testing.expectEqualStrings("read", reader.next().?.bytes);
    _ = close(token, true);
    _ = close(other.channel, true);
}

test "a closed channel's number reaches nothing, nor do any other bits" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const first = create(isolate, 64).?;
    const token = first.channel;
    try testing.expect(sendBytes(token, 1, "event"));
    const head = of(token).?.head.load(.monotonic);
    try testing.expectEqual(@as(u32, 0), close(token, false));
    try testing.expect(!sendBytes(token, 1, "event"));
    try testing.expectEqual(@as(u32, 1), take(token, 9));
    try testing.expectEqual(@as(u32, 0), close(token, true));
    try testing.expectEqual(@as(u32, 0), close(token, true));
    try testing.expectEqual(@as(u32, 0), take(token, 9));
    const second = create(isolate, 64).?;
    try testing.expectEqual(first, second);
    try testing.expect(second.channel != token);
    // A swap of what was the head before must fail.
    try testing.expect(of(second.channel).?.head.load(.monotonic) > head);
    try testing.expect(!sendBytes(token, 1, "event"));
    var random = std.Random.DefaultPrng.init(2);
    for (0..100_000) |_| {
        const bits = random.random().int(u64);
        for ([_]u64{ bits, bits >> 40, bits >> 52, second.channel ^ @as(u64, 1) << @intCast(bits & 63) }) |each| {
            try testing.expect(!sendBytes(each, 1, "event"));
        }
    }
    try testing.expectEqual(@as(u32, 0), take(second.channel, 9));
    try testing.expectEqual(@as(u32, 0), second.dropped);
    _ = close(second.channel, true);
}

test "a channel whose isolate is gone takes nothing, and its ring serves another" {
    const first = testIsolate();
    defer testing.allocator.destroy(first);
    const words = create(first, 4096).?;
    const token = words.channel;
    const ring = words.ring;
    try testing.expect(sendBytes(token, 1, "event"));
    @atomicStore(u32, &first.words.live, 0, .release);
    try testing.expect(!sendBytes(token, 1, "event"));
    const second = testIsolate();
    defer endTest(second);
    const other = create(second, 4096).?;
    try testing.expectEqual(ring, other.ring);
    try testing.expect(!sendBytes(token, 1, "event"));
    try testing.expectEqual(@as(u32, 0), take(other.channel, 9));
    try testing.expect(sendBytes(other.channel, 1, "event"));
    try testing.expectEqual(@as(u32, 1), close(other.channel, true));
}

const Sender = struct {
    token: std.atomic.Value(u64),
    stop: std.atomic.Value(bool) = .init(false),
    number: u64 = 0,
    count: u64,

    /// Each event says whose it is: the thread, a number, and a rest that the number gives.
    fn run(sender: *Sender) void {
        var event: [3]u64 = undefined;
        for (0..sender.count) |i| {
            @memset(&event, sender.number << 32 | i);
            const bytes = std.mem.asBytes(&event)[0 .. 8 + i % 17];
            while (!sendBytes(sender.token.load(.monotonic), i, bytes)) std.Thread.yield() catch {};
        }
    }

    /// Sends to whatever channel there is, also to what is closed meanwhile, what its number is.
    fn runWild(sender: *Sender) void {
        while (!sender.stop.load(.monotonic)) {
            const token = sender.token.load(.monotonic);
            const event: [5]u64 = @splat(token);
            if (sendBytes(token, token, std.mem.asBytes(&event)[0 .. 8 + token % 33])) sender.count += 1;
        }
    }
};

test "four threads send, one reads: none is lost, and each thread's come in order" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = create(isolate, 512).?;
    const count = 50_000;
    var senders: [4]Sender = undefined;
    var threads: [4]std.Thread = undefined;
    for (&senders, &threads, 0..) |*sender, *thread, number| {
        sender.* = .{ .token = .init(words.channel), .number = number, .count = count };
        thread.* = try std.Thread.spawn(.{}, Sender.run, .{sender});
    }
    var next: [4]u64 = @splat(0);
    var read: u64 = 0;
    while (read < 4 * count) {
        var reader: Reader = .of(words, 7);
        if (reader.left == 0) std.Thread.yield() catch {};
        while (reader.next()) |event| {
            const word = std.mem.readInt(u64, event.bytes[0..8], .little);
            const sender: usize = @intCast(word >> 32);
            try testing.expectEqual(next[sender], word & 0xffffffff);
            try testing.expectEqual(@as(f64, @floatFromInt(next[sender])), event.handle);
            try testing.expectEqual(8 + next[sender] % 17, event.bytes.len);
            for (event.bytes, 0..) |byte, i| try testing.expectEqual(event.bytes[i % 8], byte);
            next[sender] += 1;
            read += 1;
        }
    }
    for (threads) |thread| thread.join();
    try testing.expectEqual(@as(u32, 0), close(words.channel, true));
}

test "channels come and go while threads send: each gets its own events only, and none that was sent is lost" {
    const isolate = testIsolate();
    defer endTest(isolate);
    var senders: [3]Sender = undefined;
    var threads: [3]std.Thread = undefined;
    for (&senders, &threads) |*sender, *thread| {
        sender.* = .{ .token = .init(0), .count = 0 };
        thread.* = try std.Thread.spawn(.{}, Sender.runWild, .{sender});
    }
    var read: u64 = 0;
    for (0..2_000) |round| {
        const words = create(isolate, @as(u32, 64) << @intCast(round % 4)).?;
        const token = words.channel;
        for (&senders) |*sender| sender.token.store(token, .monotonic);
        for (0..round % 20) |_| {
            var reader: Reader = .of(words, 5);
            while (reader.next()) |event| {
                try testing.expectEqual(@as(f64, @floatFromInt(token)), event.handle);
                try testing.expectEqual(8 + token % 33, event.bytes.len);
                try testing.expectEqual(token, std.mem.readInt(u64, event.bytes[0..8], .little));
                read += 1;
            }
        }
        // Those that were still being written count nowhere: they are waited for here.
        _ = close(token, false);
        const channel = of(token).?;
        while (channel.taken != channel.position()) read += take(token, 9);
        _ = take(token, 9);
        try testing.expectEqual(@as(u32, 0), close(token, true));
        try testing.expectEqual(@as(?*Channel, null), of(token));
    }
    var sent: u64 = 0;
    for (&senders, threads) |*sender, thread| {
        sender.stop.store(true, .monotonic);
        thread.join();
        sent += sender.count;
    }
    try testing.expectEqual(sent, read);
}
