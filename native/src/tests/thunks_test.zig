//! The pool of thunks: claims, chunks that are given again, and copies of the library's code.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const lifecycle = @import("../lifecycle.zig");
const support = @import("support.zig");
const thunks = @import("../thunks/pool.zig");
const Probe = support.Probe;

test "a claim tells JavaScript where the thunks and their slots are" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const first = thunks.claim(isolate, "a").?;
    try std.testing.expectEqual(thunks.slotOf(first), &isolate.words.chunk_slots.?[0]);
    try std.testing.expectEqual(@as(?*const anyopaque, thunks.address(first)), isolate.words.chunk_code);
    const second: usize = @intFromPtr(isolate.words.chunk_code) + isolate.words.thunk_stride;
    try std.testing.expectEqual(@intFromPtr(thunks.address(first + 1)), second);
}

test "a shape has one number, and another shape another" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const first = thunks.shapeNumber("i4:test").?;
    try std.testing.expect(thunks.shapeNumber("i4:tess").? != first);
    try std.testing.expectEqual(first, thunks.shapeNumber(&.{ 'i', '4', ':', 't', 'e', 's', 't' }).?);
}

test "beyond the library's own, thunks are copies of them, executable and not writable" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    for (0..thunks.chunks_of_block) |i| {
        try std.testing.expectEqual(@as(?u32, @intCast(i * thunks.chunk_length)), thunks.claim(isolate, "a"));
    }
    const before = thunks.count();
    const first = thunks.claim(isolate, "a").?;
    try std.testing.expectEqual(thunks.block_length, first);
    try std.testing.expectEqual(@max(before, 2 * thunks.block_length), thunks.count());
    for (1..thunks.chunks_of_block) |_| _ = thunks.claim(isolate, "a").?;
    for ([_]u32{ 0, 1, 1000, thunks.block_length - 1 }) |offset| {
        const number = first + offset;
        thunks.slotOf(number).layout = 6 | 8 << 8 | 8 << 16;
        thunks.slotOf(number).index = offset;
        const Function = fn (u64, f64, u64, u64, u64, u64, u64, u64, u64, u64) callconv(.c) u64;
        try std.testing.expectEqual(@as(u64, 77), support.functionOf(number, Function)(1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9));
        try std.testing.expectEqual(offset, Probe.callback);
        try std.testing.expectEqual(@as(u64, 1), Probe.seen[0]);
        if (builtin.os.tag != .windows) try std.testing.expectEqual(@as(u64, 2), Probe.seen[1]);
    }
}

test "fresh thunks.chunks come first, then those of the same shape whose isolate left first" {
    const gpa = std.testing.allocator;
    const first = try support.probe();
    _ = thunks.claim(first, "a");
    const first_other = thunks.claim(first, "b").?;
    const second = lifecycle.attach(gpa, false, support.stack_byte_length).?;
    const second_one = thunks.claim(second, "a").?;
    const isolate = lifecycle.attach(gpa, false, support.stack_byte_length).?;
    defer {
        gpa.destroy(first);
        gpa.destroy(second);
        support.dismiss(isolate);
    }
    try std.testing.expect(second.departure > first.departure);
    while (thunks.chunks.items.len < thunks.chunks_of_block) _ = thunks.claim(isolate, "c").?;
    thunks.slotOf(0).state = 4 | abi.contract_post;
    try std.testing.expectEqual(@as(?u32, 0), thunks.claim(isolate, "a"));
    // What was queued for the isolate before would be taken for this one's if its states came again.
    try std.testing.expectEqual(@as(u32, 8), thunks.slotOf(0).state);
    try std.testing.expectEqual(@as(?u32, second_one), thunks.claim(isolate, "a"));
    try std.testing.expectEqual(@as(?u32, first_other), thunks.claim(isolate, "b"));
    try std.testing.expectEqual(@as(?u32, thunks.block_length), thunks.claim(isolate, "b"));
    try std.testing.expectEqual(@as(?*abi.Words, &isolate.words), thunks.slotOf(0).isolate);
}
