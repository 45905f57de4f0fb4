//! The blocks of words that the core makes calls from. An isolate has 65,536 of them, mapped when it makes its first
//! block call. JavaScript writes a call into a block; the isolate's thread or a call thread makes it.

const std = @import("std");
const abi = @import("../abi.zig");
const caller = @import("caller.zig");
const isolates = @import("../isolate.zig");
const pages = @import("../os/pages.zig");
const strings = @import("../allocator.zig");
const Call = abi.Call;
const Isolate = isolates.Isolate;

const byte_length = abi.max_calls * @sizeOf(Call);

/// The blocks of an isolate. On its thread. Null when there is no memory.
pub fn of(isolate: *Isolate) ?[*]Call {
    isolate.assertOwnThread();
    const calls = &isolate.calls;
    if (calls.blocks.load(.monotonic)) |blocks| return blocks;
    const memory = pages.mapWritable(byte_length) orelse return null;
    const blocks: [*]Call = @ptrCast(@alignCast(memory.ptr));
    calls.holders.store(1, .monotonic);
    calls.blocks.store(blocks, .monotonic);
    return blocks;
}

/// The isolate is gone: its blocks go with the last call that is running. Once for each isolate.
pub fn leave(isolate: *Isolate) void {
    if (isolate.calls.blocks.load(.monotonic) != null) letGo(isolate);
}

/// A call of the isolate's isn't outstanding any more.
pub fn letGo(isolate: *Isolate) void {
    const calls = &isolate.calls;
    if (calls.holders.fetchSub(1, .acq_rel) > 1) return;
    const blocks = calls.blocks.swap(null, .monotonic) orelse return;
    for (blocks[0..calls.used]) |*call| freeString(call);
    const memory: [*]u8 = @ptrCast(blocks);
    pages.unmap(memory[0..byte_length]);
}

/// Makes the call of a block on this thread, the isolate's.
pub fn make(isolate: *Isolate, index: u32) void {
    isolate.assertOwnThread();
    if (std.debug.runtime_safety) std.debug.assert(index < abi.max_calls);
    perform(&isolate.calls.blocks.load(.monotonic).?[index]);
}

/// Makes the call of a block, and captures its error where that is asked for.
pub fn perform(call: *Call) void {
    if (std.debug.runtime_safety) std.debug.assert(call.frame.stack_words <= abi.stack_words);
    if (call.capture_error != 0) call.@"error" = caller.makeCapturing(&call.frame) else caller.make(&call.frame);
}

/// Puts a copy in place of a result that is a string.
pub fn copyString(call: *Call) void {
    const result = &call.frame.integer_results[0];
    const string: ?[*:0]const u8 = @ptrFromInt(@as(usize, @intCast(result.*)));
    call.string = @intFromPtr(strings.copyOf(string orelse return));
    result.* = call.string;
}

/// Frees the copy that the last call of a block has left.
pub fn freeString(call: *Call) void {
    if (call.string != 0) strings.freeString(call.string);
    call.string = 0;
}
