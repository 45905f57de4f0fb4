//! Serving queued callbacks, on the isolate's thread: JavaScript takes one after another, each as if the dispatcher had
//! just been entered.

const std = @import("std");
const abi = @import("../abi.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const queues = @import("../queue.zig");
const records = @import("record.zig");
const strings = @import("../allocator.zig");
const thunks = @import("../thunks/pool.zig");
const waker = @import("../waking/waker.zig");
const Isolate = isolates.Isolate;
const Layout = records.Layout;
const Queue = queues.Queue;
const Queued = isolates.Queued;
const Waiter = @import("../waiter.zig").Waiter;

/// How long it lingers: where calls come thick and fast, less than another wake takes.
const linger_ns = 10 * std.time.ns_per_us;
/// How long it waits for the next call of a nonblocking call that calls back.
const poll_ns = 50 * std.time.ns_per_us;

/// Takes the next call that waits in the isolate's queues: its arguments, index and fallback are in the words then, as
/// the dispatcher would have put them. What the last one answered goes to who waits for it. On the isolate's thread,
/// and not while JavaScript runs a call that it took.
pub fn next(isolate: *Isolate, patience: abi.Next) bool {
    isolate.assertOwnThread();
    finish(isolate);
    if (patience == .finish) {
        // The next turn begins with another queue: this one may never be empty.
        if (isolate.queued.current) |queue| isolate.queued.current = queue.next;
        return false;
    }
    if (takeAny(isolate)) return true;
    if (patience == .take) return false;
    if (patience == .poll) return poll(isolate);
    const end_ns = futex.now() + linger_ns;
    while (futex.now() < end_ns) {
        // Not too often: each look takes the cache line from the threads that write to it.
        for (0..32) |_| std.atomic.spinLoopHint();
        if (takeAny(isolate)) return true;
    }
    return false;
}

/// Waits a moment for a call of a thread that calls again and again. Others run meanwhile: that thread may be on the same
/// processor.
fn poll(isolate: *Isolate) bool {
    const end_ns = futex.now() + poll_ns;
    while (futex.now() < end_ns and @atomicLoad(u32, &isolate.words.completed, .monotonic) == 0) {
        std.Thread.yield() catch {};
        if (takeAny(isolate)) return true;
    }
    return false;
}

/// Marks the calls that are queued, or about to be, and the one that JavaScript is making; answers whether there are
/// any. On the isolate's thread.
pub fn mark(isolate: *Isolate) bool {
    isolate.assertOwnThread();
    const queued = &isolate.queued;
    var next_queue = queued.queues;
    while (next_queue) |queue| : (next_queue = queue.next) queue.mark();
    queued.marked = queued.running or !markIsPassed(queued);
    // What another isolate's threads queued when this one got the queue has woken nobody.
    if (queued.marked) waker.wake(isolate);
    return queued.marked;
}

fn updateMark(queued: *Queued) void {
    if (queued.marked) queued.marked = !markIsPassed(queued);
}

fn markIsPassed(queued: *const Queued) bool {
    var next_queue = queued.queues;
    while (next_queue) |queue| : (next_queue = queue.next) {
        if (!queue.markIsPassed()) return false;
    }
    return true;
}

/// From the queue that the last one came from, as long as there are any in it, so that each is looked at in turn.
fn takeAny(isolate: *Isolate) bool {
    const queued = &isolate.queued;
    var queue = queued.current orelse queued.queues orelse return false;
    const start = queue;
    while (true) {
        if (takeFrom(isolate, queue)) {
            queued.current = queue;
            return true;
        }
        queue.emptied();
        queue = queue.next orelse queued.queues.?;
        if (queue != start) continue;
        // What was stale has been passed over.
        updateMark(queued);
        return false;
    }
}

inline fn takeFrom(isolate: *Isolate, queue: *Queue) bool {
    queue.awaitTaking();
    defer queue.endTaking();
    while (queue.take(records.lengthOf)) |record| {
        if (begin(isolate, queue, record)) return true;
    }
    return false;
}

inline fn begin(isolate: *Isolate, queue: *Queue, record: queues.Record) bool {
    const id = records.idOf(queue, record);
    const slot = thunks.slotOf(id.number);
    const waiter = records.waiterOf(queue, record);
    // The queue may have been another isolate's.
    const stale = @atomicLoad(u32, &slot.state, .monotonic) != id.state or slot.isolate != &isolate.words;
    if (stale or (waiter != null and !waiter.?.begin())) {
        records.discard(queue, record);
        return false;
    }
    const words = &isolate.words;
    const layout: Layout = .of(slot);
    const string_bits = records.stringsOf(queue, record);
    const queued = &isolate.queued;
    const target: Target = .{
        .queue = queue,
        .record = record,
        .first = id.argumentsPlace(),
        .strings = string_bits,
        .isolate = isolate,
    };
    layout.each(target, Target.copy);
    queued.running = true;
    queued.waiter = waiter;
    words.call_token = if (waiter) |one| one.call_token else 0;
    words.callback = slot.index;
    words.result = thunks.fallbackOf(slot);
    words.overflow = 0;
    queue.release(record);
    return true;
}

const Target = struct {
    queue: *Queue,
    record: queues.Record,
    first: usize,
    strings: u64,
    isolate: *Isolate,

    fn copy(target: Target, index: usize, place: usize) void {
        const word = target.queue.word(target.record, target.first + index).*;
        target.isolate.words.arguments[place] = word;
        if (target.strings == 0 or !records.isStringAt(target.strings, index) or word == 0) return;
        const queued = &target.isolate.queued;
        queued.strings[queued.string_count] = @intCast(word);
        queued.string_count += 1;
    }
};

/// Gives the answer of the callback that JavaScript has run to the thread that waits for it, and frees its strings.
pub fn finish(isolate: *Isolate) void {
    const queued = &isolate.queued;
    if (queued.waiter) |waiter| {
        queued.waiter = null;
        waiter.answerRunning(isolate.words.result);
        waiter.letGo();
    }
    for (queued.strings[0..queued.string_count]) |string| strings.freeString(string);
    queued.string_count = 0;
    queued.running = false;
    updateMark(queued);
    isolate.words.call_token = 0;
}
