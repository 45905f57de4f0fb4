//! Deno loses a wake now and then (one in some thousands, under load), and Bun's callbacks are deaf once `bun test
//! --isolate` has begun with another file. A thread repeats those that nobody has answered for a while; it sleeps where
//! there are none.

const std = @import("std");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const node_api = @import("node_api.zig");
const threads = @import("../os/threads.zig");
const Isolate = isolates.Isolate;

pub const first_patience_ns = 2 * std.time.ns_per_ms;
const longest_patience_ns = 256 * std.time.ns_per_ms;
/// The runtime's thread-safe function runs on it.
const stack_byte_length = 1024 * 1024;
/// After so long without a wake it sleeps: waking it takes longer than the wake itself.
const longest_quiet_ns = 50 * std.time.ns_per_ms;
var active: futex.Word = .init(0);
var asleep: std.atomic.Value(u32) = .init(0);
/// Changes when the watchdog has to look again when the next thing is due.
var sooner: futex.Word = .init(0);
var mutex: futex.Mutex = .{};
var connected: ?*Isolate = null;
var started = false;

/// A wake was asked for.
pub fn watch() void {
    active.store(1, .seq_cst);
    if (asleep.load(.seq_cst) == 1) futex.wakeAll(&active);
}

/// Something is due before it would come by.
pub fn hurry() void {
    _ = sooner.fetchAdd(1, .seq_cst);
    futex.wakeAll(&sooner);
}

pub fn add(isolate: *Isolate) bool {
    mutex.acquire();
    defer mutex.release();
    if (!started) {
        started = threads.spawn(run, null, stack_byte_length);
        if (!started) return false;
    }
    isolate.waker.next = connected;
    connected = isolate;
    return true;
}

pub fn remove(isolate: *Isolate) void {
    mutex.acquire();
    defer mutex.release();
    var link = &connected;
    while (link.*) |other| {
        if (other == isolate) {
            link.* = isolate.waker.next;
            return;
        }
        link = &other.waker.next;
    }
}

fn run(_: ?*anyopaque) void {
    var quiet_ns: u64 = 0;
    while (true) {
        const before = sooner.load(.seq_cst);
        const due_ns = repeatOutstanding();
        if (due_ns != null) active.store(1, .monotonic);
        if (quiet_ns >= longest_quiet_ns) {
            asleep.store(1, .seq_cst);
            while (active.load(.seq_cst) == 0) futex.wait(&active, 0, 3600 * std.time.ns_per_s);
            asleep.store(0, .monotonic);
        }
        quiet_ns = if (active.swap(0, .acquire) == 1) 0 else quiet_ns + first_patience_ns;
        // Longer than any wake takes that isn't lost and finds the loop idle.
        futex.wait(&sooner, before, @min(first_patience_ns, (due_ns orelse std.math.maxInt(u64)) -| futex.now()));
    }
}

/// Answers when the next one is due; null when none is outstanding.
fn repeatOutstanding() ?u64 {
    mutex.acquire();
    defer mutex.release();
    var due_ns: ?u64 = null;
    const now = futex.now();
    var next = connected;
    while (next) |isolate| : (next = isolate.waker.next) {
        const waker = &isolate.waker;
        // One that has ended looks no more, and its runtime may be gone without having said so.
        if (waker.requested.load(.seq_cst) == 0 or !isolate.words.isLive()) continue;
        const rest_end_ns = waker.rest_end_ns.load(.monotonic);
        if (rest_end_ns == 0 and !waker.watched) continue;
        const looks = waker.looks.load(.monotonic);
        if (looks != waker.seen or rest_end_ns != waker.seen_rest_ns or waker.patience_ns == 0) {
            waker.seen = looks;
            waker.seen_rest_ns = rest_end_ns;
            waker.patience_ns = first_patience_ns;
            waker.again_ns = if (rest_end_ns != 0) rest_end_ns else now + first_patience_ns;
        }
        if (now >= waker.again_ns) {
            // It may be busy rather than deaf.
            node_api.call(waker, .sure);
            waker.patience_ns = @min(waker.patience_ns * 2, longest_patience_ns);
            waker.again_ns = now + waker.patience_ns;
        }
        due_ns = @min(due_ns orelse waker.again_ns, waker.again_ns);
    }
    return due_ns;
}
