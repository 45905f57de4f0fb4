//! The queues of an isolate: made for callbacks, given to others when these are gone, and left when the isolate ends.

const std = @import("std");
const abi = @import("../abi.zig");
const allocator = @import("../allocator.zig").allocator;
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const records = @import("record.zig");
const serve = @import("serve.zig");
const thunks = @import("../thunks/pool.zig");
const waker = @import("../waking/waker.zig");
const Isolate = isolates.Isolate;
const Layout = records.Layout;
const Queue = @import("../queue.zig").Queue;
const Slot = abi.Slot;

/// A queue for so many callbacks of a layout, with so many more words; maybe one that no callback has any more. On the
/// isolate's thread.
pub fn create(isolate: *Isolate, call_count: u32, layout_bits: u32, extra_words: u32, on_full: abi.OnFull) ?*Queue {
    isolate.assertOwnThread();
    const slot: Slot = .{ .layout = layout_bits };
    const limit = @as(u64, call_count) * (1 + @as(u64, extra_words) + Layout.of(&slot).words());
    const length = Queue.lengthFor(limit);
    const queue = retiredQueue(isolate, length, on_full) orelse added: {
        const added = adopt(length, on_full) orelse Queue.create(allocator, limit, on_full) orelse return null;
        added.next = isolate.queued.queues;
        isolate.queued.queues = added;
        break :added added;
    };
    queue.retired = false;
    queue.marked = 0;
    queue.limit.store(limit, .monotonic);
    return queue;
}

fn retiredQueue(isolate: *Isolate, length: u64, on_full: abi.OnFull) ?*Queue {
    var next_queue = isolate.queued.queues;
    while (next_queue) |queue| : (next_queue = queue.next) {
        if (queue.retired and queue.is(length, on_full)) return queue;
    }
    return null;
}

/// The queues of isolates that are gone, for those that come.
var orphans: ?*Queue = null;
var orphans_mutex: futex.Mutex = .{};

fn adopt(length: u64, on_full: abi.OnFull) ?*Queue {
    orphans_mutex.acquire();
    defer orphans_mutex.release();
    var link = &orphans;
    while (link.*) |queue| : (link = &queue.next) {
        if (!queue.is(length, on_full)) continue;
        link.* = queue.next;
        // Of the isolate before, threads may have been about to queue something when it left.
        drain(queue);
        return queue;
    }
    return null;
}

/// Tests give the queues back that the process would keep.
pub fn freeOrphans() void {
    while (orphans) |queue| {
        orphans = queue.next;
        // Threads that had not heard of the end may have queued something.
        drain(queue);
        queue.destroy(allocator);
    }
}

/// Frees what is queued and complete, for the thread that takes.
fn drain(queue: *Queue) void {
    queue.awaitTaking();
    defer queue.endTaking();
    records.discardAll(queue);
}

/// An isolate that has ended leaves its queues. On its thread.
pub fn abandon(isolate: *Isolate) void {
    isolate.assertOwnThread();
    const queued = &isolate.queued;
    serve.finish(isolate);
    queued.current = null;
    while (queued.queues) |queue| {
        queued.queues = queue.next;
        drain(queue);
        orphans_mutex.acquire();
        defer orphans_mutex.release();
        queue.next = orphans;
        orphans = queue;
    }
}

/// Ends what waits for a callback that is gone: threads that wait for its answer get the fallback, those that wait for
/// space go on. A queue that is retired may serve another callback. Answers how many calls had been queued.
///
/// @param state What the thunk's slot had, until JavaScript changed it before this.
pub fn cancel(isolate: *Isolate, index: u32, state: u32, queue: *Queue, retire: bool) u32 {
    isolate.assertOwnThread();
    const queued = &isolate.queued;
    {
        queued.mutex.acquire();
        defer queued.mutex.release();
        var waiters = queued.waiters;
        while (waiters) |waiter| : (waiters = waiter.next) {
            if (waiter.slot.index == index) waiter.answerWaiting();
        }
    }
    var count: u32 = 0;
    queue.awaitTaking();
    defer queue.endTaking();
    var oldest = queue.oldest(records.lengthOf);
    while (oldest) |record| : (oldest = queue.following(record, records.lengthOf)) {
        const id = records.idOf(queue, record);
        if (id.state != state) continue;
        const slot = thunks.slotOf(id.number);
        // A thread that gave up doesn't count.
        const waits = if (records.waiterOf(queue, record)) |waiter| !waiter.gaveUp() else true;
        count += @intFromBool(waits and slot.index == index and slot.isolate == &isolate.words);
    }
    if (retire) {
        // The next callback finds it empty.
        records.discardAll(queue);
        queue.retired = true;
    }
    queue.wakeSleepers();
    return count;
}

/// The isolate counts as gone: its JavaScript is called no more, and every thread that waits for it goes on. On its
/// thread.
pub fn end(isolate: *Isolate) void {
    isolate.assertOwnThread();
    @atomicStore(u32, &isolate.words.live, 0, .release);
    waker.silence(isolate);
    const queued = &isolate.queued;
    queued.mutex.acquire();
    defer queued.mutex.release();
    var waiters = queued.waiters;
    while (waiters) |waiter| : (waiters = waiter.next) {
        waiter.answerWaiting();
    }
    if (queued.waiter) |waiter| waiter.answerRunning(waiter.result);
    var queues_left = queued.queues;
    while (queues_left) |queue| : (queues_left = queue.next) queue.wakeSleepers();
}
