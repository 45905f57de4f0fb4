//! Waking an isolate's event loop from any thread. The core is a Node-API module, too, for what the runtimes' FFI lacks: a
//! thread-safe function, which wakes the loop and has it call JavaScript, and a cleanup hook, which runs when a worker is
//! terminated, before its thread ends.
//!
//! A burst of wakes is one: whoever sets the flag calls the function; JavaScript clears the flag before it looks at what
//! there is, so what came after that look sets it anew.

const std = @import("std");
const builtin = @import("builtin");
const fork = @import("../os/fork.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const libraries = @import("../library.zig");
const threads = @import("../os/threads.zig");
const Isolate = isolates.Isolate;

const Env = ?*anyopaque;
const Value = ?*anyopaque;
const CallbackInfo = ?*anyopaque;
const ThreadsafeFunction = *anyopaque;
const Callback = *const fn (Env, CallbackInfo) callconv(.c) Value;
pub const CallJs = fn (Env, Value, context: ?*anyopaque, data: ?*anyopaque) callconv(.c) void;
/// A callback of the runtime's own.
const Look = fn () callconv(.c) void;

/// Of Node-API, what is used here, by the names without `napi_`. The runtime's executable has it.
pub const Api = struct {
    create_function: *const fn (Env, [*]const u8, usize, Callback, ?*anyopaque, *Value) callconv(.c) c_int,
    set_named_property: *const fn (Env, Value, [*:0]const u8, Value) callconv(.c) c_int,
    create_string_utf8: *const fn (Env, [*]const u8, usize, *Value) callconv(.c) c_int,
    get_boolean: *const fn (Env, bool, *Value) callconv(.c) c_int,
    get_cb_info: *const fn (Env, CallbackInfo, *usize, [*]Value, ?*Value, ?*?*anyopaque) callconv(.c) c_int,
    get_value_bigint_uint64: *const fn (Env, Value, *u64, *bool) callconv(.c) c_int,
    get_value_bool: *const fn (Env, Value, *bool) callconv(.c) c_int,
    create_threadsafe_function: *const fn (Env, Value, Value, Value, usize, usize, ?*anyopaque, ?*const anyopaque, ?*anyopaque, ?*const CallJs, *?ThreadsafeFunction) callconv(.c) c_int,
    call_threadsafe_function: *const fn (ThreadsafeFunction, ?*anyopaque, c_uint) callconv(.c) c_int,
    release_threadsafe_function: *const fn (ThreadsafeFunction, c_uint) callconv(.c) c_int,
    unref_threadsafe_function: *const fn (Env, ThreadsafeFunction) callconv(.c) c_int,
    add_env_cleanup_hook: *const fn (Env, *const fn (?*anyopaque) callconv(.c) void, ?*anyopaque) callconv(.c) c_int,
};
var api: Api = undefined;
var api_loaded: enum(u8) { untried, missing, loaded } = .untried;

/// Runs on a JavaScript thread; several that do it at once store the same.
fn loadApi() bool {
    const known = @atomicLoad(@TypeOf(api_loaded), &api_loaded, .acquire);
    if (known != .untried) return known == .loaded;
    inline for (@typeInfo(Api).@"struct".fields) |field| {
        const address = libraries.symbolOfProgram("napi_" ++ field.name) orelse {
            @atomicStore(@TypeOf(api_loaded), &api_loaded, .missing, .release);
            return false;
        };
        @atomicStore(field.type, &@field(api, field.name), @ptrCast(@alignCast(address)), .monotonic);
    }
    @atomicStore(@TypeOf(api_loaded), &api_loaded, .loaded, .release);
    return true;
}

/// For the tests, which have no runtime.
pub fn useApi(other: Api) void {
    api = other;
    api_loaded = .loaded;
}

pub const Waker = struct {
    /// 1 from when a wake was asked for until JavaScript begins to look. Who queues something looks at these two.
    requested: std.atomic.Value(u32) align(128) = .init(0),
    /// Changes under the mutex. Who only wants to know whether there is one reads it at any time.
    function: ?ThreadsafeFunction = null,
    /// What the function has called, on the isolate's thread.
    look: ?*const Look = null,
    /// What any thread may call in place of the function, where the runtime has that and it is faster.
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

    fn call(waker: *Waker, way: enum { fast, sure }) void {
        waker.mutex.acquire();
        defer waker.mutex.release();
        if (waker.silent) return;
        const function = waker.function orelse return;
        if (way == .fast) if (waker.callback) |callback| return callback();
        const nonblocking = 0;
        _ = api.call_threadsafe_function(function, null, nonblocking);
    }
};

/// Has an isolate's JavaScript look what there is, soon. From any thread; does nothing for one that isn't connected.
pub fn wake(isolate: *Isolate) void {
    _ = wakeSleeping(isolate);
}

/// As `wake`, by another thread that goes on. It lets the thread that it has woken have this processor: that is where Linux
/// may have put it, to wait until this one sleeps.
pub noinline fn wakeAndGiveWay(isolate: *Isolate) void {
    if (!wakeSleeping(isolate) or builtin.os.tag != .linux) return;
    const way = &isolate.waker.way;
    const before = futex.now();
    if (!way.isFree(before)) return;
    std.Thread.yield() catch {};
    const after = futex.now();
    way.took(after, after - before);
}

/// Answers whether JavaScript had to be woken, and nobody else has.
fn wakeSleeping(isolate: *Isolate) bool {
    const waker = &isolate.waker;
    // Sequentially consistent, as what was queued before this: JavaScript clears the flag and then looks at the queues, so
    // either it finds that, or this finds the flag cleared. Mostly it is set, and shared by all who look.
    if (waker.requested.load(.seq_cst) == 1) return false;
    if (waker.requested.swap(1, .seq_cst) == 1) return false;
    waker.call(.fast);
    if (waker.watched) watchdog.watch();
    return true;
}

/// When to give way. In a burst it would be in vain. Where other programs want the processor, too, one of them may keep it
/// for a millisecond: after that it is left out for 1 ms, 2 ms, up to a quarter of a second, and after one that was short for
/// half as long.
const Way = struct {
    last_ns: std.atomic.Value(u64) = .init(0),
    pause_ns: std.atomic.Value(u64) = .init(0),
    pause_end_ns: std.atomic.Value(u64) = .init(0),

    const burst_ns = 100 * std.time.ns_per_us;
    const long_ns = 200 * std.time.ns_per_us;
    const shortest_pause_ns = std.time.ns_per_ms;
    const longest_pause_ns = 256 * std.time.ns_per_ms;

    // Threads may do this at once: what they make of the numbers is never worse than a yield too many.
    fn isFree(way: *Way, now: u64) bool {
        const in_burst = now -% way.last_ns.swap(now, .monotonic) < burst_ns;
        return !in_burst and now >= way.pause_end_ns.load(.monotonic);
    }

    fn took(way: *Way, now: u64, duration_ns: u64) void {
        const pause_ns = way.pause_ns.load(.monotonic);
        const next_ns = if (duration_ns < long_ns) pause_ns / 2 else std.math.clamp(2 * pause_ns, shortest_pause_ns, longest_pause_ns);
        way.pause_ns.store(next_ns, .monotonic);
        way.pause_end_ns.store(now + next_ns, .monotonic);
    }
};

test "way is given once in a while, and more rarely where that takes long" {
    var way: Way = .{};
    var now: u64 = std.time.ns_per_s;
    try std.testing.expect(way.isFree(now));
    way.took(now, Way.long_ns - 1);
    try std.testing.expect(!way.isFree(now + Way.burst_ns - 1));
    now += 2 * Way.burst_ns;
    try std.testing.expect(way.isFree(now));
    const pauses_ms = [_]u64{ 1, 2, 4, 8, 16, 32, 64, 128, 256, 256 };
    for (pauses_ms) |pause_ms| {
        way.took(now, Way.long_ns);
        try std.testing.expect(!way.isFree(now + pause_ms * std.time.ns_per_ms - 1));
        now += pause_ms * std.time.ns_per_ms + Way.burst_ns;
        try std.testing.expect(way.isFree(now));
    }
    way.took(now, Way.long_ns - 1);
    try std.testing.expect(!way.isFree(now + 128 * std.time.ns_per_ms - 1));
    try std.testing.expect(way.isFree(now + 128 * std.time.ns_per_ms + Way.burst_ns));
}

/// JavaScript begins to look; answers when. Null, and nothing is done, while it rests; with `at_once` the rest is over.
pub fn looking(isolate: *Isolate, at_once: bool) ?u64 {
    const waker = &isolate.waker;
    const now = futex.now();
    const rest_end_ns = waker.rest_end_ns.load(.monotonic);
    if (rest_end_ns != 0) {
        if (!at_once and now < rest_end_ns) return null;
        waker.rest_end_ns.store(0, .monotonic);
    }
    _ = waker.looks.fetchAdd(1, .monotonic);
    _ = waker.requested.swap(0, .seq_cst);
    return now;
}

/// Has JavaScript look after so long, and not before, whatever is queued: the loop is idle meanwhile, or has other things to
/// do. On the isolate's thread.
pub fn rest(isolate: *Isolate, duration_ns: u64) void {
    const waker = &isolate.waker;
    if (!waker.listed) return wake(isolate);
    waker.rest_end_ns.store(futex.now() + duration_ns, .monotonic);
    // It is a wake that takes long: nobody else makes one. Released, so that the watchdog finds the rest with it.
    waker.requested.store(1, .seq_cst);
    watchdog.watch();
    if (duration_ns < watchdog.first_patience_ns) watchdog.hurry();
}

pub fn isConnected(isolate: *Isolate) bool {
    return @atomicLoad(?ThreadsafeFunction, &isolate.waker.function, .acquire) != null;
}

/// From now on the isolate's JavaScript isn't woken any more, and what woke it isn't touched.
pub fn silence(isolate: *Isolate) void {
    isolate.waker.mutex.acquire();
    defer isolate.waker.mutex.release();
    isolate.waker.silent = true;
}

fn takeFunction(isolate: *Isolate) ?ThreadsafeFunction {
    isolate.waker.mutex.acquire();
    defer isolate.waker.mutex.release();
    defer @atomicStore(?ThreadsafeFunction, &isolate.waker.function, null, .monotonic);
    return isolate.waker.function;
}

/// Deno loses a wake now and then (one in some thousands, under load), and Bun's callbacks are deaf once `bun test --isolate`
/// has begun with another file. A thread repeats those that nobody has answered for a while; it sleeps where there are none.
const watchdog = struct {
    const first_patience_ns = 2 * std.time.ns_per_ms;
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

    fn watch() void {
        active.store(1, .seq_cst);
        if (asleep.load(.seq_cst) == 1) futex.wakeAll(&active);
    }

    /// Something is due before it would come by.
    fn hurry() void {
        _ = sooner.fetchAdd(1, .seq_cst);
        futex.wakeAll(&sooner);
    }

    fn add(isolate: *Isolate) bool {
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

    fn remove(isolate: *Isolate) void {
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
                waker.call(.sure);
                waker.patience_ns = @min(waker.patience_ns * 2, longest_patience_ns);
                waker.again_ns = now + waker.patience_ns;
            }
            due_ns = @min(due_ns orelse waker.again_ns, waker.again_ns);
        }
        return due_ns;
    }
};

fn envEnds(argument: ?*anyopaque) callconv(.c) void {
    if (fork.isChild()) return;
    const isolate: *Isolate = @ptrCast(@alignCast(argument));
    watchdog.remove(isolate);
    const abort = 1;
    if (takeFunction(isolate)) |function| _ = api.release_threadsafe_function(function, abort);
    isolates.leave(isolate);
}

/// The thread-safe function was called. JavaScript is entered by the runtime's FFI, as for every callback, and not with what
/// Node-API would bring along: the asynchronous context (`AsyncLocalStorage`) of whoever connected.
fn callLook(env: Env, _: Value, context: ?*anyopaque, _: ?*anyopaque) callconv(.c) void {
    const isolate: *Isolate = @ptrCast(@alignCast(context));
    // Without an environment, or when that has ended, nothing runs any more.
    if (env == null or !isConnected(isolate) or !isolate.words.isLive()) return;
    if (isolate.waker.look) |look| look();
}

/// `connect(isolate: bigint, look: bigint, watch: boolean, callback: bigint): boolean`: from now on `look`, a callback of the
/// runtime's, is called in a turn of its own after a wake. `callback` is one that any thread may call, and does the same, or
/// 0. That doesn't keep the event loop alive.
fn connect(env: Env, info: CallbackInfo) callconv(.c) Value {
    const argument_count = 4;
    var arguments: [argument_count]Value = @splat(null);
    var count: usize = argument_count;
    var watched = false;
    var address: u64 = 0;
    var look: u64 = 0;
    var callback: u64 = 0;
    var lossless = false;
    const read = api.get_cb_info(env, info, &count, &arguments, null, null) == 0 and count == argument_count and
        api.get_value_bigint_uint64(env, arguments[0], &address, &lossless) == 0 and address != 0 and
        api.get_value_bigint_uint64(env, arguments[1], &look, &lossless) == 0 and
        api.get_value_bool(env, arguments[2], &watched) == 0 and
        api.get_value_bigint_uint64(env, arguments[3], &callback, &lossless) == 0;
    const ok = read and connectIsolate(env, @ptrFromInt(address), @ptrFromInt(look), @ptrFromInt(callback), watched);
    var answer: Value = null;
    _ = api.get_boolean(env, ok, &answer);
    return answer;
}

fn connectIsolate(env: Env, words: *isolates.Words, look: ?*const Look, callback: ?*const Look, watched: bool) bool {
    const isolate: *Isolate = .of(words);
    var name: Value = null;
    var function: ?ThreadsafeFunction = null;
    if (api.create_string_utf8(env, "belay", 5, &name) != 0) return false;
    if (api.create_threadsafe_function(env, null, null, name, 0, 1, null, null, isolate, callLook, &function) != 0) return false;
    _ = api.unref_threadsafe_function(env, function.?);
    const waker = &isolate.waker;
    // Before it can be woken.
    waker.look = look;
    waker.listed = watchdog.add(isolate);
    waker.watched = watched and waker.listed;
    waker.mutex.acquire();
    // Only with somebody who repeats wakes: the callback may have become deaf (see backend_bun.ts).
    if (waker.watched) waker.callback = callback;
    @atomicStore(?ThreadsafeFunction, &waker.function, function, .release);
    waker.mutex.release();
    _ = api.add_env_cleanup_hook(env, envEnds, isolate);
    return true;
}

pub export fn node_api_module_get_api_version_v1() i32 {
    return 8;
}

pub export fn napi_register_module_v1(env: Env, exports: Value) Value {
    var function: Value = null;
    if (loadApi() and api.create_function(env, "connect", 7, connect, null, &function) == 0) {
        _ = api.set_named_property(env, exports, "connect", function);
    }
    return exports;
}
