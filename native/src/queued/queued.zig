//! Calls that are not made where they came from: what a thunk with the contract `post` or `wait` does on another thread.
//! The arguments are copied into a queue, the isolate is woken, and JavaScript takes one call after another from it, each
//! as if the dispatcher had just been entered. Who waits sleeps meanwhile.

const std = @import("std");
const builtin = @import("builtin");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const queues = @import("../queue.zig");
const thunks = @import("../thunks/pool.zig");
const waker = @import("../waking/waker.zig");
const Isolate = isolates.Isolate;
const Queue = queues.Queue;
const Slot = thunks.Slot;
const Frame = thunks.Frame;

const allocator = if (builtin.is_test) @import("../test_allocator.zig").allocator else std.heap.c_allocator;

/// The header of a record says whose call it is. What follows: who waits for it, if somebody does; which of the arguments
/// are strings, if some are; the arguments.
const Id = packed struct(u64) {
    number: u31,
    has_strings: bool,
    /// The slot's, as it was: what was queued for another callback of the thunk runs no more. Never 0.
    state: u32,

    fn waits(id: Id) bool {
        return id.state & thunks.contract_mask == thunks.contract_wait;
    }

    fn stringsPlace(id: Id) usize {
        return 1 + @as(usize, @intFromBool(id.waits()));
    }

    fn argumentsPlace(id: Id) usize {
        return id.stringsPlace() + @intFromBool(id.has_strings);
    }
};

/// One thread's wait for an answer. The record and the thread hold it; the last one frees it.
const Waiter = struct {
    state: futex.Word = .init(waiting),
    holders: std.atomic.Value(u32) = .init(2),
    /// The fallback at first. Only the isolate's thread writes it, and only while it runs the call.
    result: u64,
    slot: *Slot,
    /// The native call of the isolate's that this thread makes meanwhile, or 0.
    token: u64,
    /// The native call that JavaScript was in when the wait began, or else at half of its time; or 0.
    native_call: u32,
    next: ?*Waiter = null,
    previous: ?*Waiter = null,

    const waiting = 0;
    const running = 1;
    const answered = 2;
    const abandoned = 3;

    fn letGo(waiter: *Waiter) void {
        if (waiter.holders.fetchSub(1, .acq_rel) == 1) allocator.destroy(waiter);
    }

    /// Answers with the fallback, if it still waits and JavaScript hasn't begun. From any thread.
    fn answerWaiting(waiter: *Waiter) void {
        if (waiter.state.cmpxchgStrong(waiting, answered, .release, .monotonic) == null) futex.wakeAll(&waiter.state);
    }

    /// Answers what the isolate's thread has begun, unless it did so already: who waits may be reading the answer.
    fn answerRunning(waiter: *Waiter, result: u64) void {
        if (waiter.state.load(.monotonic) != running) return;
        waiter.result = result;
        waiter.state.store(answered, .release);
        futex.wakeAll(&waiter.state);
    }
};

/// What an isolate has of all this.
pub const Calls = struct {
    /// Those who wait. Under the mutex.
    mutex: futex.Mutex = .{},
    waiters: ?*Waiter = null,
    /// What follows is only touched on the isolate's thread. All queues, the one that is being taken from, those that no
    /// callback has any more.
    queues: ?*Queue = null,
    current: ?*Queue = null,
    /// Whether JavaScript is making a call, and who waits for its answer.
    running: bool = false,
    waiter: ?*Waiter = null,
    /// Whether calls that `mark` has marked have not been made.
    marked: bool = false,
    string_count: u32 = 0,
    strings: [isolates.argument_words]usize = undefined,
};

/// The native call that this thread makes for an isolate, so that its callbacks can be told to belong to it.
pub threadlocal var current_token: u64 = 0;
/// Whose it is.
pub threadlocal var current_isolate: ?*Isolate = null;

/// How many words of each kind the arguments of a thunk's signature take. A thunk has one shape, and so one layout, for good.
const Layout = struct {
    stack: usize,
    integers: usize,
    floats: usize,

    fn of(slot: *const Slot) Layout {
        const bits = @atomicLoad(u32, &slot.layout, .monotonic);
        return .{
            .stack = @min(bits & 0xff, isolates.stack_words),
            .integers = @min(bits >> 8 & 0xff, 8),
            .floats = @min(bits >> 16 & 0xff, 8),
        };
    }

    fn words(layout: Layout) usize {
        return layout.integers + layout.floats + layout.stack;
    }

    /// Calls `copy(context, index, place)` for each word: its number in the record, and where it is among the argument
    /// words, integer registers first, then float registers, then the stack.
    inline fn each(layout: Layout, context: anytype, comptime copy: fn (@TypeOf(context), usize, usize) void) void {
        for (0..layout.integers) |i| copy(context, i, i);
        for (0..layout.floats) |i| copy(context, layout.integers + i, 8 + i);
        for (0..layout.stack) |i| copy(context, layout.integers + layout.floats + i, isolates.register_words + i);
    }
};

fn lengthOf(header: u64) u32 {
    const id: Id = @bitCast(header);
    return @intCast(id.argumentsPlace() + Layout.of(thunks.slotOf(id.number)).words());
}

fn idOf(queue: *Queue, record: queues.Record) Id {
    return @bitCast(queue.word(record, 0).*);
}

fn waiterOf(queue: *Queue, record: queues.Record) ?*Waiter {
    return if (idOf(queue, record).waits()) @ptrFromInt(@as(usize, @intCast(queue.word(record, 1).*))) else null;
}

fn stringsOf(queue: *Queue, record: queues.Record) u64 {
    const id = idOf(queue, record);
    return if (id.has_strings) queue.word(record, id.stringsPlace()).* else 0;
}

/// A call of a thunk whose contract is not to run where it is called. Answers the result bits.
///
/// @param own Whether it is the isolate's own thread, which can't wait for itself.
pub fn call(number: u32, slot: *Slot, isolate: *Isolate, frame: *const Frame, stack: [*]const u64, own: bool) u64 {
    const state = @atomicLoad(u32, &slot.state, .acquire);
    const fallback = @atomicLoad(u64, &slot.fallback, .acquire);
    const strings = @atomicLoad(u64, &slot.strings, .acquire);
    const queue = @atomicLoad(?*Queue, &slot.queue, .acquire) orelse return thunks.foreign(slot, isolate);
    const timeout_ms = @atomicLoad(u32, &slot.timeout_ms, .acquire);
    const layout: Layout = .of(slot);
    const contract = state & thunks.contract_mask;
    const waits = contract == thunks.contract_wait;
    // JavaScript changes the state before and after the rest: what was read is of one callback. The one that the dispatcher
    // has seen may be gone since.
    const whole = @atomicLoad(u32, &slot.state, .monotonic) == state and contract != thunks.contract_same;
    if (!whole or !waker.isConnected(isolate) or (waits and own)) return thunks.foreign(slot, isolate);

    const native_call = isolate.words.nativeCall();
    if (waits and native_call != 0 and @atomicLoad(u32, &isolate.words.attention, .monotonic) & isolates.attention_in_vain != 0) {
        return inVain(slot, isolate, fallback, native_call);
    }
    const deadline = if (waits) after(timeout_ms) else 0;
    // Before there is a record, which holds back those after it until it is complete.
    var source: Source = .{ .strings = strings, .frame = frame, .stack = stack };
    if (strings != 0) {
        source.copyStrings(layout);
        if (source.failed) {
            source.freeCopies(layout);
            return dropped(slot, isolate, fallback);
        }
    }
    var waiter: ?*Waiter = null;
    if (waits) {
        const made = allocator.create(Waiter) catch {
            if (strings != 0) source.freeCopies(layout);
            return dropped(slot, isolate, fallback);
        };
        made.* = .{ .result = fallback, .slot = slot, .token = if (current_isolate == isolate) current_token else 0, .native_call = native_call };
        enlist(isolate, made, state);
        waiter = made;
    }
    const id: Id = .{ .number = @intCast(number), .has_strings = strings != 0, .state = state };
    const first = id.argumentsPlace();
    const attempt: Attempt = .{ .slot = slot, .state = state, .isolate = isolate, .timeout_ms = timeout_ms, .deadline = deadline, .own = own };
    const record = reserve(queue, @intCast(first + layout.words()), attempt) orelse {
        if (waiter) |made| {
            delist(isolate, made);
            allocator.destroy(made);
        }
        if (strings != 0) source.freeCopies(layout);
        // What ended meanwhile has no queue that was too small.
        return if (attempt.isOver()) thunks.foreign(slot, isolate) else dropped(slot, isolate, fallback);
    };
    if (waiter) |made| queue.word(record, 1).* = @intFromPtr(made);
    if (strings != 0) queue.word(record, id.stringsPlace()).* = strings;
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
    frame: *const Frame,
    stack: [*]const u64,
    copies: [isolates.argument_words]u64 = undefined,
    failed: bool = false,
    queue: *Queue = undefined,
    record: queues.Record = undefined,
    first: usize = undefined,

    fn word(source: *const Source, place: usize) u64 {
        return if (place < isolates.register_words) source.frame[place] else source.stack[place - isolates.register_words];
    }

    fn isString(source: *const Source, index: usize) bool {
        return source.strings != 0 and isStringAt(source.strings, index);
    }

    fn copyString(source: *Source, index: usize, place: usize) void {
        if (!source.isString(index)) return;
        const string: ?[*:0]const u8 = @ptrFromInt(@as(usize, @intCast(source.word(place))));
        const copy = if (string) |text| copyOf(text) else null;
        source.copies[index] = @intFromPtr(copy);
        source.failed = source.failed or (copy == null and string != null);
    }

    fn freeCopy(source: *Source, index: usize, _: usize) void {
        if (source.isString(index) and source.copies[index] != 0) freeString(source.copies[index]);
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

fn isStringAt(strings: u64, index: usize) bool {
    return index < 64 and strings >> @intCast(index) & 1 != 0;
}

/// A copy of the string at an address; null when there is no memory.
pub fn copyOf(string: [*:0]const u8) ?[*:0]u8 {
    return allocator.dupeZ(u8, std.mem.span(string)) catch null;
}

pub fn freeString(word: u64) void {
    const string: [*:0]const u8 = @ptrFromInt(@as(usize, @intCast(word)));
    allocator.free(std.mem.span(string));
}

/// What an attempt to queue a call has to know.
const Attempt = struct {
    slot: *Slot,
    state: u32,
    isolate: *Isolate,
    timeout_ms: u32,
    /// That of who waits for the answer, too; 0 where nobody has asked for the time yet.
    deadline: u64,
    own: bool,

    /// The callback is gone, or its isolate: nobody needs the space any more, or makes it. If not, JavaScript is to make it:
    /// it may not have been woken for what fills the queue, which may be of an isolate that had it before.
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
    const record = queue.take(lengthOf) orelse return;
    const id = idOf(queue, record);
    const slot = thunks.slotOf(id.number);
    if (@atomicLoad(u32, &slot.state, .monotonic) == id.state) _ = dropped(slot, isolate, 0);
    discard(queue, record);
}

/// Frees what a taken record holds, and its cells. Who waits for it gets the fallback.
fn discard(queue: *Queue, record: queues.Record) void {
    const id = idOf(queue, record);
    const strings = stringsOf(queue, record);
    for (0..Layout.of(thunks.slotOf(id.number)).words()) |index| {
        if (!isStringAt(strings, index)) continue;
        const word = queue.word(record, id.argumentsPlace() + index).*;
        if (word != 0) freeString(word);
    }
    if (waiterOf(queue, record)) |waiter| {
        waiter.answerWaiting();
        waiter.letGo();
    }
    queue.release(record);
}

/// A call that was not queued, or no longer is.
fn dropped(slot: *Slot, isolate: *Isolate, fallback: u64) u64 {
    _ = @atomicRmw(u32, &slot.dropped, .Add, 1, .monotonic);
    _ = @atomicRmw(u32, &isolate.words.dropped, .Add, 1, .monotonic);
    thunks.note(slot, isolate);
    return fallback;
}

fn enlist(isolate: *Isolate, waiter: *Waiter, state: u32) void {
    const calls = &isolate.calls;
    calls.mutex.acquire();
    defer calls.mutex.release();
    waiter.next = calls.waiters;
    if (calls.waiters) |first| first.previous = waiter;
    calls.waiters = waiter;
    // Whoever ends the isolate or the callback answers those in the list; those who come later find that it has ended.
    const gone = @atomicLoad(u32, &waiter.slot.state, .monotonic) != state;
    if (gone or !isolate.words.isLive()) waiter.answerWaiting();
}

fn delist(isolate: *Isolate, waiter: *Waiter) void {
    const calls = &isolate.calls;
    calls.mutex.acquire();
    defer calls.mutex.release();
    if (waiter.next) |following| following.previous = waiter.previous;
    if (waiter.previous) |previous| previous.next = waiter.next else calls.waiters = waiter.next;
}

/// How long a thread that waits stays awake: an answer takes a few microseconds where JavaScript is idle.
const spin_ns = 20 * std.time.ns_per_us;

noinline fn await_(isolate: *Isolate, waiter: *Waiter, fallback: u64, deadline: u64) u64 {
    defer {
        delist(isolate, waiter);
        waiter.letGo();
    }
    const start = futex.now();
    const spin_end = start + spin_ns;
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
            if (isolates.Words.callAround(waiter.native_call, native_call) == 0) @atomicStore(u32, &waiter.native_call, native_call, .monotonic);
        }
        // A function that has begun may use what this thread would take away.
        if (now >= deadline and state == Waiter.waiting) {
            if (waiter.state.cmpxchgStrong(state, Waiter.abandoned, .acquire, .acquire) != null) continue;
            const native_call = isolates.Words.callAround(waiter.native_call, isolate.words.nativeCall());
            if (native_call != 0) {
                const answer = inVain(waiter.slot, isolate, fallback, native_call);
                endWaits(isolate, native_call);
                return answer;
            }
            const slot = waiter.slot;
            _ = @atomicRmw(u16, &slot.timeouts, .Add, 1, .monotonic);
            _ = @atomicRmw(u32, &isolate.words.timeouts, .Add, 1, .monotonic);
            thunks.note(slot, isolate);
            return fallback;
        }
        if (now < spin_end) {
            for (0..16) |_| std.atomic.spinLoopHint();
        } else futex.wait(&waiter.state, state, if (state == Waiter.running) longest_wait_ns else (if (halved) deadline else half) -| now);
    }
    return waiter.result;
}

const longest_wait_ns = 3600 * std.time.ns_per_s;

/// Answers a call that nobody serves as long as JavaScript is in its native call. That throws when it has returned.
fn inVain(slot: *Slot, isolate: *Isolate, fallback: u64, native_call: u32) u64 {
    _ = @atomicRmw(u32, &isolate.words.timeouts, .Add, 1, .monotonic);
    thunks.countInVain(slot, isolate, native_call);
    thunks.note(slot, isolate);
    return fallback;
}

/// Lets no thread wait any longer, and none from now on, that would wait for a native call to return.
fn endWaits(isolate: *Isolate, native_call: u32) void {
    _ = @atomicRmw(u32, &isolate.words.attention, .Or, isolates.attention_in_vain, .monotonic);
    const calls = &isolate.calls;
    calls.mutex.acquire();
    defer calls.mutex.release();
    var waiters = calls.waiters;
    while (waiters) |waiter| : (waiters = waiter.next) {
        if (isolates.Words.callAround(@atomicLoad(u32, &waiter.native_call, .monotonic), native_call) == 0) continue;
        if (waiter.state.cmpxchgStrong(Waiter.waiting, Waiter.abandoned, .acquire, .monotonic) == null) futex.wakeAll(&waiter.state);
    }
}

/// How `next` goes about it: it takes no call, and begins with another queue the next time, so that one which never gets
/// empty doesn't keep the others waiting; it takes one that is there; one that is there soon.
pub const Patience = enum(u32) { finish = 0, take = 1, linger = 2 };

/// How long it lingers: where calls come thick and fast, less than another wake takes.
const linger_ns = 10 * std.time.ns_per_us;

/// Takes the next call that waits in the isolate's queues: its arguments, index and fallback are in the words then, as the
/// dispatcher would have put them. What the last one answered goes to who waits for it. On the isolate's thread, and not
/// while JavaScript runs a call that it took.
pub fn next(isolate: *Isolate, patience: Patience) bool {
    finish(isolate);
    if (patience == .finish) {
        // The next turn begins with another queue: this one may never be empty.
        if (isolate.calls.current) |queue| isolate.calls.current = queue.next;
        return false;
    }
    if (takeAny(isolate)) return true;
    if (patience == .take) return false;
    const end_ns = futex.now() + linger_ns;
    while (futex.now() < end_ns) {
        // Not too often: each look takes the cache line from who writes to it.
        for (0..32) |_| std.atomic.spinLoopHint();
        if (takeAny(isolate)) return true;
    }
    return false;
}

/// Marks the calls that are queued, or about to be, and the one that JavaScript is making; answers whether there are any.
/// On the isolate's thread.
pub fn mark(isolate: *Isolate) bool {
    const calls = &isolate.calls;
    var next_queue = calls.queues;
    while (next_queue) |queue| : (next_queue = queue.next) queue.mark();
    calls.marked = calls.running or !markIsPassed(calls);
    // What another isolate's threads queued when this one got the queue has woken nobody.
    if (calls.marked) waker.wake(isolate);
    return calls.marked;
}

fn updateMark(calls: *Calls) void {
    if (calls.marked) calls.marked = !markIsPassed(calls);
}

fn markIsPassed(calls: *const Calls) bool {
    var next_queue = calls.queues;
    while (next_queue) |queue| : (next_queue = queue.next) {
        if (!queue.markIsPassed()) return false;
    }
    return true;
}

/// From the queue that the last one came from, as long as there are any in it, so that each is looked at in turn.
fn takeAny(isolate: *Isolate) bool {
    const calls = &isolate.calls;
    var queue = calls.current orelse calls.queues orelse return false;
    const start = queue;
    while (true) {
        if (takeFrom(isolate, queue)) {
            calls.current = queue;
            return true;
        }
        queue.emptied();
        queue = queue.next orelse calls.queues.?;
        if (queue != start) continue;
        // What was stale has been passed over.
        updateMark(calls);
        return false;
    }
}

fn takeFrom(isolate: *Isolate, queue: *Queue) bool {
    queue.awaitTaking();
    defer queue.endTaking();
    while (queue.take(lengthOf)) |record| {
        if (begin(isolate, queue, record)) return true;
    }
    return false;
}

fn begin(isolate: *Isolate, queue: *Queue, record: queues.Record) bool {
    const id = idOf(queue, record);
    const slot = thunks.slotOf(id.number);
    const waiter = waiterOf(queue, record);
    // The queue may have been another isolate's.
    const stale = @atomicLoad(u32, &slot.state, .monotonic) != id.state or slot.isolate != isolate;
    if (stale or (waiter != null and waiter.?.state.cmpxchgStrong(Waiter.waiting, Waiter.running, .acquire, .monotonic) != null)) {
        discard(queue, record);
        return false;
    }
    const words = &isolate.words;
    const layout: Layout = .of(slot);
    const strings = stringsOf(queue, record);
    const calls = &isolate.calls;
    const target: Target = .{ .queue = queue, .record = record, .first = id.argumentsPlace(), .strings = strings, .isolate = isolate };
    layout.each(target, Target.copy);
    calls.running = true;
    calls.waiter = waiter;
    words.token = if (waiter) |one| one.token else 0;
    words.callback = slot.index;
    words.result = slot.fallback;
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
        if (target.strings == 0 or !isStringAt(target.strings, index) or word == 0) return;
        const calls = &target.isolate.calls;
        calls.strings[calls.string_count] = @intCast(word);
        calls.string_count += 1;
    }
};

/// Gives the answer of the call that JavaScript has made to who waits for it, and frees its strings.
fn finish(isolate: *Isolate) void {
    const calls = &isolate.calls;
    if (calls.waiter) |waiter| {
        calls.waiter = null;
        waiter.answerRunning(isolate.words.result);
        waiter.letGo();
    }
    for (calls.strings[0..calls.string_count]) |string| freeString(string);
    calls.string_count = 0;
    calls.running = false;
    updateMark(calls);
    isolate.words.token = 0;
}

/// A queue for so many calls of a layout, with so many more words, or one that no callback has any more.
pub fn createQueue(isolate: *Isolate, call_count: u32, layout_bits: u32, extra_words: u32, on_full: queues.OnFull) ?*Queue {
    const slot: Slot = .{ .layout = layout_bits };
    const limit = @as(u64, call_count) * (1 + @as(u64, extra_words) + Layout.of(&slot).words());
    const length = std.math.ceilPowerOfTwo(u64, limit) catch return null;
    const queue = retiredQueue(isolate, length, on_full) orelse added: {
        const added = adopt(length, on_full) orelse Queue.create(allocator, limit, on_full) orelse return null;
        added.next = isolate.calls.queues;
        isolate.calls.queues = added;
        break :added added;
    };
    queue.retired = false;
    queue.marked = 0;
    queue.limit.store(limit, .monotonic);
    return queue;
}

fn retiredQueue(isolate: *Isolate, length: u64, on_full: queues.OnFull) ?*Queue {
    var next_queue = isolate.calls.queues;
    while (next_queue) |queue| : (next_queue = queue.next) {
        if (queue.retired and queue.is(length, on_full)) return queue;
    }
    return null;
}

/// The queues of isolates that are gone, for those that come.
var orphans: ?*Queue = null;
var orphans_mutex: futex.Mutex = .{};

fn adopt(length: u64, on_full: queues.OnFull) ?*Queue {
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
        // What threads queued that had not heard of the end.
        drain(queue);
        queue.destroy(allocator);
    }
}

/// Frees what is queued and complete, for the thread that takes.
fn drain(queue: *Queue) void {
    queue.awaitTaking();
    defer queue.endTaking();
    discardAll(queue);
}

fn discardAll(queue: *Queue) void {
    while (queue.take(lengthOf)) |record| discard(queue, record);
}

/// An isolate that has ended leaves its queues. On its thread.
pub fn abandonQueues(isolate: *Isolate) void {
    const calls = &isolate.calls;
    finish(isolate);
    calls.current = null;
    while (calls.queues) |queue| {
        calls.queues = queue.next;
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
    const calls = &isolate.calls;
    {
        calls.mutex.acquire();
        defer calls.mutex.release();
        var waiters = calls.waiters;
        while (waiters) |waiter| : (waiters = waiter.next) {
            if (waiter.slot.index == index) waiter.answerWaiting();
        }
    }
    var count: u32 = 0;
    queue.awaitTaking();
    defer queue.endTaking();
    var oldest = queue.oldest(lengthOf);
    while (oldest) |record| : (oldest = queue.following(record, lengthOf)) {
        const id = idOf(queue, record);
        if (id.state != state) continue;
        const slot = thunks.slotOf(id.number);
        // Who waited and gave up doesn't count.
        const waits = if (waiterOf(queue, record)) |waiter| waiter.state.load(.monotonic) != Waiter.abandoned else true;
        count += @intFromBool(waits and slot.index == index and slot.isolate == isolate);
    }
    if (retire) {
        // The next callback finds it empty.
        discardAll(queue);
        queue.retired = true;
    }
    queue.wakeSleepers();
    return count;
}

/// Nobody calls this isolate's JavaScript any more: every thread that waits for it goes on. It counts as gone.
pub fn end(isolate: *Isolate) void {
    @atomicStore(u32, &isolate.words.live, 0, .release);
    waker.silence(isolate);
    const calls = &isolate.calls;
    calls.mutex.acquire();
    defer calls.mutex.release();
    var waiters = calls.waiters;
    while (waiters) |waiter| : (waiters = waiter.next) {
        waiter.answerWaiting();
    }
    if (calls.waiter) |waiter| waiter.answerRunning(waiter.result);
    var queues_left = calls.queues;
    while (queues_left) |queue| : (queues_left = queue.next) queue.wakeSleepers();
}

test "who begins to wait for a callback that has just gone is answered at once" {
    var slot: Slot = .{ .state = 4 | thunks.contract_wait };
    var isolate: Isolate = .{};
    var waiter: Waiter = .{ .result = 7, .slot = &slot, .token = 0, .native_call = 0 };
    enlist(&isolate, &waiter, slot.state);
    try std.testing.expectEqual(Waiter.waiting, waiter.state.load(.monotonic));
    delist(&isolate, &waiter);
    const seen = slot.state;
    slot.state = 8;
    enlist(&isolate, &waiter, seen);
    try std.testing.expectEqual(Waiter.answered, waiter.state.load(.monotonic));
    delist(&isolate, &waiter);
    try std.testing.expectEqual(@as(?*Waiter, null), isolate.calls.waiters);
}

test "a function that has begun is waited for, however long it takes" {
    const World = struct {
        var isolate: Isolate = .{};
        var slot: Slot = .{ .state = 4 | thunks.contract_wait };
        var waiter: *Waiter = undefined;
        var answer: u64 = 0;
        fn run() void {
            answer = await_(&isolate, waiter, 7, 0);
        }
    };
    World.waiter = try allocator.create(Waiter);
    World.waiter.* = .{ .state = .init(Waiter.running), .result = 7, .slot = &World.slot, .token = 0, .native_call = 0 };
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
