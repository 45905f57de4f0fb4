//! Putting a callback into a queue: a thunk with the contract `post` or `wait` does that on another thread. It copies
//! the arguments and wakes the isolate. With `wait` the thread sleeps until JavaScript has answered.

const std = @import("std");
const abi = @import("../abi.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const notices = @import("../thunks/notices.zig");
const queues = @import("../queue.zig");
const records = @import("record.zig");
const strings = @import("../allocator.zig");
const thunks = @import("../thunks/pool.zig");
const waker = @import("../waking/waker.zig");
const Isolate = isolates.Isolate;
const Layout = records.Layout;
const Queue = queues.Queue;
const Registers = thunks.Registers;
const Slot = abi.Slot;
const Waiter = @import("../waiter.zig").Waiter;
const allocator = strings.allocator;

/// A call of a thunk whose contract is not to run where it is called. Answers the result bits.
///
/// @param own Whether it is the isolate's own thread, which can't wait for itself.
/// @param seen The state of the slot for which the arguments are, if they are for one alone.
pub fn call(number: u32, slot: *Slot, isolate: *Isolate, frame: *const Registers, stack: [*]const u64, own: bool, seen: ?u32) u64 {
    const state = seen orelse @atomicLoad(u32, &slot.state, .acquire);
    const fallback = thunks.fallbackOf(slot);
    const string_bits = @atomicLoad(u64, &slot.strings, .acquire);
    const given = @atomicLoad(?*abi.Queue, &slot.queue, .acquire) orelse return notices.misplaced(slot, isolate);
    const queue: *Queue = .of(given);
    const timeout_ms = @atomicLoad(u32, &slot.timeout_ms, .acquire);
    const layout: Layout = .of(slot);
    const contract = state & abi.contract_mask;
    const waits = contract == abi.contract_wait;
    // JavaScript changes the state before and after the rest: what was read is of one callback. The one that the
    // dispatcher has seen may be gone since.
    const whole = @atomicLoad(u32, &slot.state, .monotonic) == state and contract != abi.contract_same;
    if (!whole or !waker.isConnected(isolate) or (waits and own)) return notices.misplaced(slot, isolate);

    const native_call = isolate.words.nativeCall();
    if (waits and native_call != 0) {
        const attention = @atomicLoad(u32, &isolate.words.attention, .monotonic);
        if (attention & abi.attention_in_vain != 0) return inVain(slot, isolate, fallback, native_call);
    }
    const deadline = if (waits) after(timeout_ms) else 0;
    // Before there is a record, which holds back those after it until it is complete.
    var source: Source = .{ .strings = string_bits, .frame = frame, .stack = stack };
    if (string_bits != 0) {
        source.copyStrings(layout);
        if (source.failed) {
            source.freeCopies(layout);
            return dropped(slot, isolate, fallback);
        }
    }
    var waiter: ?*Waiter = null;
    if (waits) {
        const made = allocator.create(Waiter) catch {
            if (string_bits != 0) source.freeCopies(layout);
            return dropped(slot, isolate, fallback);
        };
        const call_token = if (isolates.current_caller == isolate) isolates.current_call else 0;
        made.* = .{ .result = fallback, .slot = slot, .call_token = call_token, .native_call = native_call };
        enlist(isolate, made, state);
        waiter = made;
    }
    const id: records.Id = .{ .number = @intCast(number), .has_strings = string_bits != 0, .state = state };
    const first = id.argumentsPlace();
    const attempt: Attempt = .{
        .slot = slot,
        .state = state,
        .isolate = isolate,
        .timeout_ms = timeout_ms,
        .deadline = deadline,
        .own = own,
    };
    const record = reserve(queue, @intCast(first + layout.words()), attempt) orelse {
        if (waiter) |made| {
            delist(isolate, made);
            allocator.destroy(made);
        }
        if (string_bits != 0) source.freeCopies(layout);
        // What ended meanwhile has no queue that was too small.
        return if (attempt.isOver()) notices.misplaced(slot, isolate) else dropped(slot, isolate, fallback);
    };
    if (waiter) |made| queue.word(record, 1).* = @intFromPtr(made);
    if (string_bits != 0) queue.word(record, id.stringsPlace()).* = string_bits;
    source.queue = queue;
    source.record = record;
    source.first = first;
    layout.each(&source, Source.fill);
    queue.commit(record, @bitCast(id));
    if (waiter == null and !own) waker.wakeAndGiveWay(isolate) else waker.wake(isolate);
    return if (waiter) |made| await_(isolate, made, fallback, deadline) else fallback;
}

/// A call's arguments on their way into a record.
const Source = struct {
    strings: u64,
    frame: *const Registers,
    stack: [*]const u64,
    copies: [abi.argument_words]u64 = undefined,
    failed: bool = false,
    queue: *Queue = undefined,
    record: queues.Record = undefined,
    first: usize = undefined,

    inline fn word(source: *const Source, place: usize) u64 {
        return if (place < abi.register_words) source.frame[place] else source.stack[place - abi.register_words];
    }

    inline fn isString(source: *const Source, index: usize) bool {
        return source.strings != 0 and records.isStringAt(source.strings, index);
    }

    fn copyString(source: *Source, index: usize, place: usize) void {
        if (!source.isString(index)) return;
        const string: ?[*:0]const u8 = @ptrFromInt(@as(usize, @intCast(source.word(place))));
        const copy = if (string) |text| strings.copyOf(text) else null;
        source.copies[index] = @intFromPtr(copy);
        source.failed = source.failed or (copy == null and string != null);
    }

    fn freeCopy(source: *Source, index: usize, _: usize) void {
        if (source.isString(index) and source.copies[index] != 0) strings.freeString(source.copies[index]);
    }

    // Not inlined: few callbacks take strings, and the loops are long.
    noinline fn copyStrings(source: *Source, layout: Layout) void {
        layout.each(source, copyString);
    }

    noinline fn freeCopies(source: *Source, layout: Layout) void {
        layout.each(source, freeCopy);
    }

    fn fill(source: *Source, index: usize, place: usize) void {
        const value = if (source.isString(index)) source.copies[index] else source.word(place);
        source.queue.word(source.record, source.first + index).* = value;
    }
};

fn after(timeout_ms: u32) u64 {
    return futex.now() +| @as(u64, timeout_ms) * std.time.ns_per_ms;
}

/// An attempt to queue a callback.
const Attempt = struct {
    slot: *Slot,
    state: u32,
    isolate: *Isolate,
    timeout_ms: u32,
    /// Until when the thread waits, for space and for the answer; 0 where the time was not asked for yet.
    deadline: u64,
    own: bool,

    /// The callback is gone, or its isolate: nobody needs the space any more, or makes it. If not, JavaScript is to
    /// make it: it may not have been woken for what fills the queue, which may be of an isolate that had it before.
    fn isOver(attempt: Attempt) bool {
        waker.wake(attempt.isolate);
        return @atomicLoad(u32, &attempt.slot.state, .monotonic) != attempt.state or !attempt.isolate.words.isLive();
    }
};

fn reserve(queue: *Queue, length: u32, attempt: Attempt) ?queues.Record {
    return queue.reserve(length) orelse makeSpace(queue, length, attempt);
}

/// Not inlined, as other things that take long: this would be half of the library's code otherwise.
noinline fn makeSpace(queue: *Queue, length: u32, attempt: Attempt) ?queues.Record {
    switch (queue.on_full) {
        .drop_newest => {
            // As in `isOver`.
            waker.wake(attempt.isolate);
            return null;
        },
        .drop_oldest => {
            // Not for ever, since others may take the space each time.
            for (0..100_000) |_| {
                dropOldest(queue, attempt.isolate);
                if (queue.reserve(length)) |record| return record;
            }
            return null;
        },
        .block => {
            // The thread that makes space can't wait for it.
            if (attempt.own) return null;
            const deadline = if (attempt.deadline != 0) attempt.deadline else after(attempt.timeout_ms);
            return queue.reserveUntil(length, deadline, attempt, Attempt.isOver);
        },
    }
}

fn dropOldest(queue: *Queue, isolate: *Isolate) void {
    if (!queue.beginTaking()) return std.atomic.spinLoopHint();
    defer queue.endTaking();
    const record = queue.take(records.lengthOf) orelse return;
    const id = records.idOf(queue, record);
    const slot = thunks.slotOf(id.number);
    if (@atomicLoad(u32, &slot.state, .monotonic) == id.state) _ = dropped(slot, isolate, 0);
    records.discard(queue, record);
}

/// A call that was not queued, or no longer is.
fn dropped(slot: *Slot, isolate: *Isolate, fallback: u64) u64 {
    _ = @atomicRmw(u32, &slot.dropped, .Add, 1, .monotonic);
    _ = @atomicRmw(u32, &isolate.words.dropped, .Add, 1, .monotonic);
    notices.note(slot, isolate);
    return fallback;
}

fn enlist(isolate: *Isolate, waiter: *Waiter, state: u32) void {
    const queued = &isolate.queued;
    queued.mutex.acquire();
    defer queued.mutex.release();
    waiter.next = queued.waiters;
    if (queued.waiters) |first| first.previous = waiter;
    queued.waiters = waiter;
    // Ending the isolate or the callback answers the waiters in the list. A waiter that comes later finds that it has
    // ended.
    const gone = @atomicLoad(u32, &waiter.slot.state, .monotonic) != state;
    if (gone or !isolate.words.isLive()) waiter.answerWaiting();
}

fn delist(isolate: *Isolate, waiter: *Waiter) void {
    const queued = &isolate.queued;
    queued.mutex.acquire();
    defer queued.mutex.release();
    if (waiter.next) |following| following.previous = waiter.previous;
    if (waiter.previous) |previous| previous.next = waiter.next else queued.waiters = waiter.next;
}

/// How long a thread that waits stays awake: an answer takes a few microseconds where JavaScript is idle.
const spin_ns = 50 * std.time.ns_per_us;
const most_skipped = 64;

noinline fn await_(isolate: *Isolate, waiter: *Waiter, fallback: u64, deadline: u64) u64 {
    defer {
        delist(isolate, waiter);
        waiter.letGo();
    }
    const start = futex.now();
    var spins = staysAwake(isolate);
    const spin_end = if (spins) start + spin_ns else start;
    const half = start + (deadline -| start) / 2;
    var halved = false;
    var state = waiter.state.load(.acquire);
    while (state != Waiter.answered) : (state = waiter.state.load(.acquire)) {
        // Another thread has waited in vain for the same native call to return.
        if (state == Waiter.abandoned) return inVain(waiter.slot, isolate, fallback, waiter.native_call);
        const now = futex.now();
        if (!halved and now >= half) {
            halved = true;
            // A call that takes the other half is to blame, too.
            const native_call = isolate.words.nativeCall();
            if (abi.Words.callAround(waiter.native_call, native_call) == 0) {
                @atomicStore(u32, &waiter.native_call, native_call, .monotonic);
            }
        }
        // A function that has begun may use what this thread would take away.
        if (now >= deadline and state == Waiter.waiting) {
            if (waiter.state.cmpxchgStrong(state, Waiter.abandoned, .acquire, .acquire) != null) continue;
            const native_call = abi.Words.callAround(waiter.native_call, isolate.words.nativeCall());
            if (native_call != 0) {
                const answer = inVain(waiter.slot, isolate, fallback, native_call);
                endWaits(isolate, native_call);
                return answer;
            }
            const slot = waiter.slot;
            _ = @atomicRmw(u16, &slot.timeouts, .Add, 1, .monotonic);
            _ = @atomicRmw(u32, &isolate.words.timeouts, .Add, 1, .monotonic);
            notices.note(slot, isolate);
            return fallback;
        }
        if (now < spin_end) {
            for (0..16) |_| std.atomic.spinLoopHint();
        } else {
            if (spins) noteSleep(isolate);
            spins = false;
            const until = if (halved) deadline else half;
            futex.wait(&waiter.state, state, if (state == Waiter.running) longest_wait_ns else until -| now);
        }
    }
    if (spins) isolate.queued.skipped.store(0, .monotonic);
    return waiter.result;
}

/// Whether a thread that waits stays awake for a while: the less often the more often that was in vain.
fn staysAwake(isolate: *Isolate) bool {
    const to_skip = &isolate.queued.to_skip;
    const left = to_skip.load(.monotonic);
    if (left == 0) return true;
    to_skip.store(left - 1, .monotonic);
    return false;
}

fn noteSleep(isolate: *Isolate) void {
    const skipped = @min(2 * isolate.queued.skipped.load(.monotonic) + 1, most_skipped);
    isolate.queued.skipped.store(skipped, .monotonic);
    isolate.queued.to_skip.store(skipped, .monotonic);
}

const longest_wait_ns = 3600 * std.time.ns_per_s;

/// Answers a call that nobody serves as long as JavaScript is in its native call. That throws when it has returned.
fn inVain(slot: *Slot, isolate: *Isolate, fallback: u64, native_call: u32) u64 {
    _ = @atomicRmw(u32, &isolate.words.timeouts, .Add, 1, .monotonic);
    notices.countInVain(slot, isolate, native_call);
    notices.note(slot, isolate);
    return fallback;
}

/// Lets no thread wait any longer, and none from now on, that would wait for a native call to return.
fn endWaits(isolate: *Isolate, native_call: u32) void {
    _ = @atomicRmw(u32, &isolate.words.attention, .Or, abi.attention_in_vain, .monotonic);
    const queued = &isolate.queued;
    queued.mutex.acquire();
    defer queued.mutex.release();
    var waiters = queued.waiters;
    while (waiters) |waiter| : (waiters = waiter.next) {
        if (abi.Words.callAround(@atomicLoad(u32, &waiter.native_call, .monotonic), native_call) != 0) waiter.abandon();
    }
}

test "who begins to wait for a callback that has just gone is answered at once" {
    var slot: Slot = .{ .state = 4 | abi.contract_wait };
    var isolate: Isolate = .{};
    var waiter: Waiter = .{ .result = 7, .slot = &slot, .call_token = 0, .native_call = 0 };
    enlist(&isolate, &waiter, slot.state);
    try std.testing.expectEqual(Waiter.waiting, waiter.state.load(.monotonic));
    delist(&isolate, &waiter);
    const seen = slot.state;
    slot.state = 8;
    enlist(&isolate, &waiter, seen);
    try std.testing.expectEqual(Waiter.answered, waiter.state.load(.monotonic));
    delist(&isolate, &waiter);
    try std.testing.expectEqual(@as(?*Waiter, null), isolate.queued.waiters);
}

test "a function that has begun is waited for, however long it takes" {
    const World = struct {
        var isolate: Isolate = .{};
        var slot: Slot = .{ .state = 4 | abi.contract_wait };
        var waiter: *Waiter = undefined;
        var answer: u64 = 0;
        fn run() void {
            answer = await_(&isolate, waiter, 7, 0);
        }
    };
    World.waiter = try allocator.create(Waiter);
    World.waiter.* = .{ .result = 7, .slot = &World.slot, .call_token = 0, .native_call = 0 };
    try std.testing.expect(World.waiter.begin());
    enlist(&World.isolate, World.waiter, World.slot.state);
    const thread = try std.Thread.spawn(.{}, World.run, .{});
    var never: futex.Word = .init(0);
    futex.wait(&never, 0, 30 * std.time.ns_per_ms);
    World.waiter.answerRunning(33);
    thread.join();
    World.waiter.letGo();
    try std.testing.expectEqual(@as(u64, 33), World.answer);
    try std.testing.expectEqual(@as(u16, 0), World.slot.timeouts);
}
