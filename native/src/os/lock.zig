//! A lock for the few moments when isolates attach, leave or take thunks. Nothing that waits for anything is called
//! while it is held.

const std = @import("std");
const fork = @import("fork.zig");

pub const Lock = struct {
    held: std.atomic.Value(bool) = .init(false),

    pub noinline fn acquire(lock: *Lock) void {
        while (!lock.acquireWithin(1000)) {
            // The thread that held it at the fork is not here to release it.
            if (fork.isChild()) return;
            std.Thread.yield() catch {};
        }
    }

    /// Whether it was acquired: false when it was held all the time.
    pub fn acquireWithin(lock: *Lock, tries: u32) bool {
        for (0..tries) |_| {
            if (!lock.held.swap(true, .acquire)) return true;
            std.atomic.spinLoopHint();
        }
        return false;
    }

    pub fn release(lock: *Lock) void {
        lock.held.store(false, .release);
    }

    /// For what is only called while it is held. Checked where safety is on.
    pub fn assertHeld(lock: *const Lock) void {
        if (std.debug.runtime_safety) std.debug.assert(lock.held.load(.monotonic));
    }
};

test "a lock that is held can't be acquired, one that was released can" {
    var lock: Lock = .{};
    lock.acquire();
    try std.testing.expect(!lock.acquireWithin(10));
    lock.release();
    try std.testing.expect(lock.acquireWithin(1));
}
