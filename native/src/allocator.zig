//! The core's allocator, and copies of C's strings.

const std = @import("std");
const builtin = @import("builtin");
const Lock = @import("os/lock.zig").Lock;

pub const allocator: std.mem.Allocator = if (builtin.is_test) locked.allocator else std.heap.c_allocator;

/// A copy of the string at an address; null when there is no memory.
pub fn copyOf(string: [*:0]const u8) ?[*:0]u8 {
    return allocator.dupeZ(u8, std.mem.span(string)) catch null;
}

/// Frees a copy of a string, whose address is a word.
pub noinline fn freeString(word: u64) void {
    const string: [*:0]const u8 = @ptrFromInt(@as(usize, @intCast(word)));
    allocator.free(std.mem.span(string));
}

/// The tests' allocator, for threads that also sleep on the core's futexes. On Windows the standard library's mutex,
/// which its own is behind, takes every alert of a thread for its own: one that a wait on an address left behind, as
/// when it timed out, makes it go on while it is still listed (Zig 0.16, under Wine). Here threads never meet at that
/// mutex.
const locked = struct {
    const allocator: std.mem.Allocator = .{
        .ptr = undefined,
        .vtable = &.{ .alloc = alloc, .resize = resize, .remap = remap, .free = free },
    };

    var lock: Lock = .{};
    const inner = std.testing.allocator;

    fn alloc(_: *anyopaque, length: usize, alignment: std.mem.Alignment, caller: usize) ?[*]u8 {
        lock.acquire();
        defer lock.release();
        return inner.rawAlloc(length, alignment, caller);
    }

    fn resize(_: *anyopaque, memory: []u8, alignment: std.mem.Alignment, length: usize, caller: usize) bool {
        lock.acquire();
        defer lock.release();
        return inner.rawResize(memory, alignment, length, caller);
    }

    fn remap(_: *anyopaque, memory: []u8, alignment: std.mem.Alignment, length: usize, caller: usize) ?[*]u8 {
        lock.acquire();
        defer lock.release();
        return inner.rawRemap(memory, alignment, length, caller);
    }

    fn free(_: *anyopaque, memory: []u8, alignment: std.mem.Alignment, caller: usize) void {
        lock.acquire();
        defer lock.release();
        inner.rawFree(memory, alignment, caller);
    }
};
