//! Any call of C, from a frame as `ffi/types/calling_convention.ts` lays it out.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const caller = @import("../calls/caller.zig");
const Frame = abi.Frame;
const make = caller.make;

const test_layout = struct {
    const Kind = enum { sysv, windows, aapcs, apple };
    const kind: Kind = if (builtin.cpu.arch == .x86_64)
        (if (builtin.os.tag == .windows) .windows else .sysv)
    else if (builtin.os.tag == .macos) .apple else .aapcs;

    /// Puts arguments where `argumentLayout` in `ffi/types/calling_convention.ts` does.
    fn write(frame: *Frame, arguments: anytype) void {
        const bytes = std.mem.asBytes(&frame.arguments);
        var integers: usize = 0;
        var floats: usize = 0;
        var stack_bytes: usize = 0;
        inline for (arguments, 0..) |argument, position| {
            const T = @TypeOf(argument);
            const is_float = @typeInfo(T) == .float;
            const in_register = if (kind == .windows)
                position < 4
            else if (is_float) floats < 8 else integers < @as(usize, if (kind == .sysv) 6 else 8);
            const word: u64 = switch (@typeInfo(T)) {
                .float => if (T == f32) @as(u32, @bitCast(argument)) else @bitCast(argument),
                .int => |int| if (int.signedness == .signed) @bitCast(@as(i64, argument)) else argument,
                else => @intFromPtr(argument),
            };
            if (in_register) {
                const index = if (kind == .windows) position else if (is_float) floats else integers;
                frame.arguments[index + @as(usize, if (is_float) 8 else 0)] = word;
                if (is_float) floats += 1 else integers += 1;
            } else {
                const slot: usize = if (kind == .apple) @sizeOf(T) else 8;
                stack_bytes = std.mem.alignForward(usize, stack_bytes, slot);
                @memcpy(bytes[128 + stack_bytes ..][0..slot], std.mem.asBytes(&word)[0..slot]);
                stack_bytes += slot;
            }
        }
        frame.stack_words = (stack_bytes + 7) / 8;
    }
};

fn frameOf(function: *const anyopaque, arguments: anytype) Frame {
    var frame: Frame = .{
        .arguments = @splat(0xaaaa_aaaa_aaaa_aaaa),
        .function = function,
        .stack_words = 0,
        .indirect_result = 0,
        .integer_results = @splat(0),
        .float_results = @splat(0),
    };
    test_layout.write(&frame, arguments);
    return frame;
}

const Callee = struct {
    fn nothing() callconv(.c) void {}
    fn integers(a: i8, b: u16, c: i32, d: i64, e: u8, f: i16, g: u32, h: u64, i: i8, j: u16, k: i64) callconv(.c) i64 {
        return a + 2 * @as(i64, b) + 3 * @as(i64, c) + 4 * d + 5 * @as(i64, e) + 6 * @as(i64, f) + 7 * @as(i64, g) +
            8 * @as(i64, @intCast(h)) + 9 * @as(i64, i) + 10 * @as(i64, j) + 11 * k;
    }
    fn floats(a: f32, b: f64, c: f32, d: f64, e: f32, f: f64, g: f32, h: f64, i: f32, j: f64) callconv(.c) f64 {
        return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i + 10 * j;
    }
    fn single(a: f64, b: f32) callconv(.c) f32 {
        return @as(f32, @floatCast(a)) + b;
    }
    fn mixed(a: i32, b: f64, c: i64, d: f32, e: u8, f: f64, g: i16, h: f32, i: i64, j: f64, k: i8, l: f32, m: u16, n: f64, o: i64, p: f32, q: i8, r: f64, s: i16, t: f32) callconv(.c) f64 {
        return @as(f64, @floatFromInt(a + c + e + g + i + k + m + o + q + s)) + b + d + f + h + j + l + n + p + r + t;
    }
    const Pair = extern struct { low: u64, high: u64 };
    fn pair(low: u64, high: u64) callconv(.c) Pair {
        return .{ .low = high, .high = low };
    }
    const Many = extern struct { words: [5]u64 };
    fn many(first: u64) callconv(.c) Many {
        return .{ .words = .{ first, first + 1, first + 2, first + 3, first + 4 } };
    }
    const Doubles = extern struct { a: f64, b: f64, c: f64, d: f64 };
    fn doubles(a: f64) callconv(.c) Doubles {
        return .{ .a = a, .b = 2 * a, .c = 3 * a, .d = 4 * a };
    }
    extern "c" fn snprintf(buffer: [*]u8, length: usize, format: [*:0]const u8, ...) callconv(.c) c_int;
};

test "a call without arguments or result" {
    var frame = frameOf(&Callee.nothing, .{});
    make(&frame);
}

test "integers of every width arrive in registers and on the stack" {
    const arguments = .{ @as(i8, -128), @as(u16, 65535), @as(i32, std.math.minInt(i32)), @as(i64, -1 << 50), @as(u8, 255), @as(i16, -32768), @as(u32, 0xffff_ffff), @as(u64, 1 << 50), @as(i8, -1), @as(u16, 0x8000), @as(i64, -3) };
    var frame = frameOf(&Callee.integers, arguments);
    make(&frame);
    try std.testing.expectEqual(@call(.auto, Callee.integers, arguments), @as(i64, @bitCast(frame.integer_results[0])));
}

test "floats of both widths arrive in registers and on the stack, and come back" {
    const arguments = .{ @as(f32, 0.5), @as(f64, -1e10), @as(f32, 3), @as(f64, 4.25), @as(f32, -5), @as(f64, 6), @as(f32, 7), @as(f64, 8), @as(f32, 9.5), @as(f64, 1e-3) };
    var frame = frameOf(&Callee.floats, arguments);
    make(&frame);
    try std.testing.expectEqual(@call(.auto, Callee.floats, arguments), @as(f64, @bitCast(frame.float_results[0])));
    frame = frameOf(&Callee.single, .{ @as(f64, 1.5), @as(f32, -0.25) });
    make(&frame);
    try std.testing.expectEqual(@as(f32, 1.25), @as(f32, @bitCast(@as(u32, @truncate(frame.float_results[0])))));
}

test "twenty integers and floats in turn" {
    const arguments = .{ @as(i32, -1), @as(f64, 2.5), @as(i64, 3), @as(f32, 4.5), @as(u8, 5), @as(f64, 6.5), @as(i16, -7), @as(f32, 8.5), @as(i64, 9), @as(f64, 10.5), @as(i8, -11), @as(f32, 12.5), @as(u16, 13), @as(f64, 14.5), @as(i64, 15), @as(f32, 16.5), @as(i8, -17), @as(f64, 18.5), @as(i16, 19), @as(f32, 20.5) };
    var frame = frameOf(&Callee.mixed, arguments);
    make(&frame);
    try std.testing.expectEqual(@call(.auto, Callee.mixed, arguments), @as(f64, @bitCast(frame.float_results[0])));
}

/// What a block of any number of stack words looks like from inside.
const Words = struct {
    var seen: [abi.stack_words]u64 = undefined;

    fn take(comptime count: usize) *const anyopaque {
        const Taker = switch (count) {
            1 => struct {
                fn take(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64, _: u64, _: u64, a: u64) callconv(.c) u64 {
                    seen[0] = a;
                    return @frameAddress() & 15;
                }
            },
            else => struct {
                fn take(_: u64, _: u64, _: u64, _: u64, _: u64, _: u64, _: u64, _: u64, a: u64, b: u64) callconv(.c) u64 {
                    seen[0..2].* = .{ a, b };
                    return @frameAddress() & 15;
                }
            },
        };
        return &Taker.take;
    }
};

test "the stack is aligned, whether an odd or an even number of words is on it" {
    inline for (.{ 1, 2 }) |count| {
        const zero: u64 = 0;
        const first = .{ zero, zero, zero, zero, zero, zero, zero, zero };
        var frame = frameOf(Words.take(count), first ++ (if (count == 1) .{@as(u64, 7)} else .{ @as(u64, 7), @as(u64, 8) }));
        make(&frame);
        try std.testing.expectEqual(@as(u64, 7), Words.seen[0]);
        if (count == 2) try std.testing.expectEqual(@as(u64, 8), Words.seen[1]);
        // The frame pointer is stored below the return address, at an aligned place, on every platform but Windows.
        if (builtin.os.tag != .windows) try std.testing.expectEqual(@as(u64, 0), frame.integer_results[0]);
    }
}

test "what a variadic function and structures need is there" {
    var text: [64]u8 = undefined;
    const format: [*:0]const u8 = "%d %.2f %s";
    const word: [*:0]const u8 = "word";
    var frame = frameOf(&Callee.snprintf, .{ @as([*]u8, &text), @as(u64, text.len), format, @as(i32, -5) });
    const bits: u64 = @bitCast(@as(f64, 2.5));
    switch (test_layout.kind) {
        // By position: on Windows a variadic float is also in the integer register, and here already on the stack.
        .windows => frame.arguments[16..18].* = .{ bits, @intFromPtr(word) },
        .sysv, .aapcs => frame.arguments[8] = bits,
        .apple => frame.arguments[16..19].* = .{ @bitCast(@as(i64, -5)), bits, @intFromPtr(word) },
    }
    switch (test_layout.kind) {
        .windows => frame.stack_words = 2,
        .sysv, .aapcs => frame.arguments[4] = @intFromPtr(word),
        .apple => frame.stack_words = 3,
    }
    make(&frame);
    try std.testing.expectEqualStrings("-5 2.50 word", text[0..@intCast(@as(i32, @truncate(@as(i64, @bitCast(frame.integer_results[0])))))]);

    var made: Callee.Many = undefined;
    frame = if (builtin.cpu.arch == .x86_64)
        frameOf(&Callee.many, .{ @as(*Callee.Many, &made), @as(u64, 40) })
    else
        frameOf(&Callee.many, .{@as(u64, 40)});
    frame.indirect_result = @intFromPtr(&made);
    make(&frame);
    try std.testing.expectEqual([5]u64{ 40, 41, 42, 43, 44 }, made.words);
    if (test_layout.kind == .windows) return;
    frame = frameOf(&Callee.pair, .{ @as(u64, 1), @as(u64, 2) });
    make(&frame);
    try std.testing.expectEqual([2]u64{ 2, 1 }, frame.integer_results);
    if (test_layout.kind == .sysv) return;
    frame = frameOf(&Callee.doubles, .{@as(f64, 1.5)});
    make(&frame);
    const floats: [4]f64 = @bitCast(frame.float_results);
    try std.testing.expectEqual([4]f64{ 1.5, 3, 4.5, 6 }, floats);
}
