//! One thread's wait for the answer of a queued callback.

const std = @import("std");
const abi = @import("abi.zig");
const allocator = @import("allocator.zig").allocator;
const futex = @import("os/futex.zig");

/// The callback's record and the waiting thread hold it; the last one frees it.
pub const Waiter = struct {
    state: futex.Word = .init(waiting),
    holders: std.atomic.Value(u32) = .init(2),
    /// The fallback at first. Only the isolate's thread writes it, and only while it runs the callback.
    result: u64,
    slot: *abi.Slot,
    /// The nonblocking call of the isolate's that this thread makes meanwhile, or 0.
    call_token: u64,
    /// The native call that JavaScript was in when the wait began, or else at half of its time; or 0.
    native_call: u32,
    next: ?*Waiter = null,
    previous: ?*Waiter = null,

    pub const waiting = 0;
    pub const running = 1;
    pub const answered = 2;
    pub const abandoned = 3;

    pub fn letGo(waiter: *Waiter) void {
        if (waiter.holders.fetchSub(1, .acq_rel) == 1) allocator.destroy(waiter);
    }

    /// JavaScript begins; false when the thread waits no longer.
    pub fn begin(waiter: *Waiter) bool {
        return waiter.state.cmpxchgStrong(waiting, running, .acquire, .monotonic) == null;
    }

    /// Whether the thread has gone on without an answer.
    pub fn gaveUp(waiter: *const Waiter) bool {
        return waiter.state.load(.monotonic) == abandoned;
    }

    /// Answers with the fallback, if it still waits and JavaScript hasn't begun. From any thread.
    pub fn answerWaiting(waiter: *Waiter) void {
        if (waiter.state.cmpxchgStrong(waiting, answered, .release, .monotonic) == null) futex.wakeAll(&waiter.state);
    }

    /// Lets the thread go on that still waits, since it would be in vain. From any thread.
    pub fn abandon(waiter: *Waiter) void {
        if (waiter.state.cmpxchgStrong(waiting, abandoned, .acquire, .monotonic) == null) futex.wakeAll(&waiter.state);
    }

    /// Gives the answer of what the isolate's thread has begun, unless it was given: the thread may be reading it.
    pub fn answerRunning(waiter: *Waiter, result: u64) void {
        if (waiter.state.load(.monotonic) != running) return;
        waiter.result = result;
        waiter.state.store(answered, .release);
        futex.wakeAll(&waiter.state);
    }
};
