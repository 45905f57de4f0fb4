//! How the architectures' assembly declares the symbols that `pool.zig` looks up.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const darwin = builtin.os.tag.isDarwin();

/// How many thunks the assembly makes.
pub const block_length_text = std.fmt.comptimePrint("{d}", .{abi.thunk_block_length});

/// What the system puts before the name of a C symbol.
pub const prefix = if (darwin) "_" else "";

/// Symbols of this library alone. On macOS all but the first are entries of one atom, which the linker keeps in one
/// piece.
pub fn declare(comptime first: []const u8, comptime others: []const []const u8) []const u8 {
    comptime var text: []const u8 = globl(first);
    inline for (others) |name| text = text ++ globl(name) ++ if (darwin) ".alt_entry _" ++ name ++ "\n" else "";
    return text;
}

fn globl(comptime name: []const u8) []const u8 {
    const hidden = if (darwin)
        ".private_extern _" ++ name ++ "\n"
    else if (builtin.os.tag == .windows)
        ""
    else
        ".hidden " ++ name ++ "\n";
    return ".globl " ++ prefix ++ name ++ "\n" ++ hidden;
}
