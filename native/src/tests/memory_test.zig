//! Reads and writes of C's memory.

const std = @import("std");
const builtin = @import("builtin");
const memory = @import("../memory.zig");

test "store writes at any byte offset, just its own width" {
    var bytes: [10]u8 = @splat(0xff);
    memory.store(u64)(&bytes, 1, 0x0807060504030201);
    try std.testing.expectEqualSlices(u8, &.{ 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 0xff }, &bytes);
}

test "load reads at any byte offset, at its own width" {
    const bytes = [_]u8{ 0xff, 1, 2, 3, 4, 5, 6, 7, 8 };
    try std.testing.expectEqual(@as(i8, -1), memory.load(i8)(&bytes, 0));
    try std.testing.expectEqual(@as(u16, 0x0201), memory.load(u16)(&bytes, 1));
    try std.testing.expectEqual(@as(u64, 0x0807060504030201), memory.load(u64)(&bytes, 1));
}

test "copy and fill write just what they were asked to" {
    var bytes = [_]u8{ 1, 2, 3, 4, 5, 6 };
    memory.copy(&bytes, 1, &bytes, 0, 3);
    try std.testing.expectEqualSlices(u8, &.{ 1, 1, 2, 3, 5, 6 }, &bytes);
    memory.fill(&bytes, 4, 9, 1);
    try std.testing.expectEqualSlices(u8, &.{ 1, 1, 2, 3, 9, 6 }, &bytes);
    memory.copy(&bytes, 6, &bytes, 0, 0);
}

test "a zero is found where a unit begins, within the length" {
    const bytes = [_]u8{ 1, 0x61, 0, 0, 0x62, 0, 0 };
    try std.testing.expectEqual(@as(f64, 1), memory.findZero(&bytes, 1, 1, 6));
    try std.testing.expectEqual(@as(f64, -1), memory.findZero(&bytes, 0, 1, 2));
    try std.testing.expectEqual(@as(f64, 4), memory.findZero(&bytes, 1, 2, 6));
    try std.testing.expectEqual(@as(f64, 2), memory.findZero(&bytes, 0, 2, 7));
    try std.testing.expectEqual(@as(f64, -1), memory.findZero(&bytes, 1, 2, 5));
    try std.testing.expectEqual(@as(f64, -1), memory.findZero(&bytes, 0, 1, 0));
    // As much as there may be.
    try std.testing.expectEqual(@as(f64, 2), memory.findZero(&bytes, 0, 1, 9007199254740991));
    try std.testing.expectEqual(@as(f64, 2), memory.findZero(&bytes, 0, 2, 9007199254740991));
}

test "memory is aligned, zeroed if asked for, and given back" {
    for ([_]u32{ 1, 8, 16, 64, 4096, 1 << 20 }) |alignment| {
        for ([_]f64{ 0, 1, 100, 5000 }) |byte_length| {
            const made = memory.allocate(byte_length, alignment, true).?;
            defer memory.release(made);
            try std.testing.expectEqual(@as(usize, 0), @intFromPtr(made) % alignment);
            const bytes = made[0..@intFromFloat(byte_length)];
            for (bytes) |byte| try std.testing.expectEqual(@as(u8, 0), byte);
            @memset(bytes, 0xff);
        }
    }
    // The sanitizer's own allocator ends the process.
    if (!builtin.sanitize_thread) try std.testing.expectEqual(@as(?[*]u8, null), memory.allocate(1 << 62, 16, false));
}
