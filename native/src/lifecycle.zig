//! The life of an isolate. JavaScript attaches it. It leaves when its environment ends, when another one attaches on
//! its thread, or when the thread ends. The parts of the core that keep something for an isolate are told here.

const std = @import("std");
const builtin = @import("builtin");
const call_blocks = @import("calls/blocks.zig");
const channels = @import("channel.zig");
const fork = @import("os/fork.zig");
const isolates = @import("isolate.zig");
const own_stack = @import("stacks/own.zig");
const queues = @import("queued/queues.zig");
const tags = @import("handles/tags.zig");
const weak = @import("os/weak.zig");
const Isolate = isolates.Isolate;
const Lock = @import("os/lock.zig").Lock;

/// The isolates of this thread, the last one first.
threadlocal var newest: ?*Isolate = null;
var last_thread: u64 = 0;
var lock: Lock = .{};

/// Gives this thread a new isolate. Those that it had before are gone by now, unless `beside` says that they are copies
/// of the package in the same world: runtimes start a new isolate on the thread of an old one (test files, watch modes)
/// without a word to native code. Callbacks may start in the top `stack_byte_length` of the stack.
pub fn attach(allocator: std.mem.Allocator, beside: bool, stack_byte_length: usize) ?*Isolate {
    watchForks();
    if (beside) leaveDead() else leaveThread();
    const isolate = allocator.create(Isolate) catch return null;
    isolate.clear();
    isolate.words.handle_release = &tags.release;
    isolate.words.channel_send = &channels.send;
    if (!claimTag(isolate)) {
        allocator.destroy(isolate);
        return null;
    }
    if (isolates.current_thread == 0) isolates.current_thread = @atomicRmw(u64, &last_thread, .Add, 1, .monotonic) + 1;
    isolate.thread = isolates.current_thread;
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

fn claimTag(isolate: *Isolate) bool {
    lock.acquire();
    defer lock.release();
    return tags.claim(isolate);
}

fn watchForks() void {
    lock.acquire();
    defer lock.release();
    fork.watch(endInChild);
}

/// In a forked child no JavaScript can run: thunks answer with their fallbacks, releases and channels do nothing. The
/// lists and queues may be as threads left them half-way that are not here, so nothing of them is touched.
fn endInChild() void {
    for (tags.holders[1..]) |*holder| {
        const isolate = @atomicLoad(?*Isolate, holder, .acquire) orelse continue;
        @atomicStore(u32, &isolate.words.live, 0, .release);
        // Where C is on a stack of its own, thunks have seen that JavaScript can run.
        isolate.own_stacks.forget(null);
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

/// Takes an isolate's place away: its tag may be used again, and goes on with its ids.
pub fn leave(isolate: *Isolate) void {
    queues.end(isolate);
    queues.abandon(isolate);
    lock.acquire();
    defer lock.release();
    leaveLocked(isolate);
}

fn leaveLocked(isolate: *Isolate) void {
    lock.assertHeld();
    if (isolate.departure != 0) return;
    @atomicStore(u32, &isolate.departure, isolates.departures.fetchAdd(1, .monotonic) + 1, .release);
    @atomicStore(u32, &isolate.words.live, 0, .release);
    tags.leave(isolate);
    call_blocks.leave(isolate);
    own_stack.leave(isolate);
}

/// How many isolates are live.
pub fn liveCount() u32 {
    lock.acquire();
    defer lock.release();
    return tags.usedCount();
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

const posix = struct {
    /// C's `pthread_key_t`.
    const Key = if (builtin.os.tag.isDarwin()) c_ulong else c_uint;
    extern "c" fn pthread_key_create(key: *Key, destructor: *const fn (?*anyopaque) callconv(.c) void) callconv(.c) c_int;
    extern "c" fn pthread_setspecific(key: Key, value: ?*anyopaque) callconv(.c) c_int;
};

const ExitKey = if (builtin.os.tag == .windows) u32 else posix.Key;
var exit_key: ?ExitKey = null;

const glibc = struct {
    const Destructor = fn (?*anyopaque) callconv(.c) void;
    const AtExit = fn (destructor: *const Destructor, object: ?*anyopaque, inside_library: *const anyopaque) callconv(.c) c_int;
    threadlocal var registered = false;

    /// Whether the C library has a list of the thread's destructors, and this one is in it.
    fn register() bool {
        if (builtin.os.tag != .linux) return false;
        const atExit = weak.function(AtExit, "__cxa_thread_atexit_impl") orelse return false;
        registered = registered or atExit(threadEnds, null, &lock) == 0;
        return registered;
    }

    fn threadEnds(_: ?*anyopaque) callconv(.c) void {
        leaveThread();
    }
};

/// The last resort: the destructor runs when the thread ends, after its isolate is gone. On glibc it is one of those
/// that run before the keys' destructors, whoever made these first, and before `atexit` handlers. Null when all of the
/// thread's isolates have left: Windows runs it for every thread that has a value, the main one at the process's end,
/// too.
fn onThreadExit(isolate: ?*Isolate) void {
    if (glibc.register()) return;
    lock.acquire();
    defer lock.release();
    if (exit_key == null) {
        if (isolate == null) return;
        if (builtin.os.tag == .windows) {
            exit_key = windows.FlsAlloc(threadExit);
        } else {
            var key: posix.Key = undefined;
            if (posix.pthread_key_create(&key, threadExit) != 0) return;
            exit_key = key;
        }
    }
    if (builtin.os.tag == .windows) {
        _ = windows.FlsSetValue(exit_key.?, isolate);
    } else {
        _ = posix.pthread_setspecific(exit_key.?, isolate);
    }
}
