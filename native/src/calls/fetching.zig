//! What the core does for a callback by itself: C functions that it calls, and memory that it reads, before JavaScript is
//! asked, and the C function that takes JavaScript's answer. So a callback whose arguments have to be asked for takes one
//! crossing rather than one for each. The steps are data, which JavaScript has checked; the core knows no library.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const caller = @import("caller.zig");
const Fetch = abi.Fetch;
const Fetching = abi.Fetching;
const Registers = [abi.register_words]u64;

/// What JavaScript's function gets of them on the stack, and what steps need beside that.
const stack_length = 8;
const spare_length = 16;
const result_place = abi.register_words + stack_length + spare_length;

/// The arguments of JavaScript's function as C would give them, and behind them what else the steps need.
pub const Fetched = struct {
    registers: Registers,
    rest: [stack_length + spare_length + 1]u64,

    comptime {
        std.debug.assert(@offsetOf(Fetched, "rest") == @sizeOf(Registers));
    }
};

/// Where operands are.
pub const Sources = struct {
    bases: [3][*]const u64,

    /// @param registers What C gave in registers, and on the `stack`.
    pub fn of(registers: *const Registers, stack: [*]const u64, fetched: *const Fetched) Sources {
        return .{ .bases = .{ registers, stack, @ptrCast(fetched) } };
    }

    inline fn word(sources: *const Sources, operand: u16) u64 {
        return sources.bases[operand >> 8][operand & 0xff];
    }
};

/// Takes the steps, on the thread on which C has called.
pub fn fetch(fetching: *const Fetching, sources: *const Sources, fetched: *Fetched) void {
    fetchFor(fetching, sources, fetched, @ptrCast(fetched));
}

/// The same, and puts what they give to `arguments` as well.
pub inline fn fetchFor(fetching: *const Fetching, sources: *const Sources, fetched: *Fetched, arguments: [*]u64) void {
    const words: [*]u64 = @ptrCast(fetched);
    for (fetching.steps[0..fetching.count]) |*step| {
        const bits = perform(step, sources);
        words[step.target] = bits;
        arguments[step.target] = bits;
    }
}

/// Gives C's function an answer of JavaScript's; answers what C gets for it. It takes C's arguments and the result: what steps
/// have given is gone by now.
pub inline fn answer(fetching: *const Fetching, registers: *const Registers, stack: [*]const u64, result: u64) u64 {
    const step = &fetching.answer;
    if (step.function == null) return result;
    var fetched: Fetched = undefined;
    fetched.rest[result_place - abi.register_words] = result;
    const sources: Sources = .of(registers, stack, &fetched);
    const bits = if (step.step == @intFromEnum(abi.Step.call_with_float))
        callWithFloat(step, &sources)
    else
        callAny(step, &sources);
    return if (step.kind == @intFromEnum(abi.Kind.none)) fetching.fallback else bits;
}

inline fn perform(step: *const Fetch, sources: *const Sources) u64 {
    const function = step.function;
    const operands = &step.operands;
    switch (@as(abi.Step, @enumFromInt(step.step))) {
        .call_word => return @as(*const fn (u64) callconv(.c) u64, @ptrCast(@alignCast(function)))(sources.word(operands[0])),
        .call_float => {
            const call: *const fn (u64) callconv(.c) f64 = @ptrCast(@alignCast(function));
            return @bitCast(call(sources.word(operands[0])));
        },
        .call_with_float => return callWithFloat(step, sources),
        .read_word => {
            const address = sources.word(operands[0]);
            if (address == 0) return 0;
            return @as(*align(1) const u64, @ptrFromInt(@as(usize, @intCast(address +% step.byte_offset)))).*;
        },
        .copy => return as(@enumFromInt(step.kind), sources.word(operands[0])),
        .constant => return step.byte_offset,
        .number => return @bitCast(@as(f64, @floatFromInt(sources.word(operands[0])))),
        .read_half => {
            const address = sources.word(operands[0]);
            if (address == 0) return 0;
            return @as(*align(1) const u32, @ptrFromInt(@as(usize, @intCast(address +% step.byte_offset)))).*;
        },
        .read => return read(sources.word(operands[0]), step.byte_offset, @enumFromInt(step.kind)),
        else => return callAny(step, sources),
    }
}

inline fn callWithFloat(step: *const Fetch, sources: *const Sources) u64 {
    const call: *const fn (u64, f64) callconv(.c) u64 = @ptrCast(@alignCast(step.function));
    return call(sources.word(step.operands[0]), @bitCast(sources.word(step.operands[1])));
}

/// A narrow integer's upper bits are anything, as C gives it.
fn as(kind: abi.Kind, bits: u64) u64 {
    return switch (kind) {
        .u8 => @as(u8, @truncate(bits)),
        .i8 => extended(i8, bits),
        .u16 => @as(u16, @truncate(bits)),
        .i16 => extended(i16, bits),
        .u32, .f32 => @as(u32, @truncate(bits)),
        .i32 => extended(i32, bits),
        else => bits,
    };
}

fn extended(comptime Integer: type, bits: u64) u64 {
    const Unsigned = std.meta.Int(.unsigned, @bitSizeOf(Integer));
    return @bitCast(@as(i64, @as(Integer, @bitCast(@as(Unsigned, @truncate(bits))))));
}

/// What is behind an address, which needn't be aligned; nothing is behind NULL.
noinline fn read(address: u64, byte_offset: u64, kind: abi.Kind) u64 {
    if (address == 0) return 0;
    const place: [*]const u8 = @ptrFromInt(@as(usize, @intCast(address +% byte_offset)));
    const length: usize = switch (kind) {
        .u8, .i8 => 1,
        .u16, .i16 => 2,
        .u32, .i32, .f32 => 4,
        else => 8,
    };
    var bits: u64 = 0;
    const bytes: [*]u8 = @ptrCast(&bits);
    switch (length) {
        1 => bytes[0] = place[0],
        2 => bytes[0..2].* = place[0..2].*,
        4 => bytes[0..4].* = place[0..4].*,
        else => bytes[0..8].* = place[0..8].*,
    }
    return as(kind, bits);
}

noinline fn callAny(step: *const Fetch, sources: *const Sources) u64 {
    var frame: abi.Frame = undefined;
    frame.function = step.function;
    frame.stack_words = 0;
    const is_positional = builtin.os.tag == .windows and builtin.cpu.arch == .x86_64;
    var integers: usize = 0;
    var floats: usize = 0;
    for (step.operands[0..step.operand_count], 0..) |operand, index| {
        if (step.floats >> @intCast(index) & 1 == 0) {
            frame.arguments[if (is_positional) index else integers] = sources.word(operand);
            integers += 1;
        } else {
            frame.arguments[8 + (if (is_positional) index else floats)] = sources.word(operand);
            floats += 1;
        }
    }
    caller.make(&frame);
    const kind: abi.Kind = @enumFromInt(step.kind);
    const is_float = kind == .f32 or kind == .f64;
    return as(kind, if (is_float) frame.float_results[0] else frame.integer_results[0]);
}

comptime {
    std.debug.assert(builtin.cpu.arch.endian() == .little);
}
