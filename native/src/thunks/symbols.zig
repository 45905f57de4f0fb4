//! How the architectures' assembly declares the symbols that `pool.zig` looks up.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const assembly = @import("../os/assembly.zig");

/// How many thunks share the way to the entry: as many as a short jump reaches across.
pub const group_length = 32;

/// The assembly of all thunks, in groups: each thunk, then the end of the group. They have `belay_in_group`, the
/// thunk's number in its group, and `belay_group`, the number of the group's first thunk; `1f` is the end of the group.
pub fn block(comptime thunk: []const u8, comptime end: []const u8) []const u8 {
    return std.fmt.comptimePrint(
        \\.p2align 6
        \\{s}belay_thunks:
        \\{s}
        \\.set belay_group, 0
        \\.rept {d}
        \\.set belay_in_group, 0
        \\.rept {d}
        \\{s}.set belay_in_group, belay_in_group + 1
        \\.endr
        \\1:
        \\{s}.set belay_group, belay_group + {d}
        \\.endr
        \\{s}
        \\
    , .{ prefix, unwinding[0], abi.thunk_block_length / group_length, group_length, thunk, end, group_length, unwinding[1] });
}

/// Nothing is pushed in a thunk. On Windows such code has nothing to say.
const unwinding = if (builtin.os.tag == .windows) .{ "", "" } else .{ ".cfi_startproc", ".cfi_endproc" };

pub const prefix = assembly.prefix;
pub const declare = assembly.declare;

/// Where in a page the library's own slots begin. A load waits for a store before it that has the same place in another page, as far
/// as processors look at first. So what each callback loads and stores has places of its own: an isolate's record begins with a
/// page, a stack's record is at a page's end, and in between are the slots that are used first.
pub const slots_place = 0x500;
