//! An isolate is one JavaScript world on one thread: the main thread's or a worker's. Its record is never freed: a
//! thunk that C still holds may ask for it at any time.
//!
//! This file has the record, with the state that each part of the core keeps in it. `lifecycle.zig` makes and ends
//! isolates.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("abi.zig");
const futex = @import("os/futex.zig");
const Queue = @import("queue.zig").Queue;
const Stack = @import("os/stack.zig").Stack;
const Waiter = @import("waiter.zig").Waiter;

pub const Isolate = struct {
    /// At the record's beginning, since its alignment is the largest: JavaScript and thunks have the address of both. The thunks'
    /// slots say why it is so large.
    words: abi.Words align(4096) = .{},
    /// The thread that it lives on, and that thread's stack.
    thread: u64 = 0,
    stack: Stack = .{},
    /// Tells its list of released handles from those of the isolates that had its tag before.
    epoch: u9 = 0,
    /// A callback that starts below the floor is an error that JavaScript still can throw. Below the limit JavaScript
    /// isn't entered: engines have limits of their own, and not all survive to find them passed on the way in.
    stack_floor: usize = 0,
    stack_limit: usize = 0,
    /// When it left, counted in departures; 0 while its place is taken.
    departure: u32 = 0,
    /// Another isolate of the same thread, attached before: a second copy of the package makes one.
    previous: ?*Isolate = null,
    waker: Waker = .{},
    queued: Queued = .{},
    calls: Calls = .{},
    own_stacks: OwnStacks = .{},
    /// Why the last library didn't open.
    open_reason: [1024]u8 = undefined,

    pub fn of(words: *abi.Words) *Isolate {
        return @alignCast(@fieldParentPtr("words", words));
    }

    /// What `.{}` is, but for what is undefined there: as zeroes, since the library would have a copy of it to write from.
    pub fn clear(isolate: *Isolate) void {
        @memset(std.mem.asBytes(isolate), 0);
        isolate.words.live = 1;
        isolate.stack = .{};
        isolate.own_stacks.byte_length = (OwnStacks{}).byte_length;
    }

    /// For functions that JavaScript must call on the isolate's thread. The check is compiled in where safety is on, as
    /// in tests; the shipped core has none.
    pub fn assertOwnThread(isolate: *const Isolate) void {
        if (std.debug.runtime_safety) std.debug.assert(isolate.thread == current_thread);
    }

    comptime {
        // Otherwise the dispatcher needs a register more.
        std.debug.assert(@offsetOf(Isolate, "words") == 0);
    }
};

/// The number of this thread, from 1; 0 on every thread that has attached nothing, whatever its thread pointer.
pub threadlocal var current_thread: u64 = 0;
/// The nonblocking call that this thread makes: its index and 1, or 0. Callbacks during the call belong to it.
pub threadlocal var current_call: u64 = 0;
/// Whose call that is.
pub threadlocal var current_caller: ?*Isolate = null;

/// How many isolates have left; chunks of thunks become free only then.
pub var departures: std.atomic.Value(u32) = .init(0);

/// A callback of the runtime's own.
pub const Look = fn () callconv(.c) void;
pub const ThreadsafeFunction = *anyopaque;

/// The state of `waking/`: how the isolate's event loop is woken.
pub const Waker = struct {
    /// 1 from when a wake was asked for until JavaScript begins to look. Threads that queue something read these two.
    requested: std.atomic.Value(u32) align(128) = .init(0),
    /// Changes under the mutex. Any thread may ask at any time whether there is one.
    function: ?ThreadsafeFunction = null,
    /// The function calls this on the isolate's thread.
    look: ?*const Look = null,
    /// Any thread may call this in place of the function, where the runtime has it and it is faster.
    callback: ?*const Look = null,
    /// Held while the function is called or taken away.
    mutex: futex.Mutex align(128) = .{},
    silent: bool = false,
    /// Whether the watchdog knows of it; and whether wakes may be lost, so that it repeats them all.
    listed: bool = false,
    watched: bool = false,
    /// How often JavaScript began to look.
    looks: std.atomic.Value(u32) = .init(0),
    /// When JavaScript wants to be called after a rest; 0 while it doesn't rest.
    rest_end_ns: std.atomic.Value(u64) = .init(0),
    /// The watchdog's: what `looks` and `rest_end_ns` were when it came by last, and when to wake again.
    seen: u32 = 0,
    seen_rest_ns: u64 = 0,
    again_ns: u64 = 0,
    patience_ns: u64 = 0,
    next: ?*Isolate = null,
    way: Way = .{},
};

/// When a thread that woke the isolate last gave it the processor, and until when no thread does.
pub const Way = struct {
    last_ns: std.atomic.Value(u64) = .init(0),
    pause_ns: std.atomic.Value(u64) = .init(0),
    pause_end_ns: std.atomic.Value(u64) = .init(0),
};

/// The state of `queued/`: callbacks of other threads that wait for the isolate.
pub const Queued = struct {
    /// The threads that wait for an answer. Under the mutex.
    mutex: futex.Mutex = .{},
    waiters: ?*Waiter = null,
    /// How many more waits sleep at once since the last ones were too long to stay awake for, and how many the next one adds.
    to_skip: std.atomic.Value(u32) = .init(0),
    skipped: std.atomic.Value(u32) = .init(0),
    /// All queues, and the one that is being taken from. These and the following fields are the isolate's thread's
    /// alone.
    queues: ?*Queue = null,
    current: ?*Queue = null,
    /// Whether JavaScript is running a callback, and the thread's wait for its answer.
    running: bool = false,
    waiter: ?*Waiter = null,
    /// Whether callbacks that `mark` has marked have not run.
    marked: bool = false,
    string_count: u32 = 0,
    strings: [abi.argument_words]usize = undefined,
};

/// The state of `calls/`: the blocks of the calls that the core makes for the isolate.
pub const Calls = struct {
    blocks: std.atomic.Value(?[*]abi.Call) = .init(null),
    /// The isolate and each of its outstanding calls: the last one unmaps the blocks.
    holders: std.atomic.Value(u32) = .init(0),
    /// How many blocks were ever used: the first ones.
    used: u32 = 0,
};

/// The state of `stacks/`: stacks on which C runs, rather than on the thread's.
pub const OwnStacks = struct {
    /// The one of the call that JavaScript has started or gone on with last, if that is direct. A thunk that is called on it is
    /// called on the isolate's thread. A stack that no call has any more may stay here.
    running: ?*OwnStack = null,
    /// The same if it isn't direct.
    indirect: ?*OwnStack = null,
    /// Where JavaScript goes on when that one is left.
    javascript: usize = 0,
    /// Those that no call has; and one beside them, for calls whose arguments are passed: it is as such a call wants it.
    free: ?*OwnStack = null,
    free_count: u32 = 0,
    ready: ?*OwnStack = null,
    /// Another one that no call has: of another length, or too many of them were kept. It is unmapped when there is the next such
    /// one, or a call needs a stack that isn't kept.
    unusual: ?*OwnStack = null,
    /// All that are mapped.
    made: ?*OwnStack = null,
    made_count: u32 = 0,
    /// After how many calls more what calls have left is given back.
    until_rest: i32 = 0,
    /// How much a new one takes of the addresses, a multiple of the largest pages: as much as a main thread has.
    byte_length: usize = if (builtin.os.tag == .windows) 1 << 20 else 8 << 20,

    /// The one that a position is on, if C runs there.
    pub fn at(own: *const OwnStacks, position: usize) ?*OwnStack {
        for ([_]?*OwnStack{ own.running, own.indirect }) |running| {
            const stack = running orelse continue;
            if (stack.contains(position)) return stack;
        }
        return null;
    }

    /// No thunk finds C on a stack of its own any more, or on this one.
    pub fn forget(own: *OwnStacks, stack: ?*OwnStack) void {
        for ([_]*?*OwnStack{ &own.running, &own.indirect }) |running| {
            if (stack == null or running.* == stack) @atomicStore(?*OwnStack, running, null, .monotonic);
        }
    }
};

/// One of them. Its record is at its top.
pub const OwnStack = struct {
    memory: []align(std.heap.page_size_min) u8,
    /// What was asked for.
    byte_length: usize,
    /// Where it goes on.
    pointer: usize,
    /// JavaScript's control words, of SSE and x87: C may have others. Only where the call suspends. Callbacks of others have
    /// C's, as any callback.
    control: u64 = 0,
    isolate: *Isolate,
    /// Where the thread's errno is.
    error_place: *u32,
    /// Whether its call doesn't suspend; and whether JavaScript can run its callbacks, having stack enough: then a thunk needn't
    /// look at that.
    synchronous: bool = false,
    direct: bool = false,
    /// The call that it has.
    call: *abi.Call = undefined,
    /// The callback that JavaScript is running: its thunk's slot, the registers that it was called with, where C wants a
    /// structure; and C's errno. A stack that hasn't been left for a callback yet has no slot.
    slot: ?*abi.Slot = null,
    registers: *[abi.register_words]u64 = undefined,
    target: u64 = 0,
    code: u32 = 0,
    next: ?*OwnStack = null,
    made_before: ?*OwnStack = null,
    made_after: ?*OwnStack = null,

    pub fn contains(stack: *const OwnStack, position: usize) bool {
        const low = @intFromPtr(stack.memory.ptr);
        return position >= low and position < low + stack.memory.len;
    }
};
