//! What the headers say is held against the Zig: `core.h`, and `belay.h`, which it includes.

const std = @import("std");
const abi = @import("../abi.zig");
const header = @import("header");
const root = @import("../root.zig");

fn expectSameLayout(comptime Ours: type, comptime Theirs: type) !void {
    try std.testing.expectEqual(@sizeOf(Theirs), @sizeOf(Ours));
    const fields = @typeInfo(Ours).@"struct".fields;
    try std.testing.expectEqual(@typeInfo(Theirs).@"struct".fields.len, fields.len);
    inline for (fields) |field| {
        try std.testing.expectEqual(@offsetOf(Theirs, field.name), @offsetOf(Ours, field.name));
        try std.testing.expectEqual(@sizeOf(@FieldType(Theirs, field.name)), @sizeOf(field.type));
    }
}

test "core.h and Zig agree on every structure" {
    try expectSameLayout(abi.Words, header.belay_isolate);
    try expectSameLayout(abi.Slot, header.belay_thunk);
    try expectSameLayout(abi.Fetch, header.belay_fetch);
    try expectSameLayout(abi.Fetching, header.belay_fetching);
    try expectSameLayout(abi.Frame, header.belay_frame);
    try expectSameLayout(abi.Call, header.belay_call);
    try expectSameLayout(abi.ChannelWords, header.belay_channel_words);
}

/// What the header calls a number: `on_full` and `drop_newest` are BELAY_ON_FULL_DROP_NEWEST.
fn macroName(comptime parts: []const []const u8) []const u8 {
    comptime var name: []const u8 = "BELAY";
    inline for (parts) |part| {
        name = name ++ "_";
        inline for (part, 0..) |letter, i| {
            const is_upper = letter >= 'A' and letter <= 'Z';
            name = name ++ (if (is_upper and i > 0) "_" else "") ++ [1]u8{std.ascii.toUpper(letter)};
        }
    }
    return name;
}

test "core.h and Zig agree on every number" {
    @setEvalBranchQuota(1_000_000);
    comptime var count = 0;
    inline for (@typeInfo(abi).@"struct".decls) |declaration| {
        const value = @field(abi, declaration.name);
        if (@TypeOf(value) == comptime_int) {
            count += 1;
            try std.testing.expectEqual(value, @field(header, macroName(&.{declaration.name})));
        } else if (@TypeOf(value) == type and @typeInfo(value) == .@"enum") {
            inline for (@typeInfo(value).@"enum".fields) |field| {
                count += 1;
                try std.testing.expectEqual(field.value, @field(header, macroName(&.{ declaration.name, field.name })));
            }
        }
    }
    comptime var theirs = 0;
    inline for (@typeInfo(header).@"struct".decls) |declaration| {
        const is_guard = comptime std.mem.endsWith(u8, declaration.name, "_H");
        if (comptime std.mem.startsWith(u8, declaration.name, "BELAY_") and !is_guard) theirs += 1;
    }
    try std.testing.expectEqual(theirs, count);
}

/// A parameter or result as the ABI sees it: kind and width.
fn abiClass(comptime T: type) []const u8 {
    return switch (@typeInfo(T)) {
        .pointer, .optional => "pointer",
        .int => |int| std.fmt.comptimePrint("{s}{d}", .{ if (int.signedness == .signed) "i" else "u", int.bits }),
        .float => |float| std.fmt.comptimePrint("f{d}", .{float.bits}),
        .bool => "bool",
        .void => "void",
        else => @compileError("core.h has no such type: " ++ @typeName(T)),
    };
}

fn expectSameFunction(comptime Ours: type, comptime Theirs: type) !void {
    const ours = @typeInfo(Ours).@"fn";
    // It has those of the function that it goes to.
    if (ours.calling_convention == .naked) return;
    const theirs = @typeInfo(Theirs).@"fn";
    try std.testing.expectEqualStrings(abiClass(theirs.return_type.?), abiClass(ours.return_type.?));
    try std.testing.expectEqual(theirs.params.len, ours.params.len);
    inline for (theirs.params, ours.params) |their, our| {
        try std.testing.expectEqualStrings(abiClass(their.type.?), abiClass(our.type.?));
    }
}

test "belay.h and Zig agree on what authors of C libraries call" {
    try expectSameFunction(@TypeOf(root.belay_channel_send), header.belay_channel_send_function);
    try expectSameFunction(@TypeOf(root.belay_handle_release), header.belay_handle_release_function);
}

test "core.h and Zig agree on every function's parameters and result" {
    @setEvalBranchQuota(1_000_000);
    comptime var count = 0;
    inline for (@typeInfo(header).@"struct".decls) |declaration| {
        const is_function = comptime std.mem.startsWith(u8, declaration.name, "belay_") and
            @typeInfo(@TypeOf(@field(header, declaration.name))) == .@"fn";
        if (is_function) {
            count += 1;
            try expectSameFunction(@TypeOf(@field(root, declaration.name)), @TypeOf(@field(header, declaration.name)));
        }
    }
    comptime var ours = 0;
    inline for (@typeInfo(root).@"struct".decls) |declaration| {
        if (comptime std.mem.startsWith(u8, declaration.name, "belay_")) ours += 1;
    }
    try std.testing.expectEqual(ours, count);
}
