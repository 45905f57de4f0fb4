//! A spin lock for the few moments when isolates attach, leave or take thunks. Nothing that could wait for it is called while it is held.

const std = @import("std");

pub const Lock = struct {
    held: std.atomic.Value(bool) = .init(false),

    pub fn acquire(lock: *Lock) void {
        while (lock.held.swap(true, .acquire)) std.atomic.spinLoopHint();
    }

    pub fn release(lock: *Lock) void {
        lock.held.store(false, .release);
    }
};
