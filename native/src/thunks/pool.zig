//! The pool of precompiled thunks: C function pointers that TypeScript functions can stand behind. The first 4,096 are
//! code of this library. When they are used up, copies of that code are mapped elsewhere, 4,096 at a time; a copy becomes
//! executable when it is no longer writable. Nothing is ever unmapped.

const std = @import("std");
const builtin = @import("builtin");
const isolates = @import("../isolate.zig");
const foreign_calls = @import("../queued/queued.zig");
const caller = @import("../calls/caller.zig");
const futex = @import("../os/futex.zig");
const pages = @import("../os/pages.zig");
const Queue = @import("../queue.zig").Queue;
const Isolate = isolates.Isolate;
const Lock = @import("../os/lock.zig").Lock;

const arch = switch (builtin.cpu.arch) {
    .x86_64 => if (builtin.os.tag == .windows)
        @import("x86_64_windows.zig")
    else
        @import("x86_64_sysv.zig"),
    .aarch64 => @import("aarch64.zig"),
    else => @compileError("belay has no thunks for this processor"),
};

/// Thunks in a block: the library's own, or a copy.
pub const block_length = 4096;
pub const block_length_text = std.fmt.comptimePrint("{d}", .{block_length});
pub const max_blocks = 256;
/// Isolates take thunks from the pool so many at a time, all for one shape.
pub const chunk_length = 16;
const chunks_of_block = block_length / chunk_length;

/// What the dispatcher has to know of a thunk. The isolate that claimed it writes it from JavaScript, except for what is
/// counted here.
pub const Slot = extern struct {
    isolate: ?*Isolate = null,
    /// The bits that C gets when the function can't be asked; the length of a structure that goes back in memory.
    fallback: u64 = 0,
    /// How many words its signature has on the stack, in integer and in float registers, and how its result goes back: a
    /// byte each.
    layout: u32 = 0,
    /// Calls from elsewhere than the isolate's own stack, since JavaScript last put a function behind it.
    foreign_calls: u32 = 0,
    /// What JavaScript calls it: handed to the trampoline.
    index: u32 = 0,
    /// The contract for calls from elsewhere, in the lowest bits, and a count of the functions that had another one than
    /// `contract_same`. It changes before and after what follows.
    state: u32 = contract_same,
    /// Which of the first 64 words of the arguments are strings: integer registers, float registers, the stack, in this order.
    strings: u64 = 0,
    queue: ?*Queue = null,
    timeout_ms: u32 = 0,
    /// Calls that were not queued, or dropped for newer ones.
    dropped: u32 = 0,
    /// Calls that nobody served in time. Those that were refused, or that nobody served in time, since JavaScript was in one
    /// native call all the time. JavaScript takes both.
    timeouts: u16 = 0,
    in_vain: u16 = 0,
    /// In the list of thunks that have something to tell: one more than the list's next word; 0 outside it.
    noted: u32 = 0,
};

pub const contract_mask: u32 = 3;
pub const contract_same: u32 = 0;
pub const contract_post: u32 = 1;
pub const contract_wait: u32 = 2;

/// How a result goes back: as a scalar, as a structure in registers, as one in memory that C gives.
pub const Result = enum(u8) { scalar, registers, memory, _ };

fn resultOf(slot: *const Slot) Result {
    return @enumFromInt(@atomicLoad(u32, &slot.layout, .monotonic) >> 24);
}

/// The argument registers, in the order in which the architecture's entry spills them. It loads the other result registers
/// from there afterwards: the second integer register's place, and those of the first four float registers.
pub const Frame = [isolates.register_words]u64;
const first_float = 8;

/// Who has a chunk, and the shape that it serves for good.
const Chunk = struct {
    owner: *Isolate,
    shape: u32,
};

var first_slots: [block_length]Slot = @splat(.{});
var slots_of_blocks: [max_blocks]?*[block_length]Slot = .{&first_slots} ++ @as([max_blocks - 1]?*[block_length]Slot, @splat(null));
var code_of_blocks: [max_blocks]usize = @splat(0);
var block_count: u32 = 1;
/// Every chunk that was ever claimed, in the order of their numbers.
var chunks: std.ArrayList(Chunk) = .empty;
/// The names of the shapes, by their numbers.
var shapes: std.ArrayList([]const u8) = .empty;
var lock: Lock = .{};

// Chunks and shapes are the process's, for as long as it lives; the tests give them back.
const allocator = if (builtin.is_test) std.testing.allocator else std.heap.c_allocator;

/// The number of a shape, the same for every isolate.
fn shapeNumber(name: []const u8) ?u32 {
    for (shapes.items, 0..) |known, number| {
        if (std.mem.eql(u8, known, name)) return @intCast(number);
    }
    const copy = allocator.dupe(u8, name) catch return null;
    shapes.append(allocator, copy) catch {
        allocator.free(copy);
        return null;
    };
    return @intCast(shapes.items.len - 1);
}

/// Takes a chunk of thunks for functions of one shape: fresh ones of the library, then those of the isolate that left
/// first and used them for the same shape, then those of a new copy. Null when nothing can be mapped.
pub fn claim(isolate: *Isolate, shape: []const u8) ?u32 {
    lock.acquire();
    defer lock.release();
    const shape_number = shapeNumber(shape) orelse return null;
    const number = if (chunks.items.len < chunks_of_block)
        fresh(isolate, shape_number)
    else
        left(shape_number) orelse fresh(isolate, shape_number);
    const chunk = number orelse return null;
    chunks.items[chunk] = .{ .owner = isolate, .shape = shape_number };
    const first = chunk * chunk_length;
    const slots = slots_of_blocks[first / block_length].?[first % block_length ..][0..chunk_length];
    for (slots) |*slot| reuse(slot, isolate);
    isolate.words.chunk_slots = slots;
    isolate.words.chunk_code = address(@intCast(first));
    isolate.words.thunk_byte_length = arch.thunk_byte_length;
    return @intCast(first);
}

/// Gives a thunk to another isolate. C may be calling it right now, for the one before, whose state must not come again:
/// what has been queued says by it whose it is. Its layout stays the same, as the shape does, and a structure's length.
fn reuse(slot: *Slot, isolate: *Isolate) void {
    const old = @atomicLoad(u32, &slot.state, .monotonic);
    @atomicStore(u32, &slot.state, (old & ~contract_mask) +% contract_mask + 1, .seq_cst);
    @atomicStore(?*Isolate, &slot.isolate, isolate, .release);
    if (resultOf(slot) != .memory) @atomicStore(u64, &slot.fallback, 0, .release);
    inline for (.{ "foreign_calls", "dropped", "timeouts", "in_vain", "noted" }) |name| {
        @atomicStore(@FieldType(Slot, name), &@field(slot, name), 0, .monotonic);
    }
}

/// A chunk that nobody has had.
fn fresh(isolate: *Isolate, shape_number: u32) ?usize {
    const chunk = chunks.items.len;
    if (chunk == block_count * chunks_of_block and !addBlock()) return null;
    chunks.append(allocator, .{ .owner = isolate, .shape = shape_number }) catch return null;
    return chunk;
}

/// The chunk of a shape whose isolate left first.
fn left(shape_number: u32) ?usize {
    if (isolates.departures.load(.monotonic) == 0) return null;
    var found: ?usize = null;
    for (chunks.items, 0..) |chunk, number| {
        if (chunk.shape != shape_number or chunk.owner.words.isLive()) continue;
        if (found == null or chunk.owner.departure < chunks.items[found.?].owner.departure) found = number;
    }
    return found;
}

/// Maps one more copy of the library's thunks.
fn addBlock() bool {
    if (block_count == max_blocks) return false;
    const slot_pages = pages.mapWritable(@sizeOf([block_length]Slot)) orelse return false;
    const slots: *[block_length]Slot = @ptrCast(@alignCast(slot_pages.ptr));
    slots.* = @splat(.{});
    const tail = codeBetween("belay_tail", "belay_tail_end");
    const thunks = codeBetween("belay_thunks", "belay_entry");
    const code = pages.mapWritable(thunks.len + tail.len) orelse {
        pages.unmap(slot_pages);
        return false;
    };
    @memcpy(code[0..thunks.len], thunks);
    @memcpy(code[thunks.len..], tail);
    // Where the library's thunks jump to the entry, a copy's reach its tail, which adds the number of the copy's first
    // thunk and goes on to the entry. Both are read from the end of the tail.
    const literals: *[2]u64 = @ptrCast(@alignCast(code[code.len - 16 ..]));
    literals.* = .{ @intFromPtr(symbol("belay_entry")), block_count * block_length };
    if (!pages.makeExecutable(code)) {
        pages.unmap(code);
        pages.unmap(slot_pages);
        return false;
    }
    code_of_blocks[block_count] = @intFromPtr(code.ptr);
    slots_of_blocks[block_count] = slots;
    block_count += 1;
    return true;
}

/// How many thunks there are by now.
pub fn count() u32 {
    return block_count * block_length;
}

/// A thunk's slot; the thunk must have been claimed.
pub fn slotOf(number: u32) *Slot {
    return &slots_of_blocks[number / block_length].?[number % block_length];
}

/// What C calls.
fn address(number: u32) *const anyopaque {
    const block = number / block_length;
    const code = if (block == 0) @intFromPtr(symbol("belay_thunks")) else code_of_blocks[block];
    return @ptrFromInt(code + @as(usize, number % block_length) * arch.thunk_byte_length);
}

fn symbol(comptime name: []const u8) [*]const u8 {
    return @extern([*]const u8, .{ .name = name, .visibility = .hidden });
}

fn codeBetween(comptime start: []const u8, comptime end: []const u8) []const u8 {
    return symbol(start)[0 .. @intFromPtr(symbol(end)) - @intFromPtr(symbol(start))];
}

/// Where every thunk's jump ends, with the argument registers spilled to `frame` and the stack arguments at `stack`. Answers
/// the bits for the first integer result register; those for the others are in the frame.
///
/// @param indirect_result What AArch64 has in x8; the other entries don't pass it.
fn dispatch(number: u32, frame: *Frame, stack: [*]const u64, indirect_result: u64) callconv(.c) u64 {
    const slot = slotOf(number);
    if (resultOf(slot) != .scalar) {
        return structure(slot, frame, stack, if (builtin.cpu.arch == .aarch64) indirect_result else frame[0]);
    }
    const result = scalar(number, slot, frame, stack);
    frame[first_float] = result;
    return result;
}

inline fn scalar(number: u32, slot: *Slot, frame: *const Frame, stack: [*]const u64) u64 {
    const isolate = @atomicLoad(?*Isolate, &slot.isolate, .monotonic) orelse return 0;
    const contract = @atomicLoad(u32, &slot.state, .monotonic) & contract_mask;
    if (isolates.current_thread != isolate.thread or @atomicLoad(u32, &isolate.words.live, .monotonic) == 0) {
        if (contract == contract_same or !isolate.words.isLive()) return foreign(slot, isolate);
        return foreign_calls.call(number, slot, isolate, frame, stack, false);
    }
    if (contract == contract_post) return foreign_calls.call(number, slot, isolate, frame, stack, true);
    const fallback = @atomicLoad(u64, &slot.fallback, .monotonic);
    return enter(slot, isolate, frame, stack, fallback, null) orelse fallback;
}

/// A call whose result is a structure: JavaScript says by the result 1 that it has written one. If it hasn't, C gets zeroes.
///
/// @param target Where the structure goes, if that is in memory.
fn structure(slot: *Slot, frame: *Frame, stack: [*]const u64, target: u64) u64 {
    @branchHint(.cold);
    const isolate = @atomicLoad(?*Isolate, &slot.isolate, .monotonic).?;
    var written = false;
    if (isolates.current_thread != isolate.thread or !isolate.words.isLive()) {
        _ = foreign(slot, isolate);
    } else {
        written = enter(slot, isolate, frame, stack, 0, target) == 1;
    }
    if (resultOf(slot) == .memory) {
        const memory: [*]u8 = @ptrFromInt(@as(usize, @intCast(target)));
        if (!written) @memset(memory[0..@intCast(@atomicLoad(u64, &slot.fallback, .monotonic))], 0);
        return target;
    }
    const results: [isolates.result_words]u64 = if (written) isolate.words.results else @splat(0);
    frame[1] = results[1];
    frame[first_float..][0..4].* = results[2..6].*;
    return results[0];
}

/// Has JavaScript run the function, on the isolate's thread; answers what it wrote as the result, or `fallback`. Null when
/// it can't be entered.
inline fn enter(slot: *Slot, isolate: *Isolate, frame: *const Frame, stack: [*]const u64, fallback: u64, target: ?u64) ?u64 {
    const words = &isolate.words;
    const position = @intFromPtr(frame);
    words.overflow = 0;
    if (position < isolate.stack_floor or position >= isolate.stack.top) {
        @branchHint(.unlikely);
        if (position < isolate.stack_limit or position >= isolate.stack.top) {
            _ = foreign(slot, isolate);
            return null;
        }
        words.overflow = 1;
        _ = @atomicRmw(u32, &words.attention, .Or, isolates.attention_overflow, .monotonic);
    }
    words.arguments[0..isolates.register_words].* = frame.*;
    if (slot.layout & 0xff != 0) {
        const length: usize = @min(slot.layout & 0xff, isolates.stack_words);
        @memcpy(words.arguments[isolates.register_words..][0..length], stack[0..length]);
    }
    const trampoline = words.trampoline orelse return null;
    if (target) |address_in_c| words.results[0] = address_in_c;
    // A callback inside this one writes its own result over ours: keep what was there.
    const outer = words.result;
    words.result = fallback;
    words.callback = slot.index;
    trampoline();
    const result = words.result;
    words.result = outer;
    return result;
}

/// A call that must not enter JavaScript: the fallback. JavaScript is told when it looks next.
pub fn foreign(slot: *Slot, isolate: *Isolate) u64 {
    @branchHint(.cold);
    _ = @atomicRmw(u32, &isolate.words.foreign_calls, .Add, 1, .monotonic);
    const is_first = @atomicRmw(u32, &slot.foreign_calls, .Add, 1, .monotonic) == 0;
    const native_call = if (isolates.current_thread != isolate.thread and isolate.words.isLive()) isolate.words.nativeCall() else 0;
    if (native_call != 0) countInVain(slot, isolate, native_call);
    if (is_first or native_call != 0) note(slot, isolate);
    return @atomicLoad(u64, &slot.fallback, .monotonic);
}

/// Counts a call from another thread that nobody could serve while JavaScript was in a native call. It stops short of the
/// largest count: 0 has another meaning.
pub fn countInVain(slot: *Slot, isolate: *Isolate, native_call: u32) void {
    isolate.words.noteInVain(native_call);
    const most = std.math.maxInt(u16) / 2;
    if (@atomicLoad(u16, &slot.in_vain, .monotonic) < most) _ = @atomicRmw(u16, &slot.in_vain, .Add, 1, .monotonic);
}

/// Puts a thunk into the list of those that have something to tell JavaScript, unless it is there.
pub fn note(slot: *Slot, isolate: *Isolate) void {
    const list_end = 1;
    if (@cmpxchgStrong(u32, &slot.noted, 0, list_end, .acq_rel, .monotonic) == null) {
        const head = &isolate.words.noted;
        var next = @atomicLoad(u32, head, .monotonic);
        while (true) {
            @atomicStore(u32, &slot.noted, next + 1, .release);
            next = @cmpxchgWeak(u32, head, next, slot.index + 1, .acq_rel, .monotonic) orelse break;
        }
    }
    _ = @atomicRmw(u32, &isolate.words.attention, .Or, isolates.attention_foreign, .release);
}

comptime {
    @export(&dispatch, .{ .name = "belay_dispatch", .visibility = .hidden });
    _ = arch;
}

const Probe = struct {
    var words: *isolates.Words = undefined;
    var seen: [isolates.argument_words]u64 = undefined;
    var callback: u32 = undefined;
    var calls: u32 = 0;
    var again: ?*const fn (u64) callconv(.c) u64 = null;

    fn run() callconv(.c) void {
        calls += 1;
        seen = words.arguments;
        callback = words.callback;
        if (again) |inner| {
            again = null;
            words.result = 5;
            std.testing.expectEqual(@as(u64, 77), inner(1)) catch unreachable;
            return;
        }
        words.result = 77;
    }
};

/// An isolate on this thread whose trampoline is the probe's, for the tests below.
fn probe() !*Isolate {
    const isolate = isolates.attach(std.testing.allocator, false, isolates.test_stack).?;
    isolate.words.trampoline = Probe.run;
    Probe.words = &isolate.words;
    Probe.calls = 0;
    Probe.again = null;
    return isolate;
}

/// Takes an isolate of a test away, and gives the thunks that tests took to be taken afresh.
pub fn dismiss(isolate: *Isolate) void {
    isolates.leaveThread();
    for (0..chunks.items.len * chunk_length) |thunk| slotOf(@intCast(thunk)).* = .{};
    chunks.clearAndFree(allocator);
    for (shapes.items) |name| allocator.free(name);
    shapes.clearAndFree(allocator);
    std.testing.allocator.destroy(isolate);
}

fn functionOf(number: u32, comptime Function: type) *const Function {
    return @ptrCast(@alignCast(address(number)));
}

test "a thunk hands over integer and float registers and stack words, and answers the result" {
    const isolate = try probe();
    defer dismiss(isolate);
    const first = claim(isolate, "a").?;
    const number = first + chunk_length - 1;
    slotOf(number).layout = 6;
    slotOf(number).index = 42;
    const Function = fn (u64, f64, u64, f64, u64, u64, u64, u64, u64, u64, u64, u64) callconv(.c) u64;
    const function: *const Function = @ptrCast(@alignCast(address(number)));
    try std.testing.expectEqual(@as(u64, 77), function(1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9, 10));
    try std.testing.expectEqual(@as(u32, 42), Probe.callback);
    if (builtin.os.tag == .windows) {
        // Positional: the second and fourth registers are floats.
        try std.testing.expectEqual(@as(u64, 1), Probe.seen[0]);
        try std.testing.expectEqual(@as(u64, 2), Probe.seen[2]);
        try std.testing.expectEqual(@as(f64, 1.5), @as(f64, @bitCast(Probe.seen[9])));
        try std.testing.expectEqual(@as(f64, 2.5), @as(f64, @bitCast(Probe.seen[11])));
        try std.testing.expectEqual(@as(u64, 3), Probe.seen[16]);
        return;
    }
    const registers: usize = if (builtin.cpu.arch == .x86_64) 6 else 8;
    for (0..10) |i| {
        const word = if (i < registers) i else isolates.register_words + i - registers;
        try std.testing.expectEqual(i + 1, Probe.seen[word]);
    }
    try std.testing.expectEqual(@as(f64, 1.5), @as(f64, @bitCast(Probe.seen[8])));
    try std.testing.expectEqual(@as(f64, 2.5), @as(f64, @bitCast(Probe.seen[9])));
}

test "a float result arrives in the float register" {
    const isolate = try probe();
    defer dismiss(isolate);
    const number = claim(isolate, "a").?;
    const function: *const fn () callconv(.c) f64 = @ptrCast(@alignCast(address(number)));
    try std.testing.expectEqual(@as(u64, 77), @as(u64, @bitCast(function())));
}

test "the result of a callback inside a callback does not replace the outer one's" {
    const isolate = try probe();
    defer dismiss(isolate);
    const number = claim(isolate, "a").?;
    const function: *const fn (u64) callconv(.c) u64 = @ptrCast(@alignCast(address(number)));
    Probe.again = function;
    try std.testing.expectEqual(@as(u64, 5), function(0));
    try std.testing.expectEqual(@as(u32, 2), Probe.calls);
}

test "a thunk answers its fallback on another thread and when its isolate is gone, and counts" {
    const isolate = try probe();
    defer dismiss(isolate);
    const number = claim(isolate, "a").?;
    slotOf(number).fallback = 9;
    const Caller = struct {
        var answer: u64 = 0;
        fn run(thunk_number: u32) void {
            const function: *const fn () callconv(.c) u64 = @ptrCast(@alignCast(address(thunk_number)));
            answer = function();
        }
    };
    const thread = try std.Thread.spawn(.{}, Caller.run, .{number});
    thread.join();
    try std.testing.expectEqual(@as(u64, 9), Caller.answer);
    isolates.leaveThread();
    Caller.run(number);
    try std.testing.expectEqual(@as(u64, 9), Caller.answer);
    try std.testing.expectEqual(@as(u32, 2), isolate.words.foreign_calls);
    try std.testing.expectEqual(@as(u32, 0), Probe.calls);
}

test "a thunk that was never claimed answers zero" {
    const function: *const fn () callconv(.c) u64 = @ptrCast(@alignCast(address(block_length - 1)));
    try std.testing.expectEqual(@as(u64, 0), function());
}

test "a result that the function doesn't write is the fallback" {
    const isolate = try probe();
    defer dismiss(isolate);
    isolate.words.trampoline = struct {
        fn run() callconv(.c) void {}
    }.run;
    const number = claim(isolate, "a").?;
    slotOf(number).fallback = 11;
    isolate.words.result = 3;
    try std.testing.expectEqual(@as(u64, 11), functionOf(number, fn () callconv(.c) u64)());
    try std.testing.expectEqual(@as(u64, 3), isolate.words.result);
}

test "a call below the floor of the stack is marked, one below its limit or from another stack is foreign" {
    const isolate = try probe();
    defer dismiss(isolate);
    const number = claim(isolate, "a").?;
    slotOf(number).fallback = 9;
    const function = functionOf(number, fn () callconv(.c) u64);
    const stack = isolate.stack;
    isolate.stack_floor = stack.top - 1;
    try std.testing.expectEqual(@as(u64, 77), function());
    try std.testing.expectEqual(@as(u32, 1), isolate.words.overflow);
    try std.testing.expectEqual(@as(u32, isolates.attention_overflow), isolate.words.attention);
    isolate.words.attention = 0;
    const limit = isolate.stack_limit;
    isolate.stack_limit = stack.top - 1;
    try std.testing.expectEqual(@as(u64, 9), function());
    isolate.stack_limit = limit;
    slotOf(number).foreign_calls = 0;
    isolate.words.foreign_calls = 0;
    isolate.words.attention = 0;
    isolate.stack = .{ .low = 4096, .top = 8192 };
    isolate.stack_floor = 4096;
    isolate.stack_limit = 4096;
    for (0..2) |_| try std.testing.expectEqual(@as(u64, 9), function());
    try std.testing.expectEqual(@as(u32, 2), slotOf(number).foreign_calls);
    try std.testing.expectEqual(@as(u32, 2), isolate.words.foreign_calls);
    try std.testing.expectEqual(@as(u32, isolates.attention_foreign), isolate.words.attention);
    try std.testing.expectEqual(@as(u32, 1), Probe.calls);
}

/// A thunk that answers structures, and JavaScript that does or doesn't write them.
const Structures = struct {
    const garbage = 0xaaaa_aaaa_aaaa_aaaa;
    const Doubles = extern struct { a: f64, b: f64 };
    const Integers = extern struct { a: u64, b: u64 };
    const Mixed = extern struct { a: u64, b: f64 };
    const Floats = extern struct { a: f32, b: f32, c: f32, d: f32 };
    const Word = extern struct { a: f32, b: u32 };
    const FourDoubles = extern struct { a: f64, b: f64, c: f64, d: f64 };
    const Many = extern struct { words: [5]u64 };

    /// What the result registers have to hold; null where the structure is in memory.
    const Registers = struct {
        sysv: ?[isolates.result_words]u64 = null,
        aapcs: ?[isolates.result_words]u64 = null,
        windows: ?[isolates.result_words]u64 = null,

        fn here(placed: Registers) ?[isolates.result_words]u64 {
            if (builtin.cpu.arch == .aarch64) return placed.aapcs;
            return if (builtin.os.tag == .windows) placed.windows else placed.sysv;
        }
    };

    var words: *isolates.Words = undefined;
    var registers: ?[isolates.result_words]u64 = null;
    var bytes: []const u8 = undefined;
    var written: u64 = undefined;
    var argument: u64 = undefined;
    var calls: u32 = 0;

    fn trampoline() callconv(.c) void {
        calls += 1;
        std.testing.expectEqual(@as(u64, 0), words.result) catch unreachable;
        const passes_address = registers == null and builtin.cpu.arch == .x86_64;
        argument = words.arguments[@intFromBool(passes_address)];
        if (registers) |values| {
            words.results = values;
        } else {
            const memory: [*]u8 = @ptrFromInt(@as(usize, @intCast(words.results[0])));
            @memcpy(memory[0..bytes.len], bytes);
        }
        words.result = written;
    }

    /// Calls with the registers as they are, and expects that every one of the results, or all of the memory, is zero.
    fn expectZeroes(number: u32) !void {
        var memory: [64]u8 = @splat(0xff);
        var frame: caller.Frame = .{
            .arguments = @splat(garbage),
            .function = address(number),
            .stack_words = 0,
            .indirect_result = @intFromPtr(&memory),
            .integer_results = @splat(0),
            .float_results = @splat(0),
        };
        if (registers == null) frame.arguments[0] = @intFromPtr(&memory);
        caller.make(&frame);
        const length = if (registers == null) bytes.len else 0;
        try std.testing.expect(std.mem.allEqual(u8, memory[0..length], 0));
        try std.testing.expect(std.mem.allEqual(u8, memory[length..], 0xff));
        if (registers == null) {
            if (builtin.cpu.arch == .x86_64) try std.testing.expectEqual(@intFromPtr(&memory), frame.integer_results[0]);
            return;
        }
        try std.testing.expectEqual([2]u64{ 0, 0 }, frame.integer_results);
        try std.testing.expectEqual([4]u64{ 0, 0, 0, 0 }, frame.float_results);
    }

    fn expectZeroesElsewhere(number: u32) !void {
        const Other = struct {
            var outcome: anyerror!void = {};
            fn run(thunk_number: u32) void {
                outcome = expectZeroes(thunk_number);
            }
        };
        const thread = try std.Thread.spawn(.{}, Other.run, .{number});
        thread.join();
        try Other.outcome;
    }

    fn expect(comptime Structure: type, value: Structure, placed: Registers) !void {
        const isolate = isolates.attach(std.testing.allocator, false, isolates.test_stack).?;
        defer dismiss(isolate);
        isolate.words.trampoline = trampoline;
        words = &isolate.words;
        registers = placed.here();
        bytes = std.mem.asBytes(&value);
        calls = 0;
        const number = claim(isolate, "structure").?;
        const slot = slotOf(number);
        const kind: Result = if (registers == null) .memory else .registers;
        slot.layout = @as(u32, @intFromEnum(kind)) << 24 | 1 << 8;
        slot.fallback = if (registers == null) @sizeOf(Structure) else 0;
        written = 1;
        isolate.words.result = 3;
        const function = functionOf(number, fn (u64) callconv(.c) Structure);
        try std.testing.expectEqual(value, function(7));
        try std.testing.expectEqual(@as(u64, 7), argument);
        try std.testing.expectEqual(@as(u64, 3), isolate.words.result);

        // Half of it was there when the function threw.
        written = 0;
        try expectZeroes(number);
        try std.testing.expectEqual(@as(u32, 2), calls);
        written = 1;
        isolate.words.trampoline = null;
        try expectZeroes(number);
        isolate.words.trampoline = trampoline;
        const stack = isolate.stack;
        isolate.stack = .{ .low = 4096, .top = 8192 };
        try expectZeroes(number);
        isolate.stack = stack;
        try expectZeroesElsewhere(number);
        isolates.leaveThread();
        try expectZeroes(number);
        try std.testing.expectEqual(@as(u32, 3), isolate.words.foreign_calls);

        // C calls what another isolate has by now, which hasn't put a function behind it.
        const next = isolates.attach(std.testing.allocator, false, isolates.test_stack).?;
        defer std.testing.allocator.destroy(next);
        reuse(slot, next);
        try expectZeroes(number);
        try expectZeroesElsewhere(number);
        try std.testing.expectEqual(@as(u32, 2), calls);
    }

    fn bitsOf(value: anytype) u64 {
        return if (@TypeOf(value) == f32) @as(u32, @bitCast(value)) else @bitCast(value);
    }
};

test "a structure goes back in registers or in memory; where the function writes none, it is zeroes" {
    const garbage = Structures.garbage;
    const bitsOf = Structures.bitsOf;
    const a: f64 = 1.5;
    const b: f64 = -2.5;
    const integer: u64 = 0x1234_5678_9abc_def0;
    const single: [4]f32 = .{ 0.5, -1.5, 2.5, -3.5 };
    const halves: [2]u64 = @bitCast(single);

    const in_floats: [isolates.result_words]u64 = .{ garbage, garbage, bitsOf(a), bitsOf(b), garbage, garbage };
    try Structures.expect(Structures.Doubles, .{ .a = a, .b = b }, .{ .sysv = in_floats, .aapcs = in_floats });
    const in_integers: [isolates.result_words]u64 = .{ integer, 9, garbage, garbage, garbage, garbage };
    try Structures.expect(Structures.Integers, .{ .a = integer, .b = 9 }, .{ .sysv = in_integers, .aapcs = in_integers });
    try Structures.expect(Structures.Mixed, .{ .a = integer, .b = a }, .{
        .sysv = .{ integer, garbage, bitsOf(a), garbage, garbage, garbage },
        .aapcs = .{ integer, bitsOf(a), garbage, garbage, garbage, garbage },
    });
    try Structures.expect(Structures.Floats, .{ .a = single[0], .b = single[1], .c = single[2], .d = single[3] }, .{
        .sysv = .{ garbage, garbage, halves[0], halves[1], garbage, garbage },
        .aapcs = .{ garbage, garbage, bitsOf(single[0]), bitsOf(single[1]), bitsOf(single[2]), bitsOf(single[3]) },
    });
    const in_one: [isolates.result_words]u64 = .{ bitsOf(single[0]) | 11 << 32, garbage, garbage, garbage, garbage, garbage };
    try Structures.expect(Structures.Word, .{ .a = single[0], .b = 11 }, .{ .sysv = in_one, .aapcs = in_one, .windows = in_one });
    try Structures.expect(Structures.FourDoubles, .{ .a = a, .b = b, .c = 2 * a, .d = 2 * b }, .{
        .aapcs = .{ garbage, garbage, bitsOf(a), bitsOf(b), bitsOf(2 * a), bitsOf(2 * b) },
    });
    try Structures.expect(Structures.Many, .{ .words = .{ 1, 2, 3, 4, 5 } }, .{});
}

test "the results of a structure's callback do not replace those of a scalar's around it" {
    const isolate = try probe();
    defer dismiss(isolate);
    const outer = claim(isolate, "a").?;
    const inner = claim(isolate, "structure").?;
    const in_memory = builtin.os.tag == .windows;
    const kind: Result = if (in_memory) .memory else .registers;
    slotOf(inner).layout = @as(u32, @intFromEnum(kind)) << 24;
    slotOf(inner).fallback = if (in_memory) @sizeOf(Structures.Integers) else 0;
    const World = struct {
        var inside = false;
        var answered: Structures.Integers = undefined;
        var function: *const fn () callconv(.c) Structures.Integers = undefined;

        fn run() callconv(.c) void {
            const words = Probe.words;
            if (!inside) {
                inside = true;
                words.result = @bitCast(@as(f64, 2.5));
                answered = function();
                return;
            }
            const target: *[2]u64 = if (in_memory) @ptrFromInt(@as(usize, @intCast(words.results[0]))) else words.results[0..2];
            target.* = .{ 8, 9 };
            words.result = 1;
        }
    };
    World.function = functionOf(inner, fn () callconv(.c) Structures.Integers);
    isolate.words.trampoline = World.run;
    try std.testing.expectEqual(@as(f64, 2.5), functionOf(outer, fn () callconv(.c) f64)());
    try std.testing.expectEqual(Structures.Integers{ .a = 8, .b = 9 }, World.answered);
}

test "a claim tells JavaScript where the thunks and their slots are" {
    const isolate = try probe();
    defer dismiss(isolate);
    const first = claim(isolate, "a").?;
    try std.testing.expectEqual(@as(?*anyopaque, slotOf(first)), isolate.words.chunk_slots);
    try std.testing.expectEqual(@as(?*const anyopaque, address(first)), isolate.words.chunk_code);
    const second: usize = @intFromPtr(isolate.words.chunk_code) + isolate.words.thunk_byte_length;
    try std.testing.expectEqual(@intFromPtr(address(first + 1)), second);
}

test "a shape has one number, and another shape another" {
    const isolate = try probe();
    defer dismiss(isolate);
    const first = shapeNumber("i4:test").?;
    try std.testing.expect(shapeNumber("i4:tess").? != first);
    try std.testing.expectEqual(first, shapeNumber(&.{ 'i', '4', ':', 't', 'e', 's', 't' }).?);
}

test "beyond the library's own, thunks are copies of them, executable and not writable" {
    const isolate = try probe();
    defer dismiss(isolate);
    for (0..chunks_of_block) |i| try std.testing.expectEqual(@as(?u32, @intCast(i * chunk_length)), claim(isolate, "a"));
    const before = count();
    const first = claim(isolate, "a").?;
    try std.testing.expectEqual(block_length, first);
    try std.testing.expectEqual(@max(before, 2 * block_length), count());
    for (1..chunks_of_block) |_| _ = claim(isolate, "a").?;
    for ([_]u32{ 0, 1, 1000, block_length - 1 }) |offset| {
        const number = first + offset;
        slotOf(number).layout = 6;
        slotOf(number).index = offset;
        const Function = fn (u64, f64, u64, u64, u64, u64, u64, u64, u64, u64) callconv(.c) u64;
        try std.testing.expectEqual(@as(u64, 77), functionOf(number, Function)(1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9));
        try std.testing.expectEqual(offset, Probe.callback);
        try std.testing.expectEqual(@as(u64, 1), Probe.seen[0]);
        if (builtin.os.tag != .windows) try std.testing.expectEqual(@as(u64, 2), Probe.seen[1]);
    }
}

test "fresh chunks come first, then those of the same shape whose isolate left first" {
    const gpa = std.testing.allocator;
    const first = try probe();
    _ = claim(first, "a");
    const first_other = claim(first, "b").?;
    const second = isolates.attach(gpa, false, isolates.test_stack).?;
    const second_one = claim(second, "a").?;
    const isolate = isolates.attach(gpa, false, isolates.test_stack).?;
    defer {
        gpa.destroy(first);
        gpa.destroy(second);
        dismiss(isolate);
    }
    try std.testing.expect(second.departure > first.departure);
    while (chunks.items.len < chunks_of_block) _ = claim(isolate, "c").?;
    slotOf(0).state = 4 | contract_post;
    try std.testing.expectEqual(@as(?u32, 0), claim(isolate, "a"));
    // What was queued for the isolate before would be taken for this one's if its states came again.
    try std.testing.expectEqual(@as(u32, 8), slotOf(0).state);
    try std.testing.expectEqual(@as(?u32, second_one), claim(isolate, "a"));
    try std.testing.expectEqual(@as(?u32, first_other), claim(isolate, "b"));
    try std.testing.expectEqual(@as(?u32, block_length), claim(isolate, "b"));
    try std.testing.expectEqual(@as(?*Isolate, isolate), slotOf(0).isolate);
}

test "in a forked child thunks answer their fallbacks, also on the isolate's own thread, and no lock is waited for" {
    // Without fork; or with a sanitizer, which may wait for threads of its own.
    if (builtin.os.tag == .windows or builtin.sanitize_thread) return error.SkipZigTest;
    const isolate = try probe();
    defer dismiss(isolate);
    const number = claim(isolate, "a").?;
    slotOf(number).fallback = 9;
    const function = functionOf(number, fn (u64) callconv(.c) u64);
    // As another thread might have them just then.
    lock.acquire();
    isolate.calls.mutex.acquire();
    isolate.waker.mutex.acquire();
    const child = std.c.fork();
    if (child == 0) {
        const answer = function(1);
        isolates.releaseHandle(@ptrFromInt(@as(usize, isolate.words.tag) << 23));
        isolates.leaveThread();
        foreign_calls.end(isolate);
        _ = claim(isolate, "a");
        std.c._exit(if (answer == 9 and Probe.calls == 0 and isolate.words.stale_releases == 0) 7 else 8);
    }
    lock.release();
    isolate.calls.mutex.release();
    isolate.waker.mutex.release();
    var status: c_int = 0;
    const end = futex.now() + 20 * std.time.ns_per_s;
    while (std.c.waitpid(child, &status, std.c.W.NOHANG) == 0) {
        if (futex.now() > end) _ = std.c.kill(child, .KILL);
        std.Thread.yield() catch {};
    }
    try std.testing.expectEqual(7 << 8, status);
    try std.testing.expectEqual(@as(u64, 77), function(1));
}

test "isolates of eight threads claim and call at once, and refuse each other's thunks" {
    const World = struct {
        const member_count = 8;
        const call_count = 2000;
        threadlocal var words: *isolates.Words = undefined;
        var members: [member_count]?*Isolate = @splat(null);
        var thunks_of: [member_count]std.atomic.Value(u32) = @splat(.init(0));
        var wrong: std.atomic.Value(u32) = .init(0);

        fn trampoline() callconv(.c) void {
            words.result = words.callback + words.arguments[0];
        }

        fn run(member: usize) void {
            const isolate = isolates.attach(std.testing.allocator, false, isolates.test_stack) orelse return;
            members[member] = isolate;
            words = &isolate.words;
            isolate.words.trampoline = trampoline;
            for (0..4) |_| {
                const first = claim(isolate, if (member % 2 == 0) "even" else "odd") orelse return;
                for (first..first + chunk_length) |number| {
                    slotOf(@intCast(number)).index = @intCast(number);
                    slotOf(@intCast(number)).fallback = 1 << 40;
                }
                thunks_of[member].store(first + 1, .release);
                for (0..call_count) |i| {
                    const number = first + @as(u32, @intCast(i % chunk_length));
                    const own = functionOf(number, fn (u64) callconv(.c) u64)(i);
                    if (own != number + i) _ = wrong.fetchAdd(1, .monotonic);
                    const theirs = thunks_of[(member + 1) % member_count].load(.acquire);
                    if (theirs == 0) continue;
                    const answer = functionOf(theirs - 1, fn (u64) callconv(.c) u64)(i);
                    if (answer != 1 << 40) _ = wrong.fetchAdd(1, .monotonic);
                }
            }
        }
    };
    var threads: [World.member_count]std.Thread = undefined;
    for (&threads, 0..) |*thread, member| thread.* = try std.Thread.spawn(.{}, World.run, .{member});
    for (threads) |thread| thread.join();
    defer for (World.members) |member| dismiss(member.?);
    try std.testing.expectEqual(@as(u32, 0), World.wrong.load(.acquire));
    try std.testing.expectEqual(@as(usize, 4 * World.member_count), chunks.items.len);
    for (World.members) |member| try std.testing.expect(!member.?.words.isLive());
}
