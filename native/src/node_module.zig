//! The core as a Node-API module: a runtime that loads it as one gets `connect`, which lets the core wake an isolate's
//! event loop, and has the core told when the isolate's environment ends.

const abi = @import("abi.zig");
const fork = @import("os/fork.zig");
const isolates = @import("isolate.zig");
const lifecycle = @import("lifecycle.zig");
const node_api = @import("waking/node_api.zig");
const waker = @import("waking/waker.zig");
const watchdog = @import("waking/watchdog.zig");
const CallbackInfo = node_api.CallbackInfo;
const Env = node_api.Env;
const Isolate = isolates.Isolate;
const Look = isolates.Look;
const Value = node_api.Value;
const api = &node_api.api;

fn envEnds(argument: ?*anyopaque) callconv(.c) void {
    if (fork.isChild()) return;
    const isolate: *Isolate = @ptrCast(@alignCast(argument));
    watchdog.remove(isolate);
    const abort = 1;
    if (waker.takeFunction(isolate)) |function| _ = api.release_threadsafe_function(function, abort);
    lifecycle.leave(isolate);
}

/// The thread-safe function was called. JavaScript is entered by the runtime's FFI, as for every callback, and not with
/// what Node-API would bring along: the asynchronous context (`AsyncLocalStorage`) of whoever connected.
fn callLook(env: Env, _: Value, context: ?*anyopaque, _: ?*anyopaque) callconv(.c) void {
    const isolate: *Isolate = @ptrCast(@alignCast(context));
    // Without an environment, or when that has ended, nothing runs any more.
    if (env == null or !waker.isConnected(isolate) or !isolate.words.isLive()) return;
    if (isolate.waker.look) |look| look();
}

/// `connect(isolate: bigint, look: bigint, watch: boolean, callback: bigint): boolean`: from now on `look`, a callback
/// of the runtime's, is called in a turn of its own after a wake. `callback` is one that any thread may call, and does
/// the same, or 0. That doesn't keep the event loop alive.
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

fn connectIsolate(env: Env, words: *abi.Words, look: ?*const Look, callback: ?*const Look, watched: bool) bool {
    const isolate: *Isolate = .of(words);
    var name: Value = null;
    var function: ?isolates.ThreadsafeFunction = null;
    if (api.create_string_utf8(env, "belay", 5, &name) != 0) return false;
    const made = api.create_threadsafe_function(env, null, null, name, 0, 1, null, null, isolate, callLook, &function);
    if (made != 0) return false;
    _ = api.unref_threadsafe_function(env, function.?);
    waker.connect(isolate, function.?, look, callback, watched);
    _ = api.add_env_cleanup_hook(env, envEnds, isolate);
    return true;
}

pub export fn node_api_module_get_api_version_v1() i32 {
    return 8;
}

pub export fn napi_register_module_v1(env: Env, exports: Value) Value {
    var function: Value = null;
    if (node_api.load() and api.create_function(env, "connect", 7, connect, null, &function) == 0) {
        _ = api.set_named_property(env, exports, "connect", function);
    }
    return exports;
}
