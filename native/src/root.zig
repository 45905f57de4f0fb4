//! The core's C ABI, all of it: `core.h` says what each function promises.

const std = @import("std");
const abi = @import("abi.zig");
const call_blocks = @import("calls/blocks.zig");
const call_threads = @import("calls/call_threads.zig");
const pointer_call = @import("calls/pointer_call.zig");
const channels = @import("channel.zig");
const futex = @import("os/futex.zig");
const libraries = @import("library.zig");
const lifecycle = @import("lifecycle.zig");
const memory = @import("memory.zig");
const own_stack = @import("stacks/own.zig");
const stack_watch = @import("stacks/watch.zig");
const queues = @import("queued/queues.zig");
const serve = @import("queued/serve.zig");
const tags = @import("handles/tags.zig");
const thunks = @import("thunks/pool.zig");
const waker = @import("waking/waker.zig");
const Isolate = @import("isolate.zig").Isolate;
const Words = abi.Words;

pub export fn belay_control(
    operation: u32,
    number: u32,
    object: ?*anyopaque,
    bits: u64,
    text: ?[*:0]const u8,
) ?*anyopaque {
    return switch (@as(abi.Operation, @enumFromInt(operation))) {
        .attach => attach(number, false, bits),
        .attach_beside => attach(number, true, bits),
        .isolate_count => counted(lifecycle.liveCount()),
        .registry_ids => @ptrCast(tags.registryIds(.of(isolateOf(object)), number)),
        .claim_thunks => if (thunks.claim(.of(isolateOf(object)), std.mem.span(text.?)) == null) null else object,
        .thunk_count => counted(thunks.count()),
        .limit_call_threads => {
            call_threads.setLimit(number);
            return null;
        },
        .call_thread_count => counted(call_threads.threadCount()),
        .open_library => libraries.open(text, number, &Isolate.of(isolateOf(object)).open_reason),
        .open_reason => &Isolate.of(isolateOf(object)).open_reason,
        .find_symbol => libraries.symbol(object.?, text.?),
        .find_variable => libraries.variable(object.?, text.?),
        .close_library => {
            libraries.close(object.?);
            return null;
        },
        .stack_count => counted(own_stack.liveCount(.of(isolateOf(object)))),
        .size_stacks => {
            own_stack.setByteLength(.of(isolateOf(object)), @intCast(bits));
            return null;
        },
        .rest_stacks => {
            own_stack.rest(.of(isolateOf(object)));
            return null;
        },
        .resident_stacks => @ptrFromInt(own_stack.resident(.of(isolateOf(object)))),
        .watch_stacks => {
            stack_watch.begin(.of(isolateOf(object)));
            return null;
        },
        .end_process => {
            stack_watch.endProcess(number, @truncate(bits));
            return null;
        },
        _ => null,
    };
}

fn attach(version: u32, beside: bool, stack_byte_length: u64) ?*anyopaque {
    if (version != abi.abi_version or !libraries.pin(&belay_control)) return null;
    const isolate = lifecycle.attach(std.heap.c_allocator, beside, @intCast(stack_byte_length)) orelse return null;
    return &isolate.words;
}

fn isolateOf(object: ?*anyopaque) *Words {
    return @ptrCast(@alignCast(object.?));
}

fn counted(count: u32) ?*anyopaque {
    return @ptrFromInt(count);
}

pub export fn belay_handle_release(id: ?*anyopaque) void {
    tags.release(id);
}

pub export fn belay_queue_create(
    isolate: *Words,
    call_count: u32,
    layout: u32,
    extra_words: u32,
    on_full: u32,
) ?*abi.Queue {
    return @ptrCast(queues.create(.of(isolate), call_count, layout, extra_words, @enumFromInt(on_full)));
}

pub export fn belay_isolate_look(isolate: *Words, at_once: bool) f64 {
    return milliseconds(waker.looking(.of(isolate), at_once) orelse 0);
}

pub export fn belay_isolate_rest(isolate: *Words, duration_us: u32) void {
    waker.rest(.of(isolate), @as(u64, duration_us) * std.time.ns_per_us);
}

pub export fn belay_now_ms() f64 {
    return milliseconds(futex.now());
}

fn milliseconds(ns: u64) f64 {
    return @as(f64, @floatFromInt(ns)) / std.time.ns_per_ms;
}

pub export fn belay_queued_next(isolate: *Words, patience: u32) u32 {
    return @intFromBool(serve.next(.of(isolate), @enumFromInt(patience)));
}

pub export fn belay_queued_mark(isolate: *Words) bool {
    return serve.mark(.of(isolate));
}

pub export fn belay_queued_marked(isolate: *Words) bool {
    Isolate.of(isolate).assertOwnThread();
    return Isolate.of(isolate).queued.marked;
}

pub export fn belay_queued_cancel(isolate: *Words, index: u32, state: u32, queue: *abi.Queue, retire: bool) u32 {
    return queues.cancel(.of(isolate), index, state, .of(queue), retire);
}

pub export fn belay_isolate_end(isolate: *Words) void {
    queues.end(.of(isolate));
}

pub export fn belay_isolate_wake(isolate: *Words) void {
    waker.wake(.of(isolate));
}

pub export fn belay_call_blocks(isolate: *Words) ?[*]abi.Call {
    return call_blocks.of(.of(isolate));
}

pub export fn belay_call_submit(isolate: *Words, index: u32) bool {
    return call_threads.submit(.of(isolate), index);
}

pub export fn belay_call_make(isolate: *Words, index: u32) void {
    call_blocks.make(.of(isolate), index);
}

pub fn belay_stack_start(isolate: *Words, index: u32) callconv(.c) u32 {
    return @intCast(own_stack.start(.of(isolate), index));
}

pub fn belay_stack_go_on(isolate: *Words, index: u32) callconv(.c) u32 {
    return @intCast(own_stack.goOn(.of(isolate), index));
}

/// For processors and systems on which stacks are not switched by jumps.
pub fn belay_stack_call(call: *abi.Call) callconv(.c) void {
    call.stack = @intFromEnum(abi.StackState.unknown);
}

pub fn belay_stack_resume(_: u32) callconv(.c) u32 {
    return @intFromEnum(abi.StackState.unknown);
}

pub export fn belay_call_poll(isolate: *Words) bool {
    return call_threads.poll(.of(isolate));
}

pub export fn belay_channel_send(channel: ?*anyopaque, handle: ?*anyopaque, data: ?[*]const u8, byte_length: u32) bool {
    return channels.send(channel, handle, data, byte_length);
}

pub export fn belay_channel_create(isolate: *Words, byte_capacity: u32) ?*abi.ChannelWords {
    return channels.create(.of(isolate), byte_capacity);
}

pub export fn belay_channel_take(channel: ?*anyopaque, most: u32) u32 {
    return channels.take(@intFromPtr(channel), most);
}

pub export fn belay_channel_close(channel: ?*anyopaque, settled: bool) u32 {
    return channels.close(@intFromPtr(channel), settled);
}

pub const belay_load_i8 = memory.load(i8);
pub const belay_load_u8 = memory.load(u8);
pub const belay_load_i16 = memory.load(i16);
pub const belay_load_u16 = memory.load(u16);
pub const belay_load_i32 = memory.load(i32);
pub const belay_load_u32 = memory.load(u32);
pub const belay_load_i64 = memory.load(i64);
pub const belay_load_u64 = memory.load(u64);
pub const belay_load_f32 = memory.load(f32);
pub const belay_load_f64 = memory.load(f64);
pub const belay_store_i8 = memory.store(i8);
pub const belay_store_u8 = memory.store(u8);
pub const belay_store_i16 = memory.store(i16);
pub const belay_store_u16 = memory.store(u16);
pub const belay_store_i32 = memory.store(i32);
pub const belay_store_u32 = memory.store(u32);
pub const belay_store_i64 = memory.store(i64);
pub const belay_store_u64 = memory.store(u64);
pub const belay_store_f32 = memory.store(f32);
pub const belay_store_f64 = memory.store(f64);
pub const belay_memory_copy = memory.copy;
pub const belay_memory_fill = memory.fill;
pub const belay_memory_find_zero = memory.findZero;
pub const belay_memory_allocate = memory.allocate;
pub const belay_memory_release = memory.release;

pub const belay_call_pointer = pointer_call.callPointer;

comptime {
    @export(&belay_call_pointer, .{ .name = "belay_call_pointer" });
    _ = @import("dispatch.zig");
    _ = @import("node_module.zig");
    // Where they switch stacks by jumps, they are assembly.
    if (!own_stack.has_jumps) {
        @export(&belay_stack_call, .{ .name = "belay_stack_call" });
        @export(&belay_stack_resume, .{ .name = "belay_stack_resume" });
        @export(&belay_stack_start, .{ .name = "belay_stack_start" });
        @export(&belay_stack_go_on, .{ .name = "belay_stack_go_on" });
    }
    @setEvalBranchQuota(100_000);
    for (@typeInfo(@This()).@"struct".decls) |declaration| {
        const generated = std.mem.startsWith(u8, declaration.name, "belay_load_") or
            std.mem.startsWith(u8, declaration.name, "belay_store_") or
            std.mem.startsWith(u8, declaration.name, "belay_memory_");
        if (generated) @export(&@field(@This(), declaration.name), .{ .name = declaration.name });
    }
}
