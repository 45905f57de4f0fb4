//! The registry of one tag, its list as JavaScript reads it, and threads that release at once.

const std = @import("std");
const abi = @import("../abi.zig");
const registries = @import("../handles/registry.zig");
const Link = registries.Link;
const Outcome = registries.Outcome;
const Registry = registries.Registry;
const max_slots = abi.max_handle_slots;

/// A list as JavaScript reads it.
const Reader = struct {
    registry: *Registry,
    head: u32 = 0,

    fn setId(reader: *Reader, slot: u32, generation: u32) u64 {
        const ids: [*]f64 = @ptrCast(reader.registry.memory.?);
        const id = (@as(u64, generation) << 31) + (7 << 23) + 2 * slot;
        @atomicStore(f64, &ids[slot], @floatFromInt(id), .release);
        return id;
    }

    fn idOf(reader: *Reader, slot: u32) u64 {
        const ids: [*]f64 = @ptrCast(reader.registry.memory.?);
        return @trunc(@atomicLoad(f64, &ids[slot], .acquire));
    }

    fn take(reader: *Reader) u32 {
        return @atomicRmw(u32, &reader.head, .Xchg, 0, .acq_rel);
    }

    /// Takes a place off, and answers the generation and the next place.
    fn unlist(reader: *Reader, place: u32) [2]u32 {
        const halves: *[2]u32 = @ptrCast(&reader.registry.links()[place - 1]);
        const lower = @atomicRmw(u32, &halves[0], .Xchg, 0, .acq_rel);
        return .{ @atomicLoad(u32, &halves[1], .acquire), lower & 0x7fffff };
    }
};

test "ids and links are zero at first, and stay where they are" {
    var registry: Registry = .{};
    defer registry.free();
    const ids = registry.grow(64).?;
    for (0..64) |slot| try std.testing.expectEqual(@as(f64, 0), ids[slot]);
    ids[63] = 5;
    try std.testing.expectEqual(@as(?[*]f64, ids), registry.grow(max_slots));
    try std.testing.expectEqual(@as(f64, 5), ids[63]);
    ids[max_slots - 1] = 7;
    try std.testing.expectEqual(@as(?[*]f64, ids), registry.grow(1));
    try std.testing.expectEqual(max_slots, registry.links().len);
    try std.testing.expectEqual(Link{}, registry.links()[max_slots - 1]);
    try std.testing.expectEqual(@as(?[*]f64, null), registry.grow(max_slots + 1));
}

test "a handle is listed once, the last one first, and can be listed again when it was taken off" {
    var registry: Registry = .{};
    defer registry.free();
    _ = registry.grow(64);
    var reader: Reader = .{ .registry = &registry };
    const ids = [_]u64{ reader.setId(0, 0), reader.setId(63, (1 << 22) - 1) };
    for (0..2) |_| {
        for (ids) |id| try std.testing.expectEqual(.listed, registry.release(id, 1, &reader.head));
        for (ids) |id| try std.testing.expectEqual(.stale, registry.release(id, 1, &reader.head));
        try std.testing.expectEqual(@as(u32, 64), reader.take());
        try std.testing.expectEqual([2]u32{ (1 << 22) - 1, 1 }, reader.unlist(64));
        try std.testing.expectEqual([2]u32{ 0, 0 }, reader.unlist(1));
        try std.testing.expectEqual(@as(u32, 0), reader.take());
    }
}

test "what is not its slot's id is not listed, whatever its slot" {
    var registry: Registry = .{};
    defer registry.free();
    var reader: Reader = .{ .registry = &registry };
    try std.testing.expectEqual(.stale, registry.release(2, 1, &reader.head));
    _ = registry.grow(64);
    const id = reader.setId(5, 3);
    for (0..53) |bit| {
        const other = id ^ @as(u64, 1) << @intCast(bit);
        try std.testing.expectEqual(.stale, registry.release(other, 1, &reader.head));
    }
    try std.testing.expectEqual(.stale, registry.release((1 << 53) - 1, 1, &reader.head));
    try std.testing.expectEqual(@as(u32, 0), reader.head);
    try std.testing.expectEqual(.listed, registry.release(id, 1, &reader.head));
}

test "a slot's next handle takes the place of one that was deleted while it was listed" {
    var registry: Registry = .{};
    defer registry.free();
    _ = registry.grow(64);
    var reader: Reader = .{ .registry = &registry };
    const old = reader.setId(5, 3);
    try std.testing.expectEqual(.listed, registry.release(reader.setId(4, 0), 1, &reader.head));
    try std.testing.expectEqual(.listed, registry.release(old, 1, &reader.head));
    const young = reader.setId(5, 4);
    try std.testing.expectEqual(.stale, registry.release(old, 1, &reader.head));
    try std.testing.expectEqual(.replaced, registry.release(young, 1, &reader.head));
    try std.testing.expectEqual(.stale, registry.release(young, 1, &reader.head));
    try std.testing.expectEqual(@as(u32, 6), reader.take());
    try std.testing.expectEqual([2]u32{ 4, 5 }, reader.unlist(6));
    try std.testing.expectEqual([2]u32{ 0, 0 }, reader.unlist(5));
}

test "what an isolate has left on its list is on no list of the next one's" {
    var registry: Registry = .{};
    defer registry.free();
    registry.beginEpoch();
    try std.testing.expectEqual(@as(u9, 1), registry.epoch);
    _ = registry.grow(64);
    var first: Reader = .{ .registry = &registry };
    const id = first.setId(5, 3);
    const rest = first.setId(6, 0);
    for ([_]u64{ rest, id }) |each| try std.testing.expectEqual(.listed, registry.release(each, 1, &first.head));
    registry.beginEpoch();
    var second: Reader = .{ .registry = &registry };
    try std.testing.expectEqual(.listed, registry.release(id, registry.epoch, &second.head));
    try std.testing.expectEqual([2]u32{ 3, 0 }, second.unlist(second.take()));
    // An epoch comes again when nothing is left of it.
    while (registry.epoch != 511) registry.beginEpoch();
    registry.beginEpoch();
    try std.testing.expectEqual(@as(u9, 1), registry.epoch);
    try std.testing.expectEqual(Link{}, registry.links()[6]);
    try std.testing.expectEqual(.listed, registry.release(rest, 1, &second.head));
}

test "eight threads release at once, some of it twice, while the list is read: nothing is lost" {
    const World = struct {
        const slot_count = 64;
        const member_count = 8;
        const rounds = 300;
        var registry: Registry = .{};
        var reader: Reader = .{ .registry = &registry };
        var counts: [3]std.atomic.Value(u32) = @splat(.init(0));
        var members_left: std.atomic.Value(u32) = .init(member_count);

        fn release(id: u64) Outcome {
            const outcome = registry.release(id, 1, &reader.head);
            _ = counts[@intFromEnum(outcome)].fetchAdd(1, .monotonic);
            return outcome;
        }

        /// Releases each handle of its slots, those of its neighbour when they come its way, and goes on when they are
        /// gone.
        fn run(member: u32) void {
            var slot = member;
            for (0..rounds) |_| {
                var first: u32 = slot % slot_count;
                while (first < slot_count) : (first += member_count) _ = release(reader.idOf(first));
                _ = release(reader.idOf((slot + 1) % slot_count));
                first = slot % slot_count;
                // Stale before long; and a handle that was not released yet.
                const watched = reader.idOf(first);
                _ = release(watched);
                while (reader.idOf(first) == watched) std.Thread.yield() catch {};
                slot += member_count;
            }
            _ = members_left.fetchSub(1, .release);
        }

        /// How many handles it deleted, and how many were gone.
        fn read() [2]u32 {
            var seen = [2]u32{ 0, 0 };
            var place = reader.take();
            while (place != 0) {
                const generation, const next = reader.unlist(place);
                const slot = place - 1;
                const own = generation == reader.idOf(slot) >> 31;
                seen[@intFromBool(!own)] += 1;
                if (own) _ = reader.setId(slot, generation + 1);
                // JavaScript deletes one, too, now and then.
                if (own and generation % 5 == 0) _ = reader.setId(slot, generation + 2);
                place = next;
            }
            return seen;
        }
    };
    _ = World.registry.grow(World.slot_count);
    defer World.registry.free();
    for (0..World.slot_count) |slot| _ = World.reader.setId(@intCast(slot), 0);
    var threads: [World.member_count]std.Thread = undefined;
    for (&threads, 0..) |*thread, member| thread.* = try std.Thread.spawn(.{}, World.run, .{@as(u32, @intCast(member))});
    var seen = [2]u32{ 0, 0 };
    while (World.members_left.load(.acquire) != 0) {
        const some = World.read();
        for (&seen, some) |*total, count| total.* += count;
        if (some[0] + some[1] == 0) std.Thread.yield() catch {};
    }
    for (threads) |thread| thread.join();
    for (&seen, World.read()) |*total, count| total.* += count;
    // Each was taken off once for each time that it was put on.
    try std.testing.expectEqual(World.counts[@intFromEnum(Outcome.listed)].load(.acquire), seen[0] + seen[1]);
    try std.testing.expect(seen[0] >= World.member_count * World.rounds);
    try std.testing.expect(World.counts[@intFromEnum(Outcome.stale)].load(.acquire) > 0);
    for (World.registry.links()[0..World.slot_count]) |link| try std.testing.expectEqual(@as(u9, 0), link.epoch);
}
