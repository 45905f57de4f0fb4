//! How isolates attach and leave.

const std = @import("std");
const isolates = @import("../isolate.zig");
const lifecycle = @import("../lifecycle.zig");
const support = @import("support.zig");
const tags = @import("../handles/tags.zig");
const Isolate = isolates.Isolate;
const test_stack = support.stack_byte_length;

test "attach gives tags from 1, and a tag that is used again goes on with its ids" {
    const gpa = std.testing.allocator;
    const first = lifecycle.attach(gpa, false, test_stack).?;
    defer gpa.destroy(first);
    try std.testing.expectEqual(@as(u32, 1), first.words.tag);
    try std.testing.expectEqual(isolates.current_thread, first.thread);
    tags.registryIds(first, 64).?[41] = 42;
    first.words.handle_slots = 42;
    try std.testing.expectEqual(@as(f64, 42), tags.registryIds(first, 4096).?[41]);
    try std.testing.expectEqual(tags.registryIds(first, 64), tags.registryIds(first, 1 << 22));
    try std.testing.expectEqual(@as(?[*]f64, null), tags.registryIds(first, (1 << 22) + 1));

    const second = lifecycle.attach(gpa, false, test_stack).?;
    defer gpa.destroy(second);
    try std.testing.expect(!first.words.isLive());
    try std.testing.expectEqual(@as(u32, 1), second.words.tag);
    try std.testing.expectEqual(@as(u32, 42), second.words.handle_slots);
    try std.testing.expectEqual(@as(f64, 42), tags.registryIds(second, 42).?[41]);

    lifecycle.leave(second);
    lifecycle.leave(second);
    lifecycle.leaveThread();
    try std.testing.expect(!tags.table[1].used);
    tags.table[1].registry.free();
    tags.table[1] = .{};
}

test "isolates of different threads have different tags, and a thread that ends gives its tag back" {
    const gpa = std.testing.allocator;
    const mine = lifecycle.attach(gpa, false, test_stack).?;
    defer gpa.destroy(mine);
    const Other = struct {
        var isolate: ?*Isolate = null;
        fn run() void {
            isolate = lifecycle.attach(std.testing.allocator, false, test_stack);
        }
    };
    const thread = try std.Thread.spawn(.{}, Other.run, .{});
    thread.join();
    defer gpa.destroy(Other.isolate.?);
    try std.testing.expect(Other.isolate.?.words.tag != mine.words.tag);
    try std.testing.expect(!Other.isolate.?.words.isLive());
    try std.testing.expect(mine.words.isLive());
    lifecycle.leave(mine);
    lifecycle.leaveThread();
}

test "a copy of the package attaches beside the isolate that is there, and both leave with their thread" {
    const gpa = std.testing.allocator;
    const first = lifecycle.attach(gpa, false, test_stack).?;
    defer gpa.destroy(first);
    const copy = lifecycle.attach(gpa, true, test_stack).?;
    defer gpa.destroy(copy);
    try std.testing.expect(first.words.isLive());
    try std.testing.expect(first.words.tag != copy.words.tag);
    try std.testing.expectEqual(first.thread, copy.thread);
    lifecycle.leaveThread();
    try std.testing.expect(!first.words.isLive());
    try std.testing.expect(!copy.words.isLive());
}

test "attach gives null when 255 isolates are live" {
    const saved = tags.table;
    defer tags.table = saved;
    for (tags.table[1..]) |*tag| tag.used = true;
    try std.testing.expectEqual(@as(?*Isolate, null), lifecycle.attach(std.testing.allocator, false, test_stack));
}

test "an isolate that was cleared is what the fields' defaults say" {
    const cleared = try std.testing.allocator.create(Isolate);
    defer std.testing.allocator.destroy(cleared);
    const default = try std.testing.allocator.create(Isolate);
    defer std.testing.allocator.destroy(default);
    @memset(std.mem.asBytes(default), 0);
    @memset(std.mem.asBytes(cleared), 0xff);
    cleared.clear();
    // Field by field: what lies between them is nothing's, and what is undefined may be anything.
    inline for (.{ "words", "waker", "calls", "own_stacks" }) |name| {
        @field(default, name) = .{};
        inline for (@typeInfo(@FieldType(Isolate, name)).@"struct".fields) |field| {
            const ours = std.mem.asBytes(&@field(@field(cleared, name), field.name));
            try std.testing.expectEqualSlices(u8, std.mem.asBytes(&@field(@field(default, name), field.name)), ours);
        }
    }
    const numbers = .{ cleared.thread, cleared.epoch, cleared.stack_floor, cleared.stack_limit, cleared.departure };
    inline for (numbers) |number| try std.testing.expectEqual(0, number);
    try std.testing.expectEqual(@as(?*Isolate, null), cleared.previous);
    try std.testing.expectEqual(@import("../os/stack.zig").Stack{}, cleared.stack);
    try std.testing.expectEqual(@as(?*@import("../waiter.zig").Waiter, null), cleared.queued.waiters);
    try std.testing.expect(!cleared.queued.running and !cleared.queued.marked and cleared.queued.queues == null);
}
