//! The tests' allocator for threads that also sleep on the core's futexes. On Windows the standard library's mutex, which
//! its own is behind, takes every alert of a thread for its own: one that a wait on an address left behind, as when it
//! timed out, makes it go on while it is still listed (Zig 0.16, under Wine). Here threads never meet at that mutex.

const std = @import("std");
const Lock = @import("os/lock.zig").Lock;

pub const allocator: std.mem.Allocator = .{
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
