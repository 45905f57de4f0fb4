//! A runtime that is the tests' own, with its Node-API, and callbacks of it that other threads may call.

const std = @import("std");
const abi = @import("../abi.zig");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const lifecycle = @import("../lifecycle.zig");
const node_api = @import("../waking/node_api.zig");
const node_module = @import("../node_module.zig");
const queues = @import("../queued/queues.zig");
const serve = @import("../queued/serve.zig");
const support = @import("support.zig");
const thunks = @import("../thunks/pool.zig");
const waker = @import("../waking/waker.zig");
const Isolate = isolates.Isolate;
const Queue = @import("../queue.zig").Queue;
const Slot = abi.Slot;
const gpa = @import("../allocator.zig").allocator;

const Value = ?*anyopaque;
const Callback = *const fn (Value, Value) callconv(.c) Value;

/// A runtime with one JavaScript thread: that of the test. What Node-API calls an environment, a thread-safe function
/// or a value, is a pointer to this.
pub const Runtime = struct {
    isolate: *Isolate = undefined,
    connect: ?Callback = null,
    connected: bool = false,
    cleanup: ?*const fn (?*anyopaque) callconv(.c) void = null,
    cleanup_argument: ?*anyopaque = null,
    /// 1 when the loop is to call JavaScript.
    signal: futex.Word = .init(0),
    /// How many calls of the thread-safe function are still to be lost, and how many there were.
    deaf: std.atomic.Value(u32) = .init(0),
    signals: std.atomic.Value(u32) = .init(0),
    released: std.atomic.Value(bool) = .init(false),
    called_after_release: std.atomic.Value(bool) = .init(false),
    /// What JavaScript does with a call; its arguments and result are in the isolate's words.
    handle: *const fn (runtime: *Runtime, words: *abi.Words) void,
    context: ?*anyopaque = null,
    handled: u64 = 0,
    /// The address of what wakes in place of the thread-safe function, or 0.
    callback: u64 = 0,

    fn of(pointer: ?*anyopaque) *Runtime {
        return @ptrCast(@alignCast(pointer.?));
    }

    const api: node_api.Api = .{
        .create_function = createFunction,
        .set_named_property = setNamedProperty,
        .create_string_utf8 = createString,
        .get_boolean = getBoolean,
        .get_cb_info = getCallbackInfo,
        .get_value_bigint_uint64 = getBigint,
        .get_value_bool = getBool,
        .create_threadsafe_function = createThreadsafeFunction,
        .call_threadsafe_function = callThreadsafeFunction,
        .release_threadsafe_function = releaseThreadsafeFunction,
        .unref_threadsafe_function = unrefThreadsafeFunction,
        .add_env_cleanup_hook = addCleanupHook,
    };
    fn createFunction(
        env: Value,
        _: [*]const u8,
        _: usize,
        callback: Callback,
        _: ?*anyopaque,
        value: *Value,
    ) callconv(.c) c_int {
        of(env).connect = callback;
        value.* = env;
        return 0;
    }
    fn setNamedProperty(_: Value, _: Value, _: [*:0]const u8, _: Value) callconv(.c) c_int {
        return 0;
    }
    fn createString(env: Value, _: [*]const u8, _: usize, value: *Value) callconv(.c) c_int {
        value.* = env;
        return 0;
    }
    fn getBoolean(env: Value, answer: bool, _: *Value) callconv(.c) c_int {
        of(env).connected = answer;
        return 0;
    }
    fn getCallbackInfo(
        env: Value,
        _: Value,
        count: *usize,
        values: [*]Value,
        _: ?*Value,
        _: ?*?*anyopaque,
    ) callconv(.c) c_int {
        count.* = 4;
        values[0..4].* = .{ env, null, env, &of(env).callback };
        return 0;
    }
    fn getBigint(env: Value, argument: Value, value: *u64, lossless: *bool) callconv(.c) c_int {
        // The one that is null is what is called to look: here `turn` does that.
        value.* = if (argument == env)
            @intFromPtr(&of(env).isolate.words)
        else if (argument == null) 0 else of(env).callback;
        lossless.* = true;
        return 0;
    }
    fn getBool(_: Value, _: Value, watched: *bool) callconv(.c) c_int {
        watched.* = true;
        return 0;
    }
    fn createThreadsafeFunction(
        env: Value,
        _: Value,
        _: Value,
        _: Value,
        _: usize,
        _: usize,
        _: ?*anyopaque,
        _: ?*const anyopaque,
        _: ?*anyopaque,
        _: ?*const node_api.CallJs,
        function: *?*anyopaque,
    ) callconv(.c) c_int {
        function.* = env;
        return 0;
    }
    fn callThreadsafeFunction(function: *anyopaque, _: ?*anyopaque, _: c_uint) callconv(.c) c_int {
        const runtime = of(function);
        if (runtime.released.load(.acquire)) runtime.called_after_release.store(true, .release);
        _ = runtime.signals.fetchAdd(1, .monotonic);
        // Calls are made under the waker's mutex.
        const deaf = runtime.deaf.load(.monotonic);
        if (deaf > 0) {
            runtime.deaf.store(deaf - 1, .monotonic);
            return 0;
        }
        runtime.signal.store(1, .release);
        futex.wakeAll(&runtime.signal);
        return 0;
    }
    fn releaseThreadsafeFunction(function: *anyopaque, _: c_uint) callconv(.c) c_int {
        of(function).released.store(true, .release);
        return 0;
    }
    fn unrefThreadsafeFunction(_: Value, _: *anyopaque) callconv(.c) c_int {
        return 0;
    }
    fn addCleanupHook(
        env: Value,
        hook: *const fn (?*anyopaque) callconv(.c) void,
        argument: ?*anyopaque,
    ) callconv(.c) c_int {
        of(env).cleanup = hook;
        of(env).cleanup_argument = argument;
        return 0;
    }

    /// Attaches this thread and connects it.
    pub fn start(runtime: *Runtime) !void {
        node_api.use(api);
        runtime.isolate = lifecycle.attach(gpa, false, support.stack_byte_length).?;
        _ = node_module.napi_register_module_v1(runtime, runtime);
        _ = runtime.connect.?(runtime, runtime);
        try std.testing.expect(runtime.connected);
    }

    /// The environment ends, as it does when a worker is terminated.
    pub fn end(runtime: *Runtime) void {
        if (runtime.cleanup) |cleanup| cleanup(runtime.cleanup_argument);
        runtime.cleanup = null;
    }

    /// Ends what is still there, and looks whether everything was given back that has to be.
    pub fn stop(runtime: *Runtime) void {
        runtime.end();
        lifecycle.leaveThread();
        queues.freeOrphans();
        support.dismiss(runtime.isolate);
        std.testing.expect(runtime.released.load(.acquire)) catch unreachable;
        std.testing.expect(!runtime.called_after_release.load(.acquire)) catch unreachable;
    }

    /// What `look` in wake.ts does: all that is queued.
    pub fn look(runtime: *Runtime) void {
        if (waker.looking(runtime.isolate, false) == null) return;
        while (serve.next(runtime.isolate, .take)) {
            runtime.handle(runtime, &runtime.isolate.words);
            runtime.handled += 1;
        }
    }

    /// A turn of the event loop: sleeps until a wake, and looks. Only a wake makes it look.
    pub fn turn(runtime: *Runtime) void {
        const give_up = futex.now() + 10 * std.time.ns_per_s;
        while (runtime.signal.load(.acquire) == 0) {
            if (futex.now() > give_up) @panic("no wake for ten seconds");
            futex.wait(&runtime.signal, 0, std.time.ns_per_s);
        }
        runtime.signal.store(0, .monotonic);
        runtime.look();
    }

    pub fn turnUntil(runtime: *Runtime, handled: u64) void {
        while (runtime.handled < handled) runtime.turn();
    }

    /// Turns until so many calls were handled or dropped. A call that is dropped need not wake anybody.
    pub fn turnUntilAll(runtime: *Runtime, count: u64) void {
        while (runtime.handled + @atomicLoad(u32, &runtime.isolate.words.dropped, .monotonic) < count) {
            futex.wait(&runtime.signal, 0, std.time.ns_per_ms);
            if (runtime.signal.swap(0, .acquire) == 1) runtime.look();
        }
    }
};

/// A callback with a contract, set up in the order in which JavaScript does it.
pub const Bridge = struct {
    runtime: *Runtime,
    number: u32,
    queue: *Queue,
    function: *const anyopaque,

    const Options = struct {
        contract: u32 = abi.contract_post,
        /// How many words of each kind its arguments take.
        integers: u32 = 2,
        floats: u32 = 0,
        stack: u32 = 0,
        strings: u64 = 0,
        capacity: u32 = 64,
        on_full: abi.OnFull = .block,
        timeout_ms: u32 = 60_000,
        fallback: u64 = fallback,
        /// Another callback's queue.
        queue: ?*Queue = null,
    };
    pub const fallback = 1 << 40;

    pub fn open(runtime: *Runtime, options: Options) Bridge {
        const isolate = runtime.isolate;
        const number = thunks.claim(isolate, "test").?;
        const slot = thunks.slotOf(number);
        slot.index = number;
        slot.fallback = options.fallback;
        slot.layout = options.stack | options.integers << 8 | options.floats << 16;
        const waits = options.contract == abi.contract_wait;
        const extra = @as(u32, @intFromBool(waits)) + @intFromBool(options.strings != 0);
        const queue = options.queue orelse
            queues.create(isolate, options.capacity, slot.layout, extra, options.on_full).?;
        const function = isolate.words.chunk_code.?;
        const bridge: Bridge = .{ .runtime = runtime, .number = number, .queue = queue, .function = function };
        const state = bridge.close();
        @atomicStore(u64, &slot.strings, options.strings, .seq_cst);
        @atomicStore(?*abi.Queue, &slot.queue, @ptrCast(queue), .seq_cst);
        @atomicStore(u32, &slot.timeout_ms, options.timeout_ms, .seq_cst);
        @atomicStore(u32, &slot.state, (state & ~@as(u32, abi.contract_mask)) + 4 + options.contract, .seq_cst);
        return bridge;
    }

    pub fn slotOf(bridge: Bridge) *Slot {
        return thunks.slotOf(bridge.number);
    }

    /// The contract ends, but for what `queues.cancel` does. Answers the state before.
    pub fn close(bridge: Bridge) u32 {
        const state = @atomicLoad(u32, &bridge.slotOf().state, .monotonic);
        @atomicStore(u32, &bridge.slotOf().state, (state & ~@as(u32, abi.contract_mask)) + 4, .seq_cst);
        return state;
    }

    pub fn cancel(bridge: Bridge) u32 {
        return queues.cancel(bridge.runtime.isolate, bridge.number, bridge.close(), bridge.queue, true);
    }

    pub fn call(bridge: Bridge, first: u64, second: u64) u64 {
        const function: *const fn (u64, u64) callconv(.c) u64 = @ptrCast(@alignCast(bridge.function));
        return function(first, second);
    }
};

/// Lets the first word of a test's thread be seen by another one, and waits for it.
pub const Flag = struct {
    word: futex.Word = .init(0),
    pub fn raise(flag: *Flag) void {
        flag.word.store(1, .release);
        futex.wakeAll(&flag.word);
    }
    pub fn wait(flag: *Flag) void {
        while (!flag.isUp()) futex.wait(&flag.word, 0, std.time.ns_per_s);
    }
    pub fn isUp(flag: *Flag) bool {
        return flag.word.load(.acquire) == 1;
    }
};
