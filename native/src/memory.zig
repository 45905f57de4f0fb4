//! Reads and writes of memory that C owns, for JavaScript. A byte offset is a double: it is exact below 2^53 on both sides, and the
//! one 64-bit number that every runtime passes without making an object of it.

const std = @import("std");

pub fn load(comptime T: type) fn (base: [*]const u8, byte_offset: f64) callconv(.c) T {
    return struct {
        fn read(base: [*]const u8, byte_offset: f64) callconv(.c) T {
            const offset: usize = @intFromFloat(byte_offset);
            var value: T = undefined;
            @memcpy(std.mem.asBytes(&value), base[offset..][0..@sizeOf(T)]);
            return value;
        }
    }.read;
}

pub fn copy(target: [*]u8, base: [*]const u8, byte_offset: f64, byte_length: f64) callconv(.c) void {
    const offset: usize = @intFromFloat(byte_offset);
    const length: usize = @intFromFloat(byte_length);
    @memcpy(target[0..length], base[offset..][0..length]);
}

pub fn store(comptime T: type) fn (base: [*]u8, byte_offset: f64, value: T) callconv(.c) void {
    return struct {
        fn write(base: [*]u8, byte_offset: f64, value: T) callconv(.c) void {
            const offset: usize = @intFromFloat(byte_offset);
            @memcpy(base[offset..][0..@sizeOf(T)], std.mem.asBytes(&value));
        }
    }.write;
}

test "store writes at any byte offset, just its own width" {
    var bytes: [10]u8 = @splat(0xff);
    store(u64)(&bytes, 1, 0x0807060504030201);
    try std.testing.expectEqualSlices(u8, &.{ 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 0xff }, &bytes);
}

test "load reads at any byte offset, at its own width" {
    const bytes = [_]u8{ 0xff, 1, 2, 3, 4, 5, 6, 7, 8 };
    try std.testing.expectEqual(@as(i8, -1), load(i8)(&bytes, 0));
    try std.testing.expectEqual(@as(u16, 0x0201), load(u16)(&bytes, 1));
    try std.testing.expectEqual(@as(u64, 0x0807060504030201), load(u64)(&bytes, 1));
}

test "copy copies just what it was asked for" {
    const bytes = [_]u8{ 1, 2, 3, 4 };
    var target: [4]u8 = @splat(0);
    copy(&target, &bytes, 1, 2);
    try std.testing.expectEqualSlices(u8, &.{ 2, 3, 0, 0 }, &target);
}
