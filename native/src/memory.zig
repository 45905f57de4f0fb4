//! Reads and writes of memory that C owns, for JavaScript. A byte offset is a double: it is exact below 2^53 on both
//! sides, and the one 64-bit number that every runtime passes without making an object of it.

const std = @import("std");
const builtin = @import("builtin");

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

pub fn store(comptime T: type) fn (base: [*]u8, byte_offset: f64, value: T) callconv(.c) void {
    return struct {
        fn write(base: [*]u8, byte_offset: f64, value: T) callconv(.c) void {
            const offset: usize = @intFromFloat(byte_offset);
            @memcpy(base[offset..][0..@sizeOf(T)], std.mem.asBytes(&value));
        }
    }.write;
}

pub fn copy(
    target: [*]u8,
    target_byte_offset: f64,
    source: [*]const u8,
    source_byte_offset: f64,
    byte_length: f64,
) callconv(.c) void {
    const to = target + @as(usize, @intFromFloat(target_byte_offset));
    const from = source + @as(usize, @intFromFloat(source_byte_offset));
    const length: usize = @intFromFloat(byte_length);
    // They may overlap.
    @memmove(to[0..length], from[0..length]);
}

pub fn fill(base: [*]u8, byte_offset: f64, value: u8, byte_length: f64) callconv(.c) void {
    const offset: usize = @intFromFloat(byte_offset);
    const length: usize = @intFromFloat(byte_length);
    @memset(base[offset..][0..length], value);
}

const standard = struct {
    // It looks at nothing after what it finds, as C11 has it.
    extern "c" fn memchr(bytes: [*]const u8, value: c_int, byte_length: usize) callconv(.c) ?[*]const u8;
};

pub fn findZero(base: [*]const u8, byte_offset: f64, unit_byte_length: u32, byte_length: f64) callconv(.c) f64 {
    if (std.debug.runtime_safety) std.debug.assert(unit_byte_length == 1 or unit_byte_length == 2);
    const text = base + @as(usize, @intFromFloat(byte_offset));
    const length: usize = @intFromFloat(byte_length);
    if (unit_byte_length == 1) {
        const zero = standard.memchr(text, 0, length) orelse return -1;
        return @floatFromInt(zero - text);
    }
    var at: usize = 0;
    while (at + 1 < length) : (at += 2) {
        if (text[at] | text[at + 1] == 0) return @floatFromInt(at);
    }
    return -1;
}

const windows = struct {
    extern "c" fn _aligned_malloc(byte_length: usize, alignment: usize) callconv(.c) ?[*]u8;
    extern "c" fn _aligned_free(memory: ?*anyopaque) callconv(.c) void;
};

const posix = struct {
    extern "c" fn posix_memalign(memory: *?*anyopaque, alignment: usize, byte_length: usize) callconv(.c) c_int;
};

/// What `malloc` gives is aligned for this.
const usual_alignment = 16;

pub fn allocate(byte_length: f64, alignment: u32, zero: bool) callconv(.c) ?[*]u8 {
    if (std.debug.runtime_safety) std.debug.assert(std.math.isPowerOfTwo(alignment));
    const length: usize = @max(1, @as(usize, @intFromFloat(byte_length)));
    // Pages from the system are zeroes, and take no memory until they are written.
    if (builtin.os.tag != .windows and alignment <= usual_alignment) {
        const made = if (zero) std.c.calloc(1, length) else std.c.malloc(length);
        return @ptrCast(made);
    }
    const memory: [*]u8 = if (builtin.os.tag == .windows)
        windows._aligned_malloc(length, @max(alignment, usual_alignment)) orelse return null
    else blk: {
        var made: ?*anyopaque = null;
        if (posix.posix_memalign(&made, alignment, length) != 0) return null;
        break :blk @ptrCast(made.?);
    };
    if (zero) @memset(memory[0..length], 0);
    return memory;
}

pub fn release(memory: ?*anyopaque) callconv(.c) void {
    if (builtin.os.tag == .windows) windows._aligned_free(memory) else std.c.free(memory);
}
