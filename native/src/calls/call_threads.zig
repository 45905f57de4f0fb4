//! Call threads make the native calls that JavaScript doesn't wait for. The process has one set of them, which its
//! isolates share, since processors and threads are the process's.
//!
//! A thread that has made a call takes the next one at once. Calls may wait for one another, so another thread must
//! take the rest if that one doesn't come back soon: while calls are queued, one thread searches, that is, is awake and
//! in no call. The searching thread leaves calls to threads that come back, and takes a call that has waited for a
//! while.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const blocks = @import("blocks.zig");
const fork = @import("../os/fork.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const threads = @import("../os/threads.zig");
const waker = @import("../waking/waker.zig");
const Call = abi.Call;
const Isolate = isolates.Isolate;

const spin_ns = 20 * std.time.ns_per_us;
/// How long JavaScript waits for a call to complete rather than for the event loop to be woken; and how long that may
/// take when others got the processor meanwhile.
const poll_ns = 10 * std.time.ns_per_us;
const longest_poll_ns = 50 * std.time.ns_per_us;
/// How long a call waits for a thread to come back from another one.
const patience_ns = 50 * std.time.ns_per_us;
const idle_ns = if (builtin.is_test) 100 * std.time.ns_per_ms else 3 * std.time.ns_per_s;
/// As much as C's main thread has.
const stack_byte_length = 8 * 1024 * 1024;

/// A thread without work; its word changes when it is to search.
const Sleeper = struct {
    appointed: futex.Word = .init(0),
    next: ?*Sleeper = null,
};

/// Submitted calls that no thread has seen, the last one first.
pub var incoming: std.atomic.Value(?*Call) = .init(null);
/// How many threads are awake and in no call, or on their way to that: they look for calls before they sleep.
var searching: std.atomic.Value(u32) = .init(0);
var thread_count: std.atomic.Value(u32) = .init(0);
var limit: std.atomic.Value(u32) = .init(abi.default_call_threads);

var mutex: futex.Mutex = .{};
// The rest is touched under the mutex only. The queue, oldest first; how many there are, and were.
var first: ?*Call = null;
var last: ?*Call = null;
var queued: u64 = 0;
var taken: u64 = 0;
/// How many threads are in a call.
var busy: u32 = 0;
var spinning = false;
var sleepers: ?*Sleeper = null;
/// What `taken` has to reach until the appointed thread looks, so that it leaves the calls to others.
var appointed_mark: u64 = 0;

/// Tests say here whether the system starts a thread.
pub var before_start: ?*const fn () bool = null;

/// For tests: whether no call is queued or running, and no thread searches.
pub fn isIdle() bool {
    mutex.acquire();
    defer mutex.release();
    const nobody = searching.load(.monotonic) == 0 and busy == 0;
    return nobody and queued == 0 and first == null and incoming.load(.monotonic) == null;
}

/// Has a thread make a call whose frame is written. On the isolate's thread. False when the system starts no thread.
pub fn submit(isolate: *Isolate, index: u32) bool {
    isolate.assertOwnThread();
    if (std.debug.runtime_safety) std.debug.assert(index < abi.max_calls);
    const call = &(isolate.calls.blocks.load(.monotonic) orelse return false)[index];
    blocks.freeString(call);
    call.isolate = &isolate.words;
    call.index = index;
    isolate.calls.used = @max(isolate.calls.used, index + 1);
    _ = isolate.calls.holders.fetchAdd(1, .monotonic);
    var head = incoming.load(.monotonic);
    while (true) {
        call.next = head;
        head = incoming.cmpxchgWeak(head, call, .seq_cst, .monotonic) orelse break;
    }
    // A thread that stops to search looks for calls afterwards, so one of the two sees the other.
    if (searching.load(.seq_cst) != 0) return true;
    mutex.acquire();
    collect();
    const sleeper = appoint();
    const refused = thread_count.load(.monotonic) == 0 and unqueue(call);
    mutex.release();
    wake(sleeper);
    if (refused) blocks.letGo(isolate);
    return !refused;
}

/// Waits a moment for a call to complete; answers whether one has. Others run meanwhile: the thread that makes the call
/// may be on the same processor.
pub fn poll(isolate: *Isolate) bool {
    isolate.assertOwnThread();
    const words = &isolate.words;
    const start = futex.now();
    var now = start;
    while (@atomicLoad(u32, &words.completed, .monotonic) == 0 and now < start + poll_ns) : (now = futex.now()) {
        std.Thread.yield() catch {};
    }
    // What completes from here on wakes JavaScript; what has before is found when it takes the list.
    @atomicStore(u32, &words.polls, 0, .seq_cst);
    return @atomicLoad(u32, &words.completed, .seq_cst) != 0 and now < start + longest_poll_ns;
}

/// How many threads there may be, and how many calls at once from now on. Threads that are too many end when they come
/// back from their calls, or have been idle for a while.
pub fn setLimit(count: u32) void {
    mutex.acquire();
    limit.store(std.math.clamp(count, 1, abi.max_call_threads), .monotonic);
    collect();
    const sleeper = if (first == null) null else appoint();
    mutex.release();
    wake(sleeper);
}

pub fn threadCount() u32 {
    return thread_count.load(.monotonic);
}

/// Puts what was submitted into the queue.
fn collect() void {
    mutex.assertHeld();
    var next = incoming.swap(null, .seq_cst) orelse return;
    const newest = next;
    var reversed: ?*Call = null;
    while (true) {
        queued += 1;
        const older = next.next;
        next.next = reversed;
        reversed = next;
        next = older orelse break;
    }
    if (last) |newest_queued| newest_queued.next = reversed else first = reversed;
    last = newest;
}

fn pop() ?*Call {
    if (first == null) collect();
    const call = first orelse return null;
    first = call.next;
    if (first == null) last = null;
    queued -= 1;
    taken += 1;
    return call;
}

fn unqueue(call: *Call) bool {
    var previous: ?*Call = null;
    var next = first;
    while (next) |other| : (next = other.next) {
        if (other == call) {
            if (previous) |before| before.next = call.next else first = call.next;
            if (last == call) last = previous;
            queued -= 1;
            return true;
        }
        previous = other;
    }
    return false;
}

/// Has an idle thread search, or a new one, unless somebody does. Under the mutex; `wake` comes after it, with what
/// this answers. A thread is started under the mutex, too: as long as it isn't known whether it could be, no other
/// isolate takes it for one that searches, and leaves its call to it.
fn appoint() ?*const futex.Word {
    mutex.assertHeld();
    // Those that are busy come back.
    if (searching.load(.monotonic) != 0 or busy >= limit.load(.monotonic)) return null;
    const count = thread_count.load(.monotonic);
    if (sleepers == null and count >= limit.load(.monotonic)) return null;
    appointed_mark = taken + queued;
    if (sleepers) |sleeper| {
        _ = searching.fetchAdd(1, .seq_cst);
        sleepers = sleeper.next;
        sleeper.appointed.store(1, .release);
        return &sleeper.appointed;
    }
    if (!startThread()) return null;
    // It waits for the mutex, and so begins after this.
    _ = searching.fetchAdd(1, .seq_cst);
    thread_count.store(count + 1, .monotonic);
    return null;
}

fn startThread() bool {
    if (builtin.is_test) if (before_start) |may_start| if (!may_start()) return false;
    return threads.spawn(run, null, stack_byte_length);
}

fn wake(sleeper: ?*const futex.Word) void {
    // It may be gone by now: then its word is just an address that nobody waits on.
    if (sleeper) |word| futex.wakeAll(word);
}

fn run(_: ?*anyopaque) void {
    var was_busy = false;
    while (find(was_busy)) |call| {
        perform(call);
        // Nobody waits for what comes back from a call that forked.
        if (fork.isChild()) return;
        was_busy = true;
    }
}

/// The next call for this thread; null when it is to end.
fn find(was_busy: bool) ?*Call {
    var sleeper: ?*const futex.Word = null;
    defer wake(sleeper);
    mutex.acquire();
    defer mutex.release();
    const too_many = thread_count.load(.monotonic) > limit.load(.monotonic);
    if (was_busy) {
        busy -= 1;
        if (too_many) return end(&sleeper);
    }
    var spins = was_busy and !spinning;
    var mark = if (was_busy) std.math.maxInt(u64) else appointed_mark;
    while (true) {
        collect();
        if (first != null and busy < limit.load(.monotonic)) {
            if (busy == 0 or taken < mark) return begin(&sleeper);
            // Those before it are taken, so others come back: they may take this one, too.
            mark = taken + queued;
            mutex.release();
            var never: futex.Word = .init(0);
            futex.wait(&never, 0, patience_ns);
            mutex.acquire();
            continue;
        }
        if (spins) {
            spins = false;
            spinning = true;
            mutex.release();
            spin();
            mutex.acquire();
            spinning = false;
            mark = std.math.maxInt(u64);
            continue;
        }
        _ = searching.fetchSub(1, .seq_cst);
        if (incoming.load(.seq_cst) != null) {
            _ = searching.fetchAdd(1, .seq_cst);
            continue;
        }
        if (!sleep()) return null;
        mark = appointed_mark;
    }
}

/// Takes the first call of the queue, and has another thread look after the rest.
fn begin(sleeper: *?*const futex.Word) *Call {
    const call = pop().?;
    busy += 1;
    _ = searching.fetchSub(1, .seq_cst);
    if (first != null or incoming.load(.seq_cst) != null) sleeper.* = appoint();
    return call;
}

/// Ends a thread that searches.
fn end(sleeper: *?*const futex.Word) ?*Call {
    _ = searching.fetchSub(1, .seq_cst);
    _ = thread_count.fetchSub(1, .monotonic);
    if (first != null or incoming.load(.seq_cst) != null) sleeper.* = appoint();
    return null;
}

fn spin() void {
    const spin_end = futex.now() + spin_ns;
    while (incoming.load(.monotonic) == null) {
        if (futex.now() >= spin_end) return;
        std.Thread.yield() catch {};
    }
}

/// Waits to be appointed; false when nobody has for so long that the thread has ended. The last one to sleep is the
/// first to be appointed, so that those which aren't needed end.
fn sleep() bool {
    var sleeper: Sleeper = .{ .next = sleepers };
    sleepers = &sleeper;
    const deadline = futex.now() + idle_ns;
    mutex.release();
    while (sleeper.appointed.load(.acquire) == 0) {
        const now = futex.now();
        if (now >= deadline) break;
        futex.wait(&sleeper.appointed, 0, deadline - now);
    }
    mutex.acquire();
    if (sleeper.appointed.load(.monotonic) != 0) return true;
    var link = &sleepers;
    while (link.*) |other| {
        if (other == &sleeper) {
            link.* = sleeper.next;
            break;
        }
        link = &other.next;
    }
    _ = thread_count.fetchSub(1, .monotonic);
    return false;
}

fn perform(call: *Call) void {
    const isolate: *Isolate = .of(call.isolate.?);
    // What JavaScript passed is gone with it.
    if (isolate.words.isLive()) {
        isolates.current_call = call.index + 1;
        isolates.current_caller = isolate;
        blocks.perform(call);
        isolates.current_call = 0;
        if (call.string_result != 0) blocks.copyString(call);
        // Before JavaScript can submit the next one, so that no other thread is appointed for it.
        _ = searching.fetchAdd(1, .seq_cst);
        complete(isolate, call);
    } else {
        _ = searching.fetchAdd(1, .seq_cst);
    }
    blocks.letGo(isolate);
}

/// Puts a call into the isolate's list, and wakes JavaScript, which takes the list whole.
fn complete(isolate: *Isolate, call: *Call) void {
    const head = &isolate.words.completed;
    var next = @atomicLoad(u32, head, .monotonic);
    while (true) {
        @atomicStore(u32, &call.completed_next, next, .monotonic);
        next = @cmpxchgWeak(u32, head, next, call.index + 1, .seq_cst, .monotonic) orelse break;
    }
    // Where the list wasn't empty, somebody has. JavaScript that polls looks once more when it has stopped.
    if (next != 0 or @atomicLoad(u32, &isolate.words.polls, .seq_cst) != 0) return;
    if (isolate.words.isLive()) waker.wake(isolate);
}
