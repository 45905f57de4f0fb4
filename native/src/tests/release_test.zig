//! Handles that C releases, with any bits.

const std = @import("std");
const abi = @import("../abi.zig");
const lifecycle = @import("../lifecycle.zig");
const support = @import("support.zig");
const tags = @import("../handles/tags.zig");
const test_stack = support.stack_byte_length;

fn released(id: u64) void {
    tags.release(@ptrFromInt(@as(usize, @intCast(id))));
}

test "a handle that is released is listed for the isolate whose tag it has; what is none is counted" {
    const gpa = std.testing.allocator;
    const first = lifecycle.attach(gpa, false, test_stack).?;
    defer gpa.destroy(first);
    const copy = lifecycle.attach(gpa, true, test_stack).?;
    defer gpa.destroy(copy);
    const words = &copy.words;
    const id = @as(u64, words.tag) << 23 | 3 << 31;
    tags.registryIds(copy, 64).?[0] = @floatFromInt(id);
    released(id);
    try std.testing.expectEqual(@as(u32, 1), words.released);
    try std.testing.expectEqual(@as(u32, abi.attention_release), words.attention);
    try std.testing.expectEqual(@as(u32, 0), words.stale_releases);
    for ([_]u64{ id, id + 1, id + 2, id + 130, id + (1 << 31) }) |stale| released(stale);
    try std.testing.expectEqual(@as(u32, 5), words.stale_releases);
    try std.testing.expectEqual(@as(u32, 0), first.words.stale_releases);
    // NULL is nothing to release.
    released(0);
    try std.testing.expectEqual(@as(u32, 5), words.stale_releases);
    // What has no tag.
    for ([_]u64{ 2, 1, id + (1 << 53), id + (1 << 63), std.math.maxInt(u64) }) |none| released(none);
    try std.testing.expectEqual(@as(u32, 10), words.stale_releases);
    try std.testing.expectEqual(@as(u32, 5), first.words.stale_releases);
    try std.testing.expectEqual(@as(u32, 0), first.words.attention);
    try std.testing.expectEqual(@as(u32, 1), words.released);
    // JavaScript declares it dead.
    @atomicStore(u32, &words.live, 0, .release);
    tags.registryIds(copy, 64).?[1] = @floatFromInt(id + 3);
    released(id + 3);
    lifecycle.leaveThread();
    released(id + 3);
    released(1);
    try std.testing.expectEqual(@as(u32, 1), words.released);
    try std.testing.expectEqual(@as(u32, 10), words.stale_releases);
    const tag = &tags.table[words.tag];
    tag.registry.free();
    tag.* = .{};
}

test "any 64 bits can be released" {
    const gpa = std.testing.allocator;
    const isolate = lifecycle.attach(gpa, false, test_stack).?;
    defer gpa.destroy(isolate);
    const tag = &tags.table[isolate.words.tag];
    _ = tags.registryIds(isolate, 64);
    var random = std.Random.DefaultPrng.init(1);
    for (0..100_000) |_| {
        const bits = random.random().int(u64);
        // And what looks more like one of its ids.
        for ([_]u64{ bits, bits >> 11, bits & 0x7f | @as(u64, isolate.words.tag) << 23 }) |id| released(id);
    }
    try std.testing.expectEqual(@as(u32, 0), isolate.words.released);
    try std.testing.expect(isolate.words.stale_releases >= 200_000);
    lifecycle.leaveThread();
    tag.registry.free();
    tag.* = .{};
}
