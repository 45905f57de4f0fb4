//! An isolate is one JavaScript world on one thread: the main thread's or a worker's. Its record is never freed, so that
//! a thunk that C still holds can always ask who owned it.

const std = @import("std");
const builtin = @import("builtin");
const Lock = @import("os/lock.zig").Lock;
const Registry = @import("registry.zig").Registry;
const Stack = @import("os/stack.zig").Stack;
const Waker = @import("waking/waker.zig").Waker;
const channels = @import("channel.zig");
const foreign = @import("queued/queued.zig");
const fork = @import("os/fork.zig");
const call_threads = @import("calls/call_threads.zig");

/// The part of an isolate that it shares with its JavaScript, which maps it as typed arrays, and C's `belay_isolate`.
pub const Words = extern struct {
    /// What the running callback was called with: 8 integer registers, 8 float registers, then stack words.
    arguments: [argument_words]u64 = @splat(0),
    /// What it answers, as the bits of the result register.
    result: u64 = 0,
    /// The runtime's one callback of this isolate. Written by JavaScript.
    trampoline: ?*const fn () callconv(.c) void = null,
    /// What the last claim gave: the first thunk's slot and code.
    chunk_slots: ?*anyopaque = null,
    chunk_code: ?*const anyopaque = null,
    /// Of a call that was taken from a queue: what native call of this isolate's it was made in, or 0.
    token: u64 = 0,
    /// From one thunk of a chunk to the next.
    thunk_byte_length: u32 = 0,
    /// The index of the thunk that was called.
    callback: u32 = 0,
    /// This isolate's registry tag, 1 to 255.
    tag: u32 = 0,
    /// How many slots the registry of this tag has used, ever. Written by JavaScript.
    slots: u32 = 0,
    /// 1 while the trampoline runs for a call that has too little stack left for the function.
    overflow: u32 = 0,
    /// Which synchronous native call JavaScript is in: how many are running in the lower half; in the upper one a number of the
    /// outermost. Written by JavaScript; any thread reads it.
    native_call: u32 = 0,
    // Another cache line, since other threads read and write this, too.
    /// What C releases handles with.
    handle_release: *const fn (?*anyopaque) callconv(.c) void = &releaseHandle,
    /// What C sends events with.
    channel_send: *const fn (?*anyopaque, ?*anyopaque, ?[*]const u8, u32) callconv(.c) bool = &channels.send,
    /// Calls to this isolate's thunks that did not come from its thread's own stack, or came when it was gone.
    foreign_calls: u32 = 0,
    /// Flags: what waits for JavaScript to look at it.
    attention: u32 = 0,
    /// The list of thunks that have something to tell: the index of the first one and 1, or 0.
    noted: u32 = 0,
    /// Calls that were not queued, or dropped for newer ones; those that nobody answered in time.
    dropped: u32 = 0,
    timeouts: u32 = 0,
    /// 0 when JavaScript can't run any more. Written by JavaScript, too, before its world ends.
    live: u32 = 1,
    /// The first place of the list of handles that C has released, which JavaScript takes as a whole; 0 when it is empty.
    released: u32 = 0,
    /// Releases of what was no live handle.
    stale_releases: u32 = 0,
    /// The list of calls that the pool has made: the index of the last one and 1, or 0.
    completed: u32 = 0,
    /// 1 while JavaScript looks at the list by itself, and needn't be woken for it. Written by JavaScript.
    polls: u32 = 0,
    /// What `native_call` was when the first thread called in vain since JavaScript took this, or 0.
    in_vain_call: u32 = 0,
    unused: u32 = 0,
    /// The result registers of a callback that answers a structure: two integer ones, four float ones; or where C wants it.
    results: [result_words]u64 = @splat(0),

    pub fn isLive(words: *const Words) bool {
        return @atomicLoad(u32, &words.live, .acquire) != 0;
    }

    /// The synchronous native call that JavaScript is in, 0 when it is in none.
    pub fn nativeCall(words: *const Words) u32 {
        const native_call = @atomicLoad(u32, &words.native_call, .monotonic);
        return if (native_call & native_call_depth != 0) native_call else 0;
    }

    /// The innermost of the native calls that were running at two times; 0 when the outermost is another one, or there was none.
    pub fn callAround(one: u32, other: u32) u32 {
        if (one == 0 or other == 0 or one >> 16 != other >> 16) return 0;
        return @min(one, other);
    }

    /// Notes that a thread called in vain since JavaScript was in a native call: the outermost one is to blame.
    pub fn noteInVain(words: *Words, native_call: u32) void {
        const noted = @atomicLoad(u32, &words.in_vain_call, .monotonic);
        const first = callAround(noted, native_call);
        @atomicStore(u32, &words.in_vain_call, if (first != 0) first else native_call, .monotonic);
    }
};

pub const attention_error = 1;
pub const attention_foreign = 2;
pub const attention_overflow = 4;
pub const attention_release = 8;
pub const attention_in_vain = 16;
const native_call_depth = 0xffff;

pub const register_words = 16;
pub const stack_words = 128;
pub const argument_words = register_words + stack_words;
pub const result_words = 6;
pub const tag_count = 256;

pub const Isolate = struct {
    words: Words align(64) = .{},
    /// The thread that it lives on, and that thread's stack.
    thread: u64 = 0,
    stack: Stack = .{},
    /// Tells its list of released handles from those of the isolates that had its tag before.
    epoch: u9 = 0,
    /// A callback that starts below the floor is an error that JavaScript still can throw. Below the limit JavaScript isn't
    /// entered: engines have limits of their own, and not all survive to find them passed on the way in.
    stack_floor: usize = 0,
    stack_limit: usize = 0,
    /// When it left, counted in departures; 0 while its place is taken.
    departure: u32 = 0,
    /// Another isolate of the same thread, attached before: a second copy of the package makes one.
    previous: ?*Isolate = null,
    waker: Waker = .{},
    calls: foreign.Calls = .{},
    outgoing: call_threads.Calls = .{},

    pub fn of(words: *Words) *Isolate {
        return @alignCast(@fieldParentPtr("words", words));
    }
};

/// The number of this thread, from 1; 0 on every thread that has attached nothing, whatever its thread pointer.
pub threadlocal var current_thread: u64 = 0;
/// The isolates of this thread, the last one first.
threadlocal var newest: ?*Isolate = null;
var last_thread: u64 = 0;

/// How many isolates have left; chunks of thunks become free only then.
pub var departures: std.atomic.Value(u32) = .init(0);

var lock: Lock = .{};

/// What outlives the isolates that have a tag one after another.
const Tag = struct {
    used: bool = false,
    /// How many slots have been used, and the id that each holds or issues next: the next isolate goes on from there,
    /// so that no id is issued twice.
    slots: u32 = 0,
    registry: Registry = .{},
    /// Who has the tag. Any thread reads it.
    holder: ?*Isolate = null,
};
var tags: [tag_count]Tag = @splat(.{});

/// Gives this thread a new isolate. Those that it had before are gone by now, unless `beside` says that they are copies
/// of the package in the same world: runtimes start a new isolate on the thread of an old one (test files, watch modes)
/// without a word to native code. Callbacks may start in the top `stack_byte_length` of the stack.
pub fn attach(allocator: std.mem.Allocator, beside: bool, stack_byte_length: usize) ?*Isolate {
    fork.watch(endInChild);
    if (beside) leaveDead() else leaveThread();
    const isolate = allocator.create(Isolate) catch return null;
    isolate.* = .{};
    if (!claimTag(isolate)) {
        allocator.destroy(isolate);
        return null;
    }
    if (current_thread == 0) current_thread = @atomicRmw(u64, &last_thread, .Add, 1, .monotonic) + 1;
    isolate.thread = current_thread;
    isolate.stack = .ofThisThread();
    const stack = isolate.stack;
    // An engine counts from near the top, wherever the stack is now.
    const top = if (stack.top == std.math.maxInt(usize)) @frameAddress() else stack.top;
    // A part stays free whatever the runtime allows: engines that use the whole stack keep some of it themselves.
    isolate.stack_floor = @max(top -| stack_byte_length, stack.low + (top - stack.low) / 8);
    isolate.stack_limit = @max(top -| stack_byte_length / 5 * 6, stack.low + (top - stack.low) / 16);
    isolate.previous = newest;
    newest = isolate;
    onThreadExit(isolate);
    return isolate;
}

/// In a forked child no JavaScript can run: thunks answer with their fallbacks, releases and channels do nothing. The lists
/// and queues may be as threads left them half-way that are not here, so nothing of them is touched.
fn endInChild() void {
    for (tags[1..]) |*tag| {
        const isolate = @atomicLoad(?*Isolate, &tag.holder, .acquire) orelse continue;
        @atomicStore(u32, &isolate.words.live, 0, .release);
        isolate.waker.silent = true;
    }
}

/// Marks every isolate of this thread as gone.
pub fn leaveThread() void {
    if (fork.isChild()) return;
    while (newest) |isolate| {
        leave(isolate);
        newest = isolate.previous;
        isolate.previous = null;
    }
    onThreadExit(null);
}

/// Takes the places of those isolates of this thread that JavaScript has declared dead.
fn leaveDead() void {
    var next = newest;
    while (next) |isolate| {
        if (!isolate.words.isLive()) leave(isolate);
        next = isolate.previous;
    }
}

/// Memory for the ids of at least `count` slots of the isolate's registry. Only the isolate's own thread asks.
pub fn registryIds(isolate: *Isolate, count: u32) ?[*]f64 {
    return tags[isolate.words.tag].registry.grow(count);
}

/// Has the isolate that a handle belongs to delete it when its JavaScript looks next. From any thread, on any stack, with
/// anything: `belay_handle_release`. It touches no thread-local variable, whose memory may be allocated by that.
pub fn releaseHandle(user_data: ?*anyopaque) callconv(.c) void {
    // C frees NULL all the time.
    if (user_data == null) return;
    const id: u64 = @intFromPtr(user_data);
    const tag = &tags[@intCast((id >> 23) % tag_count)];
    if (id >> 53 != 0 or tag == &tags[0]) {
        // It could be anybody's.
        for (tags[1..]) |*each| if (holderOf(each)) |isolate| countStale(isolate);
        return;
    }
    const isolate = holderOf(tag) orelse return;
    switch (tag.registry.release(id, isolate.epoch, &isolate.words.released)) {
        .listed => _ = @atomicRmw(u32, &isolate.words.attention, .Or, attention_release, .release),
        .replaced, .stale => countStale(isolate),
    }
}

fn holderOf(tag: *Tag) ?*Isolate {
    const isolate = @atomicLoad(?*Isolate, &tag.holder, .acquire) orelse return null;
    return if (isolate.words.isLive()) isolate else null;
}

fn countStale(isolate: *Isolate) void {
    _ = @atomicRmw(u32, &isolate.words.stale_releases, .Add, 1, .monotonic);
}

/// Takes an isolate's place away: its tag may be used again, and goes on with its ids.
pub fn leave(isolate: *Isolate) void {
    foreign.end(isolate);
    foreign.abandonQueues(isolate);
    lock.acquire();
    defer lock.release();
    leaveLocked(isolate);
}

fn leaveLocked(isolate: *Isolate) void {
    if (isolate.departure != 0) return;
    @atomicStore(u32, &isolate.departure, departures.fetchAdd(1, .monotonic) + 1, .release);
    @atomicStore(u32, &isolate.words.live, 0, .release);
    const tag = &tags[isolate.words.tag];
    @atomicStore(?*Isolate, &tag.holder, null, .release);
    tag.slots = @min(isolate.words.slots, tag.registry.length);
    tag.used = false;
    call_threads.leave(isolate);
}

/// How many isolates are live.
pub fn liveCount() u32 {
    lock.acquire();
    defer lock.release();
    var used: u32 = 0;
    for (tags) |tag| used += @intFromBool(tag.used);
    return used;
}

fn claimTag(isolate: *Isolate) bool {
    lock.acquire();
    defer lock.release();
    for (tags[1..], 1..) |*tag, number| {
        if (tag.used) continue;
        tag.used = true;
        isolate.words.tag = @intCast(number);
        isolate.words.slots = tag.slots;
        tag.registry.beginEpoch();
        isolate.epoch = tag.registry.epoch;
        @atomicStore(?*Isolate, &tag.holder, isolate, .release);
        return true;
    }
    return false;
}

fn threadExit(pointer: ?*anyopaque) callconv(.c) void {
    if (fork.isChild()) return;
    // The thread-local list may be gone already: the value is its newest isolate.
    var next: ?*Isolate = @ptrCast(@alignCast(pointer));
    // Windows runs this at the end of the process, too, when threads that held the lock have been killed.
    const locked = lock.acquireWithin(1_000_000);
    defer if (locked) lock.release();
    while (next) |isolate| {
        if (locked) leaveLocked(isolate) else @atomicStore(u32, &isolate.words.live, 0, .release);
        next = isolate.previous;
    }
}

const windows = struct {
    extern "kernel32" fn FlsAlloc(callback: *const fn (?*anyopaque) callconv(.c) void) callconv(.c) u32;
    extern "kernel32" fn FlsSetValue(index: u32, value: ?*anyopaque) callconv(.c) c_int;
};

const ExitKey = if (builtin.os.tag == .windows) u32 else std.c.pthread_key_t;
var exit_key: ?ExitKey = null;

const glibc = struct {
    extern "c" fn __cxa_thread_atexit_impl(
        destructor: *const fn (?*anyopaque) callconv(.c) void,
        object: ?*anyopaque,
        inside_library: *const anyopaque,
    ) c_int;
    const present = builtin.os.tag == .linux and builtin.abi.isGnu();
    threadlocal var registered = false;

    fn threadEnds(_: ?*anyopaque) callconv(.c) void {
        leaveThread();
    }
};

/// The last resort: the destructor runs when the thread ends, after its isolate is gone. On glibc it is one of those that
/// run before the keys' destructors, whoever made these first, and before `atexit` handlers. Null when all of the
/// thread's isolates have left: Windows runs it for every thread that has a value, the main one at the process's end, too.
fn onThreadExit(isolate: ?*Isolate) void {
    if (glibc.present) {
        if (glibc.registered) return;
        glibc.registered = glibc.__cxa_thread_atexit_impl(glibc.threadEnds, null, &lock) == 0;
        if (glibc.registered) return;
    }
    lock.acquire();
    defer lock.release();
    if (exit_key == null) {
        if (isolate == null) return;
        if (builtin.os.tag == .windows) {
            exit_key = windows.FlsAlloc(threadExit);
        } else {
            var key: std.c.pthread_key_t = undefined;
            if (std.c.pthread_key_create(&key, threadExit) != .SUCCESS) return;
            exit_key = key;
        }
    }
    if (builtin.os.tag == .windows) {
        _ = windows.FlsSetValue(exit_key.?, isolate);
    } else {
        _ = std.c.pthread_setspecific(exit_key.?, isolate);
    }
}

pub const test_stack = 512 * 1024;

test "attach gives tags from 1, and a tag that is used again goes on with its ids" {
    const gpa = std.testing.allocator;
    const first = attach(gpa, false, test_stack).?;
    defer gpa.destroy(first);
    try std.testing.expectEqual(@as(u32, 1), first.words.tag);
    try std.testing.expectEqual(current_thread, first.thread);
    registryIds(first, 64).?[41] = 42;
    first.words.slots = 42;
    try std.testing.expectEqual(@as(f64, 42), registryIds(first, 4096).?[41]);
    try std.testing.expectEqual(registryIds(first, 64), registryIds(first, 1 << 22));
    try std.testing.expectEqual(@as(?[*]f64, null), registryIds(first, (1 << 22) + 1));

    const second = attach(gpa, false, test_stack).?;
    defer gpa.destroy(second);
    try std.testing.expect(!first.words.isLive());
    try std.testing.expectEqual(@as(u32, 1), second.words.tag);
    try std.testing.expectEqual(@as(u32, 42), second.words.slots);
    try std.testing.expectEqual(@as(f64, 42), registryIds(second, 42).?[41]);

    leave(second);
    leave(second);
    leaveThread();
    try std.testing.expect(!tags[1].used);
    tags[1].registry.free();
    tags[1] = .{};
}

test "isolates of different threads have different tags, and a thread that ends gives its tag back" {
    const gpa = std.testing.allocator;
    const mine = attach(gpa, false, test_stack).?;
    defer gpa.destroy(mine);
    const Other = struct {
        var isolate: ?*Isolate = null;
        fn run() void {
            isolate = attach(std.testing.allocator, false, test_stack);
        }
    };
    const thread = try std.Thread.spawn(.{}, Other.run, .{});
    thread.join();
    defer gpa.destroy(Other.isolate.?);
    try std.testing.expect(Other.isolate.?.words.tag != mine.words.tag);
    try std.testing.expect(!Other.isolate.?.words.isLive());
    try std.testing.expect(mine.words.isLive());
    leave(mine);
    leaveThread();
}

test "a copy of the package attaches beside the isolate that is there, and both leave with their thread" {
    const gpa = std.testing.allocator;
    const first = attach(gpa, false, test_stack).?;
    defer gpa.destroy(first);
    const copy = attach(gpa, true, test_stack).?;
    defer gpa.destroy(copy);
    try std.testing.expect(first.words.isLive());
    try std.testing.expect(first.words.tag != copy.words.tag);
    try std.testing.expectEqual(first.thread, copy.thread);
    leaveThread();
    try std.testing.expect(!first.words.isLive());
    try std.testing.expect(!copy.words.isLive());
}

test "attach gives null when 255 isolates are live" {
    const saved = tags;
    defer tags = saved;
    for (tags[1..]) |*tag| tag.used = true;
    try std.testing.expectEqual(@as(?*Isolate, null), attach(std.testing.allocator, false, test_stack));
}

fn released(id: u64) void {
    releaseHandle(@ptrFromInt(@as(usize, @intCast(id))));
}

test "a handle that is released is listed for the isolate whose tag it has; what is none is counted" {
    const gpa = std.testing.allocator;
    const first = attach(gpa, false, test_stack).?;
    defer gpa.destroy(first);
    const copy = attach(gpa, true, test_stack).?;
    defer gpa.destroy(copy);
    const words = &copy.words;
    const id = @as(u64, words.tag) << 23 | 3 << 31;
    registryIds(copy, 64).?[0] = @floatFromInt(id);
    released(id);
    try std.testing.expectEqual(@as(u32, 1), words.released);
    try std.testing.expectEqual(@as(u32, attention_release), words.attention);
    try std.testing.expectEqual(@as(u32, 0), words.stale_releases);
    for ([_]u64{ id, id + 1, id + 2, id + 130, id + (1 << 31) }) |stale| released(stale);
    try std.testing.expectEqual(@as(u32, 5), words.stale_releases);
    try std.testing.expectEqual(@as(u32, 0), first.words.stale_releases);
    // NULL is nothing to release.
    released(0);
    try std.testing.expectEqual(@as(u32, 5), words.stale_releases);
    // What has no tag.
    for ([_]u64{ 2, 1, id + (1 << 53), id + (1 << 63), std.math.maxInt(u64) }) |none| released(none);
    try std.testing.expectEqual(@as(u32, 10), words.stale_releases);
    try std.testing.expectEqual(@as(u32, 5), first.words.stale_releases);
    try std.testing.expectEqual(@as(u32, 0), first.words.attention);
    try std.testing.expectEqual(@as(u32, 1), words.released);
    // JavaScript declares it dead.
    @atomicStore(u32, &words.live, 0, .release);
    registryIds(copy, 64).?[1] = @floatFromInt(id + 3);
    released(id + 3);
    leaveThread();
    released(id + 3);
    released(1);
    try std.testing.expectEqual(@as(u32, 1), words.released);
    try std.testing.expectEqual(@as(u32, 10), words.stale_releases);
    const tag = &tags[words.tag];
    tag.registry.free();
    tag.* = .{};
}

test "any 64 bits can be released" {
    const gpa = std.testing.allocator;
    const isolate = attach(gpa, false, test_stack).?;
    defer gpa.destroy(isolate);
    const tag = &tags[isolate.words.tag];
    _ = registryIds(isolate, 64);
    var random = std.Random.DefaultPrng.init(1);
    for (0..100_000) |_| {
        const bits = random.random().int(u64);
        // And what looks more like one of its ids.
        for ([_]u64{ bits, bits >> 11, bits & 0x7f | @as(u64, isolate.words.tag) << 23 }) |id| released(id);
    }
    try std.testing.expectEqual(@as(u32, 0), isolate.words.released);
    try std.testing.expect(isolate.words.stale_releases >= 200_000);
    leaveThread();
    tag.registry.free();
    tag.* = .{};
}
