//! Every native test: `zig build test`. What `belay.h` says is held against the Zig here.

const std = @import("std");
const isolates = @import("isolate.zig");
const registries = @import("registry.zig");
const thunks = @import("thunks/pool.zig");
const foreign = @import("queued/queued.zig");
const queues = @import("queue.zig");
const caller = @import("calls/caller.zig");
const call_threads = @import("calls/call_threads.zig");
const channels = @import("channel.zig");
const root = @import("root.zig");
const header = @import("header");

test {
    _ = isolates;
    _ = thunks;
    _ = root;
    _ = registries;
    _ = @import("os/lock.zig");
    _ = @import("os/pages.zig");
    _ = @import("os/stack.zig");
    _ = @import("os/futex.zig");
    _ = @import("queue.zig");
    _ = @import("tests/queue_model.zig");
    _ = channels;
    _ = foreign;
    _ = @import("tests/queued_test.zig");
    _ = @import("waking/waker.zig");
    _ = @import("os/threads.zig");
    _ = @import("library.zig");
    _ = @import("interposition.zig");
    _ = @import("memory.zig");
    _ = caller;
    _ = call_threads;
}

fn expectSameLayout(comptime Ours: type, comptime Theirs: type) !void {
    try std.testing.expectEqual(@sizeOf(Theirs), @sizeOf(Ours));
    const fields = @typeInfo(Ours).@"struct".fields;
    try std.testing.expectEqual(@typeInfo(Theirs).@"struct".fields.len, fields.len);
    inline for (fields) |field| {
        try std.testing.expectEqual(@offsetOf(Theirs, field.name), @offsetOf(Ours, field.name));
        try std.testing.expectEqual(@sizeOf(@FieldType(Theirs, field.name)), @sizeOf(field.type));
    }
}

test "belay.h and Zig agree on every structure and constant" {
    try expectSameLayout(isolates.Words, header.belay_isolate);
    try expectSameLayout(thunks.Slot, header.belay_thunk);
    try expectSameLayout(caller.Frame, header.belay_frame);
    try expectSameLayout(call_threads.Call, header.belay_call);
    try std.testing.expectEqual(header.BELAY_MAX_CALLS, call_threads.max_calls);
    try std.testing.expectEqual(header.BELAY_MAX_THREADS, call_threads.max_threads);
    try std.testing.expectEqual(header.BELAY_DEFAULT_THREADS, call_threads.default_threads);
    try expectSameLayout(channels.Words, header.belay_channel_words);
    try std.testing.expectEqual(header.BELAY_ABI_VERSION, root.abi_version);
    try std.testing.expectEqual(header.BELAY_REGISTER_WORDS, isolates.register_words);
    try std.testing.expectEqual(header.BELAY_STACK_WORDS, isolates.stack_words);
    try std.testing.expectEqual(header.BELAY_ARGUMENT_WORDS, isolates.argument_words);
    try std.testing.expectEqual(header.BELAY_RESULT_WORDS, isolates.result_words);
    try std.testing.expectEqual(header.BELAY_RESULT_SCALAR, @intFromEnum(thunks.Result.scalar));
    try std.testing.expectEqual(header.BELAY_RESULT_REGISTERS, @intFromEnum(thunks.Result.registers));
    try std.testing.expectEqual(header.BELAY_RESULT_MEMORY, @intFromEnum(thunks.Result.memory));
    try std.testing.expectEqual(header.BELAY_ATTENTION_ERROR, isolates.attention_error);
    try std.testing.expectEqual(header.BELAY_ATTENTION_FOREIGN, isolates.attention_foreign);
    try std.testing.expectEqual(header.BELAY_ATTENTION_OVERFLOW, isolates.attention_overflow);
    try std.testing.expectEqual(header.BELAY_CONTRACT_MASK, thunks.contract_mask);
    try std.testing.expectEqual(header.BELAY_CONTRACT_SAME, thunks.contract_same);
    try std.testing.expectEqual(header.BELAY_CONTRACT_POST, thunks.contract_post);
    try std.testing.expectEqual(header.BELAY_CONTRACT_WAIT, thunks.contract_wait);
    try std.testing.expectEqual(header.BELAY_NEXT_FINISH, @intFromEnum(foreign.Patience.finish));
    try std.testing.expectEqual(header.BELAY_NEXT_TAKE, @intFromEnum(foreign.Patience.take));
    try std.testing.expectEqual(header.BELAY_NEXT_LINGER, @intFromEnum(foreign.Patience.linger));
    try std.testing.expectEqual(header.BELAY_FULL_BLOCK, @intFromEnum(queues.OnFull.block));
    try std.testing.expectEqual(header.BELAY_FULL_DROP_NEWEST, @intFromEnum(queues.OnFull.drop_newest));
    try std.testing.expectEqual(header.BELAY_FULL_DROP_OLDEST, @intFromEnum(queues.OnFull.drop_oldest));
    try std.testing.expectEqual(header.BELAY_ATTENTION_RELEASE, isolates.attention_release);
    try std.testing.expectEqual(header.BELAY_MAX_CHANNELS, channels.max_channels);
    try std.testing.expectEqual(header.BELAY_CHANNEL_HEADER_WORDS, channels.header_words);
    try std.testing.expectEqual(header.BELAY_MAX_SLOTS, registries.max_slots);
    try std.testing.expectEqual(header.BELAY_BLOCK_LENGTH, thunks.block_length);
    try std.testing.expectEqual(header.BELAY_MAX_BLOCKS, thunks.max_blocks);
    try std.testing.expectEqual(header.BELAY_CHUNK_LENGTH, thunks.chunk_length);
}

/// A parameter or result as the ABI sees it: kind and width.
fn abiClass(comptime T: type) []const u8 {
    return switch (@typeInfo(T)) {
        .pointer, .optional => "pointer",
        .int => |int| std.fmt.comptimePrint("{s}{d}", .{ if (int.signedness == .signed) "i" else "u", int.bits }),
        .float => |float| std.fmt.comptimePrint("f{d}", .{float.bits}),
        .bool => "bool",
        .void => "void",
        else => @compileError("belay.h has no such type: " ++ @typeName(T)),
    };
}

test "belay.h and Zig agree on every function's parameters and result" {
    @setEvalBranchQuota(1_000_000);
    comptime var count = 0;
    inline for (@typeInfo(header).@"struct".decls) |declaration| {
        const is_function = comptime std.mem.startsWith(u8, declaration.name, "belay_") and
            @typeInfo(@TypeOf(@field(header, declaration.name))) == .@"fn";
        if (is_function) {
            count += 1;
            const theirs = @typeInfo(@TypeOf(@field(header, declaration.name))).@"fn";
            const ours = @typeInfo(@TypeOf(@field(root, declaration.name))).@"fn";
            try std.testing.expectEqualStrings(abiClass(theirs.return_type.?), abiClass(ours.return_type.?));
            try std.testing.expectEqual(theirs.params.len, ours.params.len);
            inline for (theirs.params, ours.params) |their, our| {
                try std.testing.expectEqualStrings(abiClass(their.type.?), abiClass(our.type.?));
            }
        }
    }
    try std.testing.expectEqual(55, count);
}
