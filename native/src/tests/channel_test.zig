//! Channels: events, rings, numbers that reach nothing, and threads.

const std = @import("std");
const abi = @import("../abi.zig");
const channels = @import("../channel.zig");
const isolates = @import("../isolate.zig");
const lifecycle = @import("../lifecycle.zig");
const support = @import("support.zig");
const Isolate = isolates.Isolate;
const testing = std.testing;

fn testIsolate() *Isolate {
    return lifecycle.attach(testing.allocator, false, support.stack_byte_length).?;
}

fn endTest(isolate: *Isolate) void {
    lifecycle.leaveThread();
    testing.allocator.destroy(isolate);
}

fn sendBytes(id: u64, handle: u64, bytes: []const u8) bool {
    const channel: ?*anyopaque = @ptrFromInt(@as(usize, @intCast(id)));
    return channels.send(channel, @ptrFromInt(@as(usize, @intCast(handle))), bytes.ptr, @intCast(bytes.len));
}

/// Reads a batch as JavaScript does.
const Reader = struct {
    words: *const abi.ChannelWords,
    left: u32,
    place: u64,

    const Event = struct { handle: f64, bytes: []const u8 };

    fn of(words: *const abi.ChannelWords, most: u32) Reader {
        const left = channels.take(words.id, most);
        return .{ .words = words, .left = left, .place = words.batch };
    }

    fn next(reader: *Reader) ?Event {
        if (reader.left == 0) return null;
        reader.left -= 1;
        const record = reader.words.ring.?[@intCast(reader.place)..reader.words.length];
        reader.place += channels.recordWords(record[0]);
        const payload: [*]const u8 = @ptrCast(record[abi.event_header_words..].ptr);
        return .{ .handle = @bitCast(record[1]), .bytes = payload[0 .. record[0] & 0xffffffff] };
    }
};

test "events come out as they went in, whatever their lengths and wherever the ring's end is" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = channels.create(isolate, 1000).?;
    try testing.expectEqual(@as(u32, 128), words.length);
    var random = std.Random.DefaultPrng.init(1);
    var bytes: [512]u8 = undefined;
    var sent: u64 = 0;
    var read: u64 = 0;
    var lengths: [64]u32 = undefined;
    for (0..20_000) |_| {
        const length = random.random().uintAtMost(u32, if (random.random().boolean()) 24 else 512 - 16);
        @memset(&bytes, @truncate(sent));
        if (sendBytes(words.id, sent, bytes[0..length])) {
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
    try testing.expectEqual(@as(u32, @intCast(sent - read)), channels.close(words.id, true));
}

test "an empty ring has space for each event that isn't refused, wherever the head is; a larger one is counted" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = channels.create(isolate, 1).?;
    try testing.expectEqual(@as(u32, channels.least_words), words.length);
    const bytes: [64]u8 = @splat('x');
    // Also when nobody has to look at the tail.
    try testing.expect(!sendBytes(words.id, 0, bytes[0..17]));
    for (0..64) |round| {
        // Half of the ring, at most.
        for (0..17) |length| {
            try testing.expect(sendBytes(words.id, round, bytes[0..length]));
            var reader: Reader = .of(words, 9);
            try testing.expectEqualStrings(bytes[0..length], reader.next().?.bytes);
            try testing.expectEqual(@as(?Reader.Event, null), reader.next());
            try testing.expectEqual(@as(u32, 0), channels.take(words.id, 9));
        }
        try testing.expect(!sendBytes(words.id, round, bytes[0..17]));
        // One more word, so that each place has its turn.
        if (round % 2 == 0) try testing.expect(sendBytes(words.id, 0, bytes[0..1]));
        _ = channels.take(words.id, 9);
        _ = channels.take(words.id, 9);
    }
    try testing.expectEqual(@as(u32, 65), words.dropped);
    try testing.expect(!channels.send(@ptrFromInt(@as(usize, @intCast(words.id))), null, null, std.math.maxInt(u32)));
    _ = channels.close(words.id, true);
}

test "a full ring takes no more until a batch was given back" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = channels.create(isolate, 64).?;
    for (0..100) |round| {
        var sent: u32 = 0;
        while (sendBytes(words.id, sent, "")) sent += 1;
        // Where it has to leave the last word alone, there is space for three.
        try testing.expect(sent == 3 or sent == 4);
        var read = channels.take(words.id, 1);
        try testing.expectEqual(@as(u32, 1), read);
        // That one is given back with the next call.
        if (sent == 4) try testing.expect(!sendBytes(words.id, 4, ""));
        while (read < sent) read += channels.take(words.id, 9);
        try testing.expectEqual(@as(u32, 0), channels.take(words.id, 9));
        if (round % 3 == 0) try testing.expect(sendBytes(words.id, 5, "shift"));
        _ = channels.take(words.id, 9);
        _ = channels.take(words.id, 9);
    }
    try testing.expect(words.dropped >= 100);
    _ = channels.close(words.id, true);
}

test "handles are given as doubles: what no double holds is none that was issued" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = channels.create(isolate, 256).?;
    for ([_]u64{ 0, 1, 1 << 52, (1 << 53) - 1, std.math.maxInt(u64) }) |handle| {
        try testing.expect(sendBytes(words.id, handle, ""));
        var reader: Reader = .of(words, 1);
        try testing.expectEqual(@as(f64, @floatFromInt(handle)), reader.next().?.handle);
    }
    _ = channels.close(words.id, true);
}

test "a record that is not complete holds back those after it, and keeps the ring of a closed channel" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = channels.create(isolate, 256).?;
    const channel = channels.of(words.id).?;
    const position = channel.position();
    // As a thread that was put aside.
    channel.head.store((position + 3) << 1 | channels.open_bit, .monotonic);
    try testing.expect(sendBytes(words.id, 1, "after"));
    try testing.expectEqual(@as(u32, 0), channels.take(words.id, 9));
    const id = words.id;
    try testing.expectEqual(@as(u32, 0), channels.close(id, true));
    try testing.expect(!sendBytes(id, 1, "closed"));
    const other = channels.create(isolate, 256).?;
    try testing.expect(other != words);
    try testing.expect(words.ring != null);
    const place: usize = @intCast(position & (words.length - 1));
    @atomicStore(u64, &words.ring.?[place], channels.event_mark << 32 | 8, .release);
    _ = channels.close(other.id, true);
    // Whoever comes by sees that it is.
    const next = channels.create(isolate, 128).?;
    try testing.expect(next == words or channels.of(id) == null);
    try testing.expectEqual(@as(?*channels.Channel, null), channels.of(id));
    _ = channels.close(next.id, true);
}

test "what JavaScript still reads of a closed channel stays, whoever makes another one" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = channels.create(isolate, 256).?;
    const id = words.id;
    try testing.expect(sendBytes(id, 1, "read"));
    var reader: Reader = .of(words, 9);
    try testing.expectEqual(@as(u32, 0), channels.close(id, false));
    const other = channels.create(isolate, 256).?;
    try testing.expect(other != words);
    try testing.expectEqualStrings("read", reader.next().?.bytes);
    _ = channels.close(id, true);
    _ = channels.close(other.id, true);
}

test "a closed channel's number reaches nothing, nor do any other bits" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const first = channels.create(isolate, 64).?;
    const id = first.id;
    try testing.expect(sendBytes(id, 1, "event"));
    const head = channels.of(id).?.head.load(.monotonic);
    try testing.expectEqual(@as(u32, 0), channels.close(id, false));
    try testing.expect(!sendBytes(id, 1, "event"));
    try testing.expectEqual(@as(u32, 1), channels.take(id, 9));
    try testing.expectEqual(@as(u32, 0), channels.close(id, true));
    try testing.expectEqual(@as(u32, 0), channels.close(id, true));
    try testing.expectEqual(@as(u32, 0), channels.take(id, 9));
    const second = channels.create(isolate, 64).?;
    try testing.expectEqual(first, second);
    try testing.expect(second.id != id);
    // A swap of what was the head before must fail.
    try testing.expect(channels.of(second.id).?.head.load(.monotonic) > head);
    try testing.expect(!sendBytes(id, 1, "event"));
    var random = std.Random.DefaultPrng.init(2);
    for (0..100_000) |_| {
        const bits = random.random().int(u64);
        for ([_]u64{ bits, bits >> 40, bits >> 52, second.id ^ @as(u64, 1) << @intCast(bits & 63) }) |each| {
            try testing.expect(!sendBytes(each, 1, "event"));
        }
    }
    try testing.expectEqual(@as(u32, 0), channels.take(second.id, 9));
    try testing.expectEqual(@as(u32, 0), second.dropped);
    _ = channels.close(second.id, true);
}

test "a channel whose isolate is gone takes nothing, and its ring serves another" {
    const first = testIsolate();
    defer testing.allocator.destroy(first);
    const words = channels.create(first, 4096).?;
    const id = words.id;
    const ring = words.ring;
    try testing.expect(sendBytes(id, 1, "event"));
    @atomicStore(u32, &first.words.live, 0, .release);
    try testing.expect(!sendBytes(id, 1, "event"));
    const second = testIsolate();
    defer endTest(second);
    const other = channels.create(second, 4096).?;
    try testing.expectEqual(ring, other.ring);
    try testing.expect(!sendBytes(id, 1, "event"));
    try testing.expectEqual(@as(u32, 0), channels.take(other.id, 9));
    try testing.expect(sendBytes(other.id, 1, "event"));
    try testing.expectEqual(@as(u32, 1), channels.close(other.id, true));
}

const Sender = struct {
    id: std.atomic.Value(u64),
    stop: std.atomic.Value(bool) = .init(false),
    number: u64 = 0,
    count: u64,

    /// Each event says whose it is: the thread, a number, and a rest that the number gives.
    fn run(sender: *Sender) void {
        var event: [3]u64 = undefined;
        for (0..sender.count) |i| {
            @memset(&event, sender.number << 32 | i);
            const bytes = std.mem.asBytes(&event)[0 .. 8 + i % 17];
            while (!sendBytes(sender.id.load(.monotonic), i, bytes)) std.Thread.yield() catch {};
        }
    }

    /// Sends to whatever channel there is, also to what is closed meanwhile, what its number is.
    fn runWild(sender: *Sender) void {
        while (!sender.stop.load(.monotonic)) {
            const id = sender.id.load(.monotonic);
            const event: [5]u64 = @splat(id);
            if (sendBytes(id, id, std.mem.asBytes(&event)[0 .. 8 + id % 33])) sender.count += 1;
        }
    }
};

test "four threads send, one reads: none is lost, and each thread's come in order" {
    const isolate = testIsolate();
    defer endTest(isolate);
    const words = channels.create(isolate, 512).?;
    const count = 50_000;
    var senders: [4]Sender = undefined;
    var threads: [4]std.Thread = undefined;
    for (&senders, &threads, 0..) |*sender, *thread, number| {
        sender.* = .{ .id = .init(words.id), .number = number, .count = count };
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
    try testing.expectEqual(@as(u32, 0), channels.close(words.id, true));
}

test "channels come and go while threads send: each gets its own events only, and none that was sent is lost" {
    const isolate = testIsolate();
    defer endTest(isolate);
    var senders: [3]Sender = undefined;
    var threads: [3]std.Thread = undefined;
    for (&senders, &threads) |*sender, *thread| {
        sender.* = .{ .id = .init(0), .count = 0 };
        thread.* = try std.Thread.spawn(.{}, Sender.runWild, .{sender});
    }
    var read: u64 = 0;
    for (0..2_000) |round| {
        const words = channels.create(isolate, @as(u32, 64) << @intCast(round % 4)).?;
        const id = words.id;
        for (&senders) |*sender| sender.id.store(id, .monotonic);
        for (0..round % 20) |_| {
            var reader: Reader = .of(words, 5);
            while (reader.next()) |event| {
                try testing.expectEqual(@as(f64, @floatFromInt(id)), event.handle);
                try testing.expectEqual(8 + id % 33, event.bytes.len);
                try testing.expectEqual(id, std.mem.readInt(u64, event.bytes[0..8], .little));
                read += 1;
            }
        }
        // Those that were still being written count nowhere: they are waited for here.
        _ = channels.close(id, false);
        const channel = channels.of(id).?;
        while (channel.taken != channel.position()) read += channels.take(id, 9);
        _ = channels.take(id, 9);
        try testing.expectEqual(@as(u32, 0), channels.close(id, true));
        try testing.expectEqual(@as(?*channels.Channel, null), channels.of(id));
    }
    var sent: u64 = 0;
    for (&senders, threads) |*sender, thread| {
        sender.stop.store(true, .monotonic);
        thread.join();
        sent += sender.count;
    }
    try testing.expectEqual(sent, read);
}
