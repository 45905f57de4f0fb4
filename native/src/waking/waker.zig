//! Waking an isolate's event loop from any thread.
//!
//! A burst of wakes is one. The thread that sets the flag calls the function. JavaScript clears the flag before it
//! looks, so a wake after that look sets the flag anew.

const std = @import("std");
const builtin = @import("builtin");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const node_api = @import("node_api.zig");
const watchdog = @import("watchdog.zig");
const Isolate = isolates.Isolate;
const ThreadsafeFunction = isolates.ThreadsafeFunction;
const Way = isolates.Way;

/// Has an isolate's JavaScript look what there is, soon. From any thread; does nothing for one that isn't connected.
pub fn wake(isolate: *Isolate) void {
    _ = wakeSleeping(isolate);
}

/// As `wake`, by another thread that goes on. It lets the thread that it has woken have this processor: that is where
/// Linux may have put it, to wait until this one sleeps.
pub noinline fn wakeAndGiveWay(isolate: *Isolate) void {
    if (!wakeSleeping(isolate) or builtin.os.tag != .linux) return;
    const way = &isolate.waker.way;
    const before = futex.now();
    if (!isFree(way, before)) return;
    std.Thread.yield() catch {};
    const after = futex.now();
    took(way, after, after - before);
}

/// Answers whether JavaScript had to be woken, and this thread has done it.
fn wakeSleeping(isolate: *Isolate) bool {
    const waker = &isolate.waker;
    // Sequentially consistent, as what was queued before this: JavaScript clears the flag and then looks at the queues,
    // so either it finds that, or this finds the flag cleared. Mostly it is set, and shared by all who look.
    if (waker.requested.load(.seq_cst) == 1) return false;
    if (waker.requested.swap(1, .seq_cst) == 1) return false;
    node_api.call(waker, .fast);
    if (waker.watched) watchdog.watch();
    return true;
}

// When to give way. In a burst it would be in vain. Where other programs want the processor, too, one of them may keep
// it for a millisecond: after that it is left out for 1 ms, 2 ms, up to a quarter of a second, and after one that was
// short for half as long.

const burst_ns = 100 * std.time.ns_per_us;
const long_ns = 200 * std.time.ns_per_us;
const shortest_pause_ns = std.time.ns_per_ms;
const longest_pause_ns = 256 * std.time.ns_per_ms;

// Threads may do this at once: what they make of the numbers is never worse than a yield too many.
fn isFree(way: *Way, now: u64) bool {
    const in_burst = now -% way.last_ns.swap(now, .monotonic) < burst_ns;
    return !in_burst and now >= way.pause_end_ns.load(.monotonic);
}

fn took(way: *Way, now: u64, duration_ns: u64) void {
    const pause_ns = way.pause_ns.load(.monotonic);
    const next_ns = if (duration_ns < long_ns)
        pause_ns / 2
    else
        std.math.clamp(2 * pause_ns, shortest_pause_ns, longest_pause_ns);
    way.pause_ns.store(next_ns, .monotonic);
    way.pause_end_ns.store(now + next_ns, .monotonic);
}

/// JavaScript begins to look; answers when. Null, and nothing is done, while it rests; with `at_once` the rest is over.
/// On the isolate's thread.
pub fn looking(isolate: *Isolate, at_once: bool) ?u64 {
    isolate.assertOwnThread();
    const waker = &isolate.waker;
    const now = futex.now();
    const rest_end_ns = waker.rest_end_ns.load(.monotonic);
    if (rest_end_ns != 0) {
        if (!at_once and now < rest_end_ns) return null;
        waker.rest_end_ns.store(0, .monotonic);
    }
    _ = waker.looks.fetchAdd(1, .monotonic);
    _ = waker.requested.swap(0, .seq_cst);
    return now;
}

/// Has JavaScript look after so long, and not before, whatever is queued: the loop is idle meanwhile, or has other
/// things to do. On the isolate's thread.
pub fn rest(isolate: *Isolate, duration_ns: u64) void {
    isolate.assertOwnThread();
    const waker = &isolate.waker;
    if (!waker.listed) return wake(isolate);
    waker.rest_end_ns.store(futex.now() + duration_ns, .monotonic);
    // It is a wake that takes long: nobody else makes one. Released, so that the watchdog finds the rest with it.
    waker.requested.store(1, .seq_cst);
    watchdog.watch();
    if (duration_ns < watchdog.first_patience_ns) watchdog.hurry();
}

pub fn isConnected(isolate: *Isolate) bool {
    return @atomicLoad(?ThreadsafeFunction, &isolate.waker.function, .acquire) != null;
}

/// From now on the isolate's JavaScript isn't woken any more, and what woke it isn't touched.
pub fn silence(isolate: *Isolate) void {
    isolate.waker.mutex.acquire();
    defer isolate.waker.mutex.release();
    isolate.waker.silent = true;
}

/// From now on the isolate is woken by the function, or by the callback where that isn't deaf.
pub fn connect(
    isolate: *Isolate,
    function: ThreadsafeFunction,
    look: ?*const isolates.Look,
    callback: ?*const isolates.Look,
    watched: bool,
) void {
    isolate.assertOwnThread();
    const waker = &isolate.waker;
    // Before it can be woken.
    waker.look = look;
    waker.listed = watchdog.add(isolate);
    waker.watched = watched and waker.listed;
    waker.mutex.acquire();
    defer waker.mutex.release();
    // Only if the watchdog repeats wakes: the callback may have become deaf (see ffi/runtime/bun.ts).
    if (waker.watched) waker.callback = callback;
    @atomicStore(?ThreadsafeFunction, &waker.function, function, .release);
}

/// Takes the function away: nothing calls it from now on.
pub fn takeFunction(isolate: *Isolate) ?ThreadsafeFunction {
    isolate.waker.mutex.acquire();
    defer isolate.waker.mutex.release();
    defer @atomicStore(?ThreadsafeFunction, &isolate.waker.function, null, .monotonic);
    return isolate.waker.function;
}

test "way is given once in a while, and more rarely where that takes long" {
    var way: Way = .{};
    var now: u64 = std.time.ns_per_s;
    try std.testing.expect(isFree(&way, now));
    took(&way, now, long_ns - 1);
    try std.testing.expect(!isFree(&way, now + burst_ns - 1));
    now += 2 * burst_ns;
    try std.testing.expect(isFree(&way, now));
    const pauses_ms = [_]u64{ 1, 2, 4, 8, 16, 32, 64, 128, 256, 256 };
    for (pauses_ms) |pause_ms| {
        took(&way, now, long_ns);
        try std.testing.expect(!isFree(&way, now + pause_ms * std.time.ns_per_ms - 1));
        now += pause_ms * std.time.ns_per_ms + burst_ns;
        try std.testing.expect(isFree(&way, now));
    }
    took(&way, now, long_ns - 1);
    try std.testing.expect(!isFree(&way, now + 128 * std.time.ns_per_ms - 1));
    try std.testing.expect(isFree(&way, now + 128 * std.time.ns_per_ms + burst_ns));
}
