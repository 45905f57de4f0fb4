//! How the architectures' assembly declares the symbols that `pool.zig` looks up.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const darwin = builtin.os.tag.isDarwin();

/// How many thunks share the way to the entry: as many as a short jump reaches across.
pub const group_length = 32;

/// The assembly of all thunks, in groups: each thunk, then the end of the group. They have `belay_in_group`, the
/// thunk's number in its group, and `belay_group`, the number of the group's first thunk; `1f` is the end of the group.
pub fn block(comptime thunk: []const u8, comptime end: []const u8) []const u8 {
    return std.fmt.comptimePrint(
        \\.p2align 6
        \\{s}belay_thunks:
        \\.set belay_group, 0
        \\.rept {d}
        \\.set belay_in_group, 0
        \\.rept {d}
        \\{s}.set belay_in_group, belay_in_group + 1
        \\.endr
        \\1:
        \\{s}.set belay_group, belay_group + {d}
        \\.endr
        \\
    , .{ prefix, abi.thunk_block_length / group_length, group_length, thunk, end, group_length });
}

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
    // The linker would export a global symbol of a DLL's; class 3 is a static one.
    if (builtin.os.tag == .windows) return ".def " ++ name ++ "\n.scl 3\n.type 32\n.endef\n";
    const hidden = if (darwin) ".private_extern _" ++ name ++ "\n" else ".hidden " ++ name ++ "\n";
    return ".globl " ++ prefix ++ name ++ "\n" ++ hidden;
}
