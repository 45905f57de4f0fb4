//! The pool of precompiled thunks: C function pointers that TypeScript functions can stand behind. The first 4,096 are
//! code of this library. When they are used up, copies of that code are mapped elsewhere, 4,096 at a time; a copy
//! becomes executable when it is no longer writable. Nothing is ever unmapped.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const allocator = @import("../allocator.zig").allocator;
const isolates = @import("../isolate.zig");
const pages = @import("../os/pages.zig");
const Isolate = isolates.Isolate;
const Lock = @import("../os/lock.zig").Lock;
const symbols = @import("symbols.zig");
const Slot = abi.Slot;

const arch = switch (builtin.cpu.arch) {
    .x86_64 => if (builtin.os.tag == .windows)
        @import("x86_64_windows.zig")
    else
        @import("x86_64_sysv.zig"),
    .aarch64 => @import("aarch64.zig"),
    else => @compileError("belay has no thunks for this processor"),
};

pub const block_length = abi.thunk_block_length;
pub const chunk_length = abi.thunk_chunk_length;
pub const chunks_of_block = block_length / chunk_length;
const max_blocks = abi.max_thunk_blocks;

/// The argument registers, in the order in which the processor's entry spills them. It loads the other result registers
/// from there afterwards: the second integer register's place, and those of the first four float registers.
pub const Registers = [abi.register_words]u64;

/// The words that C put on the stack, in a thunk that has spilled these registers.
pub fn stackOf(registers: *const Registers) [*]const u64 {
    return @ptrFromInt(@intFromPtr(registers) + arch.stack_byte_offset);
}

/// A chunk's isolate, and the shape that it serves for good.
const Chunk = struct {
    owner: *Isolate,
    shape: u32,
};

var first_slots: extern struct { space: [symbols.slots_place]u8, slots: [block_length]Slot } align(4096) = .{
    .space = @splat(0),
    .slots = @splat(.{}),
};
var slots_of_blocks: [max_blocks]?*[block_length]Slot = .{&first_slots.slots} ++
    @as([max_blocks - 1]?*[block_length]Slot, @splat(null));
var code_of_blocks: [max_blocks]usize = @splat(0);
var block_count: u32 = 1;

comptime {
    // The assembly finds a slot of the library's own thunks there.
    std.debug.assert(block_length == 4096 and @sizeOf(Slot) == 64);
    @export(&first_slots, .{ .name = "belay_first_slots", .visibility = .hidden });
}

/// Every chunk that was ever claimed, in the order of their numbers.
pub var chunks: std.ArrayList(Chunk) = .empty;
/// The names of the shapes, by their numbers.
var shapes: std.ArrayList([]const u8) = .empty;
/// Tests hold it, too, in place of another thread.
pub var lock: Lock = .{};

/// The number of a shape, the same for every isolate.
pub fn shapeNumber(name: []const u8) ?u32 {
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
    isolate.assertOwnThread();
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
    if (std.debug.runtime_safety) std.debug.assert(first < block_count * block_length);
    const slots = slots_of_blocks[first / block_length].?[first % block_length ..][0..chunk_length];
    for (slots) |*slot| reuse(slot, isolate);
    isolate.words.chunk_slots = slots;
    isolate.words.chunk_code = address(@intCast(first));
    isolate.words.thunk_stride = arch.thunk_byte_length;
    return @intCast(first);
}

/// Gives a thunk to another isolate. C may be calling it right now, for the one before, whose state must not come
/// again: what has been queued says by it whose it is. Its layout stays the same, as the shape does, and a structure's
/// length.
pub fn reuse(slot: *Slot, isolate: *Isolate) void {
    const old = @atomicLoad(u32, &slot.state, .monotonic);
    @atomicStore(u32, &slot.state, (old & ~@as(u32, abi.contract_mask)) +% abi.contract_mask + 1, .seq_cst);
    @atomicStore(?*abi.Words, &slot.isolate, &isolate.words, .release);
    if (resultOf(slot) != .memory) @atomicStore(u64, &slot.fallback, 0, .release);
    inline for (.{ "misplaced_calls", "dropped", "timeouts", "in_vain", "next_notice" }) |name| {
        @atomicStore(@FieldType(Slot, name), &@field(slot, name), 0, .monotonic);
    }
}

/// A chunk that no isolate has had.
fn fresh(isolate: *Isolate, shape_number: u32) ?usize {
    lock.assertHeld();
    const chunk = chunks.items.len;
    if (chunk == block_count * chunks_of_block and !addBlock()) return null;
    chunks.append(allocator, .{ .owner = isolate, .shape = shape_number }) catch return null;
    return chunk;
}

/// The chunk of a shape whose isolate left first.
fn left(shape_number: u32) ?usize {
    lock.assertHeld();
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
    literals.* = .{ @intFromPtr(symbol(arch.entry_of_copies)), block_count * block_length };
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

/// The code of a thunk: the pointer that C calls.
pub fn address(number: u32) *const anyopaque {
    const block = number / block_length;
    const code = if (block == 0) @intFromPtr(symbol("belay_thunks")) else code_of_blocks[block];
    const in_block: usize = number % block_length;
    const group = in_block / symbols.group_length * arch.group_byte_length;
    return @ptrFromInt(code + group + in_block % symbols.group_length * arch.thunk_byte_length);
}

fn symbol(comptime name: []const u8) [*]const u8 {
    return @extern([*]const u8, .{ .name = name, .visibility = .hidden });
}

fn codeBetween(comptime start: []const u8, comptime end: []const u8) []const u8 {
    return symbol(start)[0 .. @intFromPtr(symbol(end)) - @intFromPtr(symbol(start))];
}

/// The bits that C gets when the function can't be asked.
pub fn fallbackOf(slot: *const Slot) u64 {
    const bits = @atomicLoad(u64, &slot.fallback, .acquire);
    if (resultOf(slot) != .fetched) return bits;
    const fetching = fetchingOf(slot) orelse return 0;
    return fetching.fallback;
}

/// What the core does for a callback whose arguments are fetched; null before one stands behind the thunk.
pub fn fetchingOf(slot: *const Slot) ?*const abi.Fetching {
    return @ptrFromInt(@as(usize, @intCast(@atomicLoad(u64, &slot.fallback, .acquire))));
}

pub fn resultOf(slot: *const Slot) abi.Result {
    return @enumFromInt(@atomicLoad(u32, &slot.layout, .monotonic) >> 24 & ~@as(u32, abi.result_narrow));
}

/// For tests: no thunk was ever claimed.
pub fn forget() void {
    for (0..chunks.items.len * chunk_length) |thunk| slotOf(@intCast(thunk)).* = .{};
    chunks.clearAndFree(allocator);
    for (shapes.items) |name| allocator.free(name);
    shapes.clearAndFree(allocator);
}

comptime {
    _ = arch;
    // Thunks of one chunk are as far from each other as their stride says.
    std.debug.assert(symbols.group_length % chunk_length == 0);
    // JavaScript finds a slot's words by shifts.
    std.debug.assert(std.math.isPowerOfTwo(chunk_length) and std.math.isPowerOfTwo(@sizeOf(Slot)));
}
