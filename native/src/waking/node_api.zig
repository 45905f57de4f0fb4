//! The functions of Node-API that the core uses; the runtime's executable has them. A thread-safe function wakes the
//! event loop and has it call JavaScript. A cleanup hook runs when a worker is terminated, before its thread ends.

const isolates = @import("../isolate.zig");
const libraries = @import("../library.zig");
const Waker = isolates.Waker;
const ThreadsafeFunction = isolates.ThreadsafeFunction;

pub const Env = ?*anyopaque;
pub const Value = ?*anyopaque;
pub const CallbackInfo = ?*anyopaque;
pub const Callback = *const fn (Env, CallbackInfo) callconv(.c) Value;
pub const CallJs = fn (Env, Value, context: ?*anyopaque, data: ?*anyopaque) callconv(.c) void;

/// By the names without `napi_`.
pub const Api = struct {
    create_function: *const fn (Env, [*]const u8, usize, Callback, ?*anyopaque, *Value) callconv(.c) c_int,
    set_named_property: *const fn (Env, Value, [*:0]const u8, Value) callconv(.c) c_int,
    create_string_utf8: *const fn (Env, [*]const u8, usize, *Value) callconv(.c) c_int,
    get_boolean: *const fn (Env, bool, *Value) callconv(.c) c_int,
    get_cb_info: *const fn (Env, CallbackInfo, *usize, [*]Value, ?*Value, ?*?*anyopaque) callconv(.c) c_int,
    get_value_bigint_uint64: *const fn (Env, Value, *u64, *bool) callconv(.c) c_int,
    get_value_bool: *const fn (Env, Value, *bool) callconv(.c) c_int,
    create_threadsafe_function: *const fn (
        Env,
        Value,
        Value,
        Value,
        usize,
        usize,
        ?*anyopaque,
        ?*const anyopaque,
        ?*anyopaque,
        ?*const CallJs,
        *?ThreadsafeFunction,
    ) callconv(.c) c_int,
    call_threadsafe_function: *const fn (ThreadsafeFunction, ?*anyopaque, c_uint) callconv(.c) c_int,
    release_threadsafe_function: *const fn (ThreadsafeFunction, c_uint) callconv(.c) c_int,
    unref_threadsafe_function: *const fn (Env, ThreadsafeFunction) callconv(.c) c_int,
    add_env_cleanup_hook: *const fn (Env, *const fn (?*anyopaque) callconv(.c) void, ?*anyopaque) callconv(.c) c_int,
};
pub var api: Api = undefined;
var api_loaded: enum(u8) { untried, missing, loaded } = .untried;

/// Runs on a JavaScript thread; several that do it at once store the same.
pub fn load() bool {
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
pub fn use(other: Api) void {
    api = other;
    api_loaded = .loaded;
}

/// Wakes the isolate's event loop, by the faster way if there is one, or by the sure one.
pub fn call(waker: *Waker, way: enum { fast, sure }) void {
    waker.mutex.acquire();
    defer waker.mutex.release();
    if (waker.silent) return;
    const function = waker.function orelse return;
    if (way == .fast) if (waker.callback) |callback| return callback();
    const nonblocking = 0;
    _ = api.call_threadsafe_function(function, null, nonblocking);
}
