//! What the core fetches before JavaScript is asked, and how it answers, with each processor's way to call.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const thunks = @import("../thunks/pool.zig");
const support = @import("support.zig");
const Fetch = abi.Fetch;
const Kind = abi.Kind;
const Probe = support.Probe;
const Step = abi.Step;

const Row = extern struct { user: u64, value: f64, small: f32, tiny: i8, answer: f64 = 0, answers: u32 = 0 };

const c = struct {
    fn value(row: *const Row) callconv(.c) f64 {
        return row.value;
    }
    fn user(row: *const Row) callconv(.c) u64 {
        return row.user;
    }
    fn mixed(a: i32, b: f64, tiny: i8, d: f32) callconv(.c) f64 {
        return @as(f64, @floatFromInt(a)) + b * 10 + @as(f64, @floatFromInt(tiny)) * 100 + @as(f64, d) * 1000;
    }
    fn answer(row: *Row, given: f64) callconv(.c) void {
        row.answer = given;
        row.answers += 1;
    }
    fn answerAll(row: *Row, a: f64, b: f64, given: u64) callconv(.c) u64 {
        row.answer = a + b;
        row.answers += 1;
        return given + 1;
    }
};

fn step(comptime kind: Step, gives: Kind, target: u16, operands: []const u16, function: ?*const anyopaque, bits: u64, floats: u8) Fetch {
    var made: Fetch = .{
        .function = function,
        .byte_offset = bits,
        .operands = @splat(0),
        .target = target,
        .step = @intFromEnum(kind),
        .kind = @intFromEnum(gives),
        .operand_count = @intCast(operands.len),
        .floats = floats,
        .unused = 0,
    };
    for (operands, 0..) |operand, i| made.operands[i] = operand;
    return made;
}

const none = step(.call, .none, 0, &.{}, null, 0, 0);

fn definition(steps: []const Fetch, answer: Fetch) abi.Fetching {
    var made: abi.Fetching = .{ .fallback = 9, .answer = answer, .count = @intCast(steps.len), .unused = 0, .steps = undefined };
    for (steps, 0..) |one, i| made.steps[i] = one;
    return made;
}

/// The place of the float argument that is the `index`th of all, which comes after `integers` others.
fn float(index: u16, integers: u16) u16 {
    return 8 + (if (builtin.os.tag == .windows and builtin.cpu.arch == .x86_64) integers + index else index);
}

const spare = abi.operand_fetched + 24;
const result = abi.operand_fetched + 40;

test "calls, reads, copies and constants give the function its arguments" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "8 fetched").?;
    const slot = thunks.slotOf(number);
    const made = definition(&.{
        step(.call_word, .word, 0, &.{0}, &c.user, 0, 0),
        step(.call_float, .f64, float(0, 1), &.{0}, &c.value, 0, 0),
        step(.read, .i8, 24, &.{0}, null, @offsetOf(Row, "tiny"), 0),
        step(.read, .f32, 25, &.{0}, null, @offsetOf(Row, "small"), 0),
        step(.constant, .word, 26, &.{}, null, 7, 0),
        step(.call, .f64, float(1, 1), &.{ spare + 2, abi.operand_fetched + float(0, 1), spare, spare + 1 }, &c.mixed, 0, 0b1010),
        step(.read_word, .f64, float(2, 1), &.{0}, null, @offsetOf(Row, "value"), 0),
        step(.copy, .word, 16, &.{0}, null, 0, 0),
    }, none);
    slot.fallback = @intFromPtr(&made);
    slot.layout = 1 | 1 << 8 | @as(u32, if (builtin.os.tag == .windows) 4 else 3) << 16 | 3 << 24;
    const row: Row = .{ .user = 42, .value = 2.5, .small = 1.5, .tiny = -3 };
    const function: *const fn (*const Row) callconv(.c) u64 = @ptrCast(@alignCast(thunks.address(number)));
    // Nothing answers: C gets JavaScript's result.
    try std.testing.expectEqual(@as(u64, 77), function(&row));
    try std.testing.expectEqual(@as(u64, 42), Probe.seen[0]);
    try std.testing.expectEqual(@as(f64, 2.5), @as(f64, @bitCast(Probe.seen[float(0, 1)])));
    try std.testing.expectEqual(@as(f64, 7 + 25 - 300 + 1500), @as(f64, @bitCast(Probe.seen[float(1, 1)])));
    try std.testing.expectEqual(@as(u64, @intFromPtr(&row)), Probe.seen[16]);
    try std.testing.expectEqual(@as(u64, 9), thunks.fallbackOf(slot));
}

test "an answer goes to C's function, if there is one" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "8 fetched").?;
    const slot = thunks.slotOf(number);
    const function: *const fn (*Row) callconv(.c) u64 = @ptrCast(@alignCast(thunks.address(number)));
    slot.layout = 3 << 24;
    var row: Row = .{ .user = 0, .value = 0, .small = 0, .tiny = 0 };
    const quick = definition(&.{}, step(.call_with_float, .none, 0, &.{ 0, result }, &c.answer, 0, 0b10));
    slot.fallback = @intFromPtr(&quick);
    // JavaScript has said nothing: C gets the fallback.
    try std.testing.expectEqual(@as(u64, 9), function(&row));
    try std.testing.expectEqual(@as(u32, 0), row.answers);
    Probe.answers = true;
    defer Probe.answers = false;
    try std.testing.expectEqual(@as(u64, 9), function(&row));
    try std.testing.expectEqual(@as(u32, 1), row.answers);
    try std.testing.expectEqual(@as(f64, @bitCast(@as(u64, 77))), row.answer);
    try std.testing.expectEqual(@as(u32, 0), isolate.words.answered);
}

test "C's arguments on the stack are operands, of the answer, too" {
    const isolate = try support.probe();
    defer support.dismiss(isolate);
    const number = thunks.claim(isolate, "many fetched").?;
    const slot = thunks.slotOf(number);
    const Function = fn (*Row, u64, u64, u64, u64, u64, u64, u64, u64, f64, u64) callconv(.c) u64;
    const function: *const Function = @ptrCast(@alignCast(thunks.address(number)));
    // The last argument, and the one float.
    const is_windows = builtin.os.tag == .windows and builtin.cpu.arch == .x86_64;
    const last: u16 = if (is_windows) 6 else if (builtin.cpu.arch == .x86_64) 3 else 1;
    const float_place: u16 = if (is_windows) abi.operand_stack + 5 else 8;
    const made = definition(
        &.{step(.copy, .u16, 0, &.{abi.operand_stack + last}, null, 0, 0)},
        step(.call, .word, 0, &.{ 0, float_place, float_place, result }, &c.answerAll, 0, 0b0110),
    );
    slot.fallback = @intFromPtr(&made);
    slot.layout = 1 << 8 | 3 << 24;
    Probe.answers = true;
    defer Probe.answers = false;
    var row: Row = .{ .user = 0, .value = 0, .small = 0, .tiny = 0 };
    try std.testing.expectEqual(@as(u64, 78), function(&row, 1, 2, 3, 4, 5, 6, 7, 8, 1.25, 0x1_0003));
    try std.testing.expectEqual(@as(u64, 3), Probe.seen[0]);
    try std.testing.expectEqual(@as(f64, 2.5), row.answer);
}
