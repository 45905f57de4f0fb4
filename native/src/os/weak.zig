//! What only some C libraries have.

/// The address of a symbol that the program may lack; 0 when it does.
pub fn address(comptime name: []const u8) usize {
    // Zig 0.16 takes a weak symbol to be there, and its address for no 0. Behind this it can't know.
    return asm volatile (""
        : [address] "=r" (-> usize),
        : [given] "0" (@intFromPtr(@extern(?*const u8, .{ .name = name, .linkage = .weak }))),
    );
}

/// A C function that the program may lack.
pub fn function(comptime Function: type, comptime name: []const u8) ?*const Function {
    const found = address(name);
    return if (found == 0) null else @ptrFromInt(found);
}

test "a symbol that no library has is missing" {
    const std = @import("std");
    try std.testing.expectEqual(@as(usize, 0), address("belay_no_such_symbol"));
    try std.testing.expect(function(fn () callconv(.c) void, "belay_no_such_function") == null);
}
