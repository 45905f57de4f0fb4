//! Native calls that JavaScript doesn't wait for: threads of the core's own make them. The process has one pool of them,
//! since processors and threads are the process's; isolates share what idles.
//!
//! A thread that has made a call takes the next one at once. Somebody must see to the rest when it doesn't come back soon,
//! since calls may wait for one another: while calls are queued and there is a thread for it, one searches, that is, is
//! awake and in no call. It leaves the calls to those that come back, and takes one that has waited for a while.

const std = @import("std");
const builtin = @import("builtin");
const caller = @import("caller.zig");
const foreign = @import("../queued/queued.zig");
const fork = @import("../os/fork.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const pages = @import("../os/pages.zig");
const threads = @import("../os/threads.zig");
const waker = @import("../waking/waker.zig");
const Isolate = isolates.Isolate;

/// One call, and C's `belay_call`. JavaScript writes the frame before it submits the call, and reads the results and
/// `completed_next` afterwards; a thread of the pool has it meanwhile.
pub const Call = extern struct {
    frame: caller.Frame,
    isolate: ?*Isolate = null,
    next: ?*Call = null,
    /// Its place among the isolate's calls.
    index: u32 = 0,
    /// In the isolate's list of completed calls: one more than the next one's index, or 0.
    completed_next: u32 = 0,
    /// Whether the result is a string, to be copied before the thread does anything else: C may keep it for each thread. The
    /// copy lives until the block's next call.
    string_result: u64 = 0,
    string: u64 = 0,
    /// Not 0: the call's errno goes into `error`.
    capture_error: u32 = 0,
    @"error": u32 = 0,
    unused: u64 = 0,

    fn make(call: *Call) void {
        if (call.capture_error != 0) call.@"error" = caller.makeCapturing(&call.frame) else caller.make(&call.frame);
    }

    fn copyString(call: *Call) void {
        const result = &call.frame.integer_results[0];
        const string: ?[*:0]const u8 = @ptrFromInt(@as(usize, @intCast(result.*)));
        call.string = @intFromPtr(foreign.copyOf(string orelse return));
        result.* = call.string;
    }

    fn freeString(call: *Call) void {
        if (call.string != 0) foreign.freeString(call.string);
        call.string = 0;
    }
};

/// How many calls of an isolate can be outstanding.
pub const max_calls = 1 << 16;
pub const default_threads = 64;
pub const max_threads = 1024;

const spin_ns = 20 * std.time.ns_per_us;
/// How long JavaScript waits for a call to complete rather than for the event loop to be woken; and how long that may take
/// when others got the processor meanwhile.
const poll_ns = 10 * std.time.ns_per_us;
const longest_poll_ns = 50 * std.time.ns_per_us;
/// How long a call waits for a thread to come back from another one.
const patience_ns = 50 * std.time.ns_per_us;
const idle_ns = if (builtin.is_test) 100 * std.time.ns_per_ms else 3 * std.time.ns_per_s;
/// As much as C's main thread has.
const stack_byte_length = 8 * 1024 * 1024;

const spawn = if (builtin.is_test) Test.spawn else threads.spawn;

/// What an isolate has of this.
pub const Calls = struct {
    blocks: std.atomic.Value(?[*]Call) = .init(null),
    /// The isolate and each of its outstanding calls: the last one unmaps the blocks.
    holders: std.atomic.Value(u32) = .init(0),
    /// How many blocks were ever used: the first ones.
    used: u32 = 0,
};

/// A thread without work; its word changes when it is to search.
const Sleeper = struct {
    appointed: futex.Word = .init(0),
    next: ?*Sleeper = null,
};

/// Submitted calls that no thread has seen, the last one first.
var incoming: std.atomic.Value(?*Call) = .init(null);
/// How many threads are awake and in no call, or on their way to that: they look for calls before they sleep.
var searching: std.atomic.Value(u32) = .init(0);
var thread_count: std.atomic.Value(u32) = .init(0);
var limit: std.atomic.Value(u32) = .init(default_threads);

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

/// The blocks of an isolate's calls. On the isolate's thread. Null when there is no memory.
pub fn blocksOf(isolate: *Isolate) ?[*]Call {
    const calls = &isolate.outgoing;
    if (calls.blocks.load(.monotonic)) |blocks| return blocks;
    const memory = pages.mapWritable(max_calls * @sizeOf(Call)) orelse return null;
    const blocks: [*]Call = @ptrCast(@alignCast(memory.ptr));
    calls.holders.store(1, .monotonic);
    calls.blocks.store(blocks, .monotonic);
    return blocks;
}

/// The isolate is gone: its blocks go with the last call that is running. Once for each isolate.
pub fn leave(isolate: *Isolate) void {
    if (isolate.outgoing.blocks.load(.monotonic) != null) letGo(isolate);
}

fn letGo(isolate: *Isolate) void {
    const calls = &isolate.outgoing;
    if (calls.holders.fetchSub(1, .acq_rel) > 1) return;
    const blocks = calls.blocks.swap(null, .monotonic) orelse return;
    for (blocks[0..calls.used]) |*call| call.freeString();
    const memory: [*]u8 = @ptrCast(blocks);
    pages.unmap(memory[0 .. max_calls * @sizeOf(Call)]);
}

/// Makes the call of a block on this thread, the isolate's.
pub fn make(isolate: *Isolate, index: u32) void {
    isolate.outgoing.blocks.load(.monotonic).?[index].make();
}

/// Has a thread make a call whose frame is written. On the isolate's thread. False when the system starts no thread.
pub fn submit(isolate: *Isolate, index: u32) bool {
    const blocks = isolate.outgoing.blocks.load(.monotonic) orelse return false;
    const call = &blocks[index];
    call.freeString();
    call.isolate = isolate;
    call.index = index;
    isolate.outgoing.used = @max(isolate.outgoing.used, index + 1);
    _ = isolate.outgoing.holders.fetchAdd(1, .monotonic);
    var head = incoming.load(.monotonic);
    while (true) {
        call.next = head;
        head = incoming.cmpxchgWeak(head, call, .seq_cst, .monotonic) orelse break;
    }
    // Who stops to search looks for calls afterwards, so one of the two sees the other.
    if (searching.load(.seq_cst) != 0) return true;
    mutex.acquire();
    collect();
    const sleeper = appoint();
    const refused = thread_count.load(.monotonic) == 0 and unqueue(call);
    mutex.release();
    wake(sleeper);
    if (refused) letGo(isolate);
    return !refused;
}

/// Waits a moment for a call to complete; answers whether one has. Others run meanwhile: the thread that makes the call may
/// be on the same processor.
pub fn poll(isolate: *Isolate) bool {
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

/// How many threads there may be, and how many calls at once from now on. Threads that are too many end when they come back
/// from their calls, or have been idle for a while.
pub fn setLimit(count: u32) void {
    mutex.acquire();
    limit.store(std.math.clamp(count, 1, max_threads), .monotonic);
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

/// Has an idle thread search, or a new one, unless somebody does. Under the mutex; `wake` comes after it, with what this
/// answers. A thread is started under the mutex, too: as long as it isn't known whether it could be, no other isolate takes
/// it for one that searches, and leaves its call to it.
fn appoint() ?*const futex.Word {
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
    if (!spawn(run, null, stack_byte_length)) return null;
    // It waits for the mutex, and so begins after this.
    _ = searching.fetchAdd(1, .seq_cst);
    thread_count.store(count + 1, .monotonic);
    return null;
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

/// Waits to be appointed; false when nobody has for so long that the thread has ended. The last one to sleep is the first to
/// be appointed, so that those which aren't needed end.
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
    const isolate = call.isolate.?;
    // What JavaScript passed is gone with it.
    if (isolate.words.isLive()) {
        foreign.current_token = call.index + 1;
        foreign.current_isolate = isolate;
        call.make();
        foreign.current_token = 0;
        if (call.string_result != 0) call.copyString();
        // Before JavaScript can submit the next one, so that no other thread is appointed for it.
        _ = searching.fetchAdd(1, .seq_cst);
        complete(isolate, call);
    } else {
        _ = searching.fetchAdd(1, .seq_cst);
    }
    letGo(isolate);
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

const Test = struct {
    const gpa = std.testing.allocator;

    fn attach() *Isolate {
        const isolate = isolates.attach(gpa, false, isolates.test_stack).?;
        _ = blocksOf(isolate).?;
        return isolate;
    }

    /// The last isolate's calls have ended, and their threads.
    fn dismiss(isolate: *Isolate) !void {
        isolates.leaveThread();
        while (isolate.outgoing.holders.load(.acquire) != 0) rest();
        while (threadCount() != 0) rest();
        mutex.acquire();
        defer mutex.release();
        try std.testing.expectEqual(@as(u32, 0), searching.load(.monotonic));
        try std.testing.expectEqual(@as(u32, 0), busy);
        try std.testing.expectEqual(@as(u64, 0), queued);
        gpa.destroy(isolate);
    }

    fn rest() void {
        var never: futex.Word = .init(0);
        futex.wait(&never, 0, std.time.ns_per_ms);
    }

    fn write(isolate: *Isolate, index: u32, function: *const anyopaque, argument: u64) void {
        const frame = &isolate.outgoing.blocks.raw.?[index].frame;
        frame.function = function;
        frame.stack_words = 0;
        frame.arguments[0] = argument;
    }

    fn start(isolate: *Isolate, index: u32, function: *const anyopaque, argument: u64) !void {
        write(isolate, index, function, argument);
        try std.testing.expect(submit(isolate, index));
    }

    /// Takes completed calls as JavaScript does, until so many are.
    fn await_(isolate: *Isolate, count: u32) void {
        var done: u32 = 0;
        while (done < count) {
            var next = @atomicRmw(u32, &isolate.words.completed, .Xchg, 0, .seq_cst);
            if (next == 0) rest();
            while (next != 0) : (done += 1) next = isolate.outgoing.blocks.raw.?[next - 1].completed_next;
        }
    }

    fn double(value: u64) callconv(.c) u64 {
        return 2 * value;
    }

    /// Answers the error that it found, and leaves another one.
    fn fail(code: u64) callconv(.c) u64 {
        const found = caller.lastError();
        caller.setLastError(@intCast(code));
        return found;
    }

    /// Whether no thread can be started, and what happens before that is known.
    var refuses = false;
    var before_refusal: ?*const fn () void = null;

    fn spawn(comptime main: threads.Main, argument: ?*anyopaque, byte_length: usize) bool {
        if (!refuses) return threads.spawn(main, argument, byte_length);
        const before = before_refusal orelse return false;
        before_refusal = null;
        before();
        return false;
    }

    var nesting: *Isolate = undefined;
    /// Has the block below make a call that fails, too, before it fails itself.
    fn nest(depth: u64) callconv(.c) u64 {
        if (depth > 0) make(nesting, @intCast(depth - 1));
        return fail(100 + depth);
    }

    var arrived: futex.Word = .init(0);
    fn meet(wanted: u64) callconv(.c) u64 {
        _ = arrived.fetchAdd(1, .acq_rel);
        futex.wakeAll(&arrived);
        var seen = arrived.load(.acquire);
        while (seen < wanted) : (seen = arrived.load(.acquire)) futex.wait(&arrived, seen, std.time.ns_per_s);
        return foreign.current_token;
    }

    var most: u32 = 0;
    var inside: u32 = 0;
    fn dwell(_: u64) callconv(.c) u64 {
        const now_inside = @atomicRmw(u32, &inside, .Add, 1, .monotonic) + 1;
        _ = @atomicRmw(u32, &most, .Max, now_inside, .monotonic);
        for (0..3) |_| rest();
        _ = @atomicRmw(u32, &inside, .Sub, 1, .monotonic);
        return 0;
    }
};

test "calls are made on other threads, every one once, and the threads end when they are idle" {
    const isolate = Test.attach();
    for (0..20) |round| {
        for (0..1000) |index| try Test.start(isolate, @intCast(index), &Test.double, index + round);
        Test.await_(isolate, 1000);
        for (0..1000) |index| {
            const call = &isolate.outgoing.blocks.raw.?[index];
            try std.testing.expectEqual(2 * (index + round), call.frame.integer_results[0]);
        }
    }
    try std.testing.expect(threadCount() >= 1 and threadCount() <= default_threads);
    try Test.dismiss(isolate);
}

test "a call on this thread answers, and the error that it sets is captured where that is asked for" {
    const isolate = Test.attach();
    const call = &isolate.outgoing.blocks.raw.?[3];
    Test.write(isolate, 3, &Test.double, 21);
    make(isolate, 3);
    try std.testing.expectEqual(@as(u64, 42), call.frame.integer_results[0]);

    Test.write(isolate, 3, &Test.fail, 12);
    call.capture_error = 1;
    caller.setLastError(7);
    make(isolate, 3);
    try std.testing.expectEqual(@as(u32, 12), call.@"error");
    try std.testing.expectEqual(@as(u64, 0), call.frame.integer_results[0]);

    call.capture_error = 0;
    call.frame.arguments[0] = 13;
    caller.setLastError(7);
    make(isolate, 3);
    const left = caller.lastError();
    try std.testing.expectEqual(@as(u32, 13), left);
    try std.testing.expectEqual(@as(u64, 7), call.frame.integer_results[0]);
    try std.testing.expectEqual(@as(u32, 12), call.@"error");
    try Test.dismiss(isolate);
}

test "a call on this thread may make others before it ends, and each has its own error" {
    const isolate = Test.attach();
    Test.nesting = isolate;
    const calls = isolate.outgoing.blocks.raw.?[0..4];
    for (calls, 0..) |*call, depth| {
        Test.write(isolate, @intCast(depth), &Test.nest, depth);
        call.capture_error = 1;
    }
    make(isolate, 3);
    for (calls, 0..) |*call, depth| {
        try std.testing.expectEqual(@as(u32, @intCast(100 + depth)), call.@"error");
        // What the call inside has left.
        const found: u64 = if (depth == 0) 0 else 99 + depth;
        try std.testing.expectEqual(found, call.frame.integer_results[0]);
    }
    try Test.dismiss(isolate);
}

test "a call of the pool's captures the error of its thread" {
    const isolate = Test.attach();
    const calls = isolate.outgoing.blocks.raw.?[0..100];
    for (calls, 1..) |*call, code| {
        call.capture_error = @intCast(code % 2);
        try Test.start(isolate, @intCast(code - 1), &Test.fail, code);
    }
    Test.await_(isolate, calls.len);
    for (calls, 1..) |*call, code| {
        const captured = code % 2 == 1;
        try std.testing.expectEqual(@as(u32, if (captured) @intCast(code) else 0), call.@"error");
        if (captured) try std.testing.expectEqual(@as(u64, 0), call.frame.integer_results[0]);
    }
    try Test.dismiss(isolate);
}

test "JavaScript that polls finds what completes, and stops after a while where nothing does" {
    const isolate = Test.attach();
    @atomicStore(u32, &isolate.words.polls, 1, .seq_cst);
    try std.testing.expect(!poll(isolate));
    try std.testing.expectEqual(@as(u32, 0), @atomicLoad(u32, &isolate.words.polls, .monotonic));
    @atomicStore(u32, &isolate.words.polls, 1, .seq_cst);
    try Test.start(isolate, 5, &Test.double, 21);
    while (@atomicLoad(u32, &isolate.words.completed, .acquire) == 0) _ = poll(isolate);
    Test.await_(isolate, 1);
    try std.testing.expectEqual(@as(u64, 42), isolate.outgoing.blocks.raw.?[5].frame.integer_results[0]);
    try Test.dismiss(isolate);
}

test "calls that wait for one another find a thread each, and have their own token" {
    const isolate = Test.attach();
    Test.arrived.store(0, .monotonic);
    for (0..30) |index| try Test.start(isolate, @intCast(index), &Test.meet, 30);
    Test.await_(isolate, 30);
    for (0..30) |index| {
        try std.testing.expectEqual(index + 1, isolate.outgoing.blocks.raw.?[index].frame.integer_results[0]);
    }
    try Test.dismiss(isolate);
}

test "there are no more threads than may be" {
    const isolate = Test.attach();
    setLimit(3);
    defer setLimit(default_threads);
    Test.most = 0;
    for (0..12) |index| try Test.start(isolate, @intCast(index), &Test.dwell, 0);
    Test.await_(isolate, 12);
    try std.testing.expectEqual(@as(u32, 3), Test.most);
    try std.testing.expect(threadCount() <= 3);
    try Test.dismiss(isolate);
}

test "a lower limit holds at once, also for threads that are there and idle" {
    const isolate = Test.attach();
    defer setLimit(default_threads);
    Test.arrived.store(0, .monotonic);
    for (0..8) |index| try Test.start(isolate, @intCast(index), &Test.meet, 8);
    Test.await_(isolate, 8);
    try std.testing.expect(threadCount() > 2);
    setLimit(2);
    Test.most = 0;
    for (0..12) |index| try Test.start(isolate, @intCast(index), &Test.dwell, 0);
    Test.await_(isolate, 12);
    try std.testing.expectEqual(@as(u32, 2), Test.most);
    // And a higher one, while calls wait.
    Test.arrived.store(0, .monotonic);
    for (0..4) |index| try Test.start(isolate, @intCast(index), &Test.meet, 4);
    while (Test.arrived.load(.acquire) < 2) Test.rest();
    setLimit(4);
    Test.await_(isolate, 4);
    try Test.dismiss(isolate);
}

test "when the isolate is gone, running calls end, queued ones are not made, and the blocks go" {
    const isolate = Test.attach();
    setLimit(1);
    defer setLimit(default_threads);
    Test.arrived.store(0, .monotonic);
    for (0..3) |index| try Test.start(isolate, @intCast(index), &Test.meet, 2);
    while (Test.arrived.load(.acquire) == 0) Test.rest();
    isolates.leave(isolate);
    Test.arrived.store(2, .release);
    futex.wakeAll(&Test.arrived);
    try Test.dismiss(isolate);
    try std.testing.expectEqual(@as(u32, 2), Test.arrived.raw);
}

test "where no thread can be started, a call is refused, also one that comes while another isolate's tries to start one" {
    const isolate = Test.attach();
    const other = isolates.attach(Test.gpa, true, isolates.test_stack).?;
    _ = blocksOf(other).?;
    const World = struct {
        var second: *Isolate = undefined;
        var thread: std.Thread = undefined;
        var submitted: futex.Word = .init(waiting);
        const waiting = 2;

        fn submitSecond() void {
            submitted.store(@intFromBool(submit(second, 0)), .release);
        }

        fn startSecond() void {
            thread = std.Thread.spawn(.{}, submitSecond, .{}) catch unreachable;
            while (incoming.load(.acquire) == null) Test.rest();
            // Now it looks whether a thread searches.
            for (0..20) |_| Test.rest();
        }
    };
    World.second = other;
    Test.refuses = true;
    defer Test.refuses = false;
    Test.before_refusal = World.startSecond;
    Test.write(isolate, 0, &Test.double, 1);
    Test.write(other, 0, &Test.double, 2);
    try std.testing.expect(!submit(isolate, 0));
    World.thread.join();
    try std.testing.expectEqual(@as(u32, 0), World.submitted.raw);
    try std.testing.expectEqual(@as(?*Call, null), first);
    try std.testing.expectEqual(@as(?*Call, null), incoming.raw);

    Test.refuses = false;
    try Test.start(isolate, 0, &Test.double, 21);
    Test.await_(isolate, 1);
    try Test.dismiss(isolate);
    while (other.outgoing.holders.load(.acquire) != 0) Test.rest();
    Test.gpa.destroy(other);
}
