//! Going from one stack of a thread to another: what a call has to preserve is saved on the one, and loaded from the
//! other. The assembly is in the architectures' files.

const std = @import("std");
const builtin = @import("builtin");
const isolates = @import("../isolate.zig");

const arch = switch (builtin.cpu.arch) {
    .x86_64 => if (builtin.os.tag == .windows) @import("x86_64_windows.zig") else @import("x86_64_sysv.zig"),
    .aarch64 => if (builtin.os.tag == .windows) struct {} else @import("aarch64.zig"),
    else => struct {},
};

/// Whether there is a way for this processor and system.
pub const is_known = @hasDecl(arch, "frame_words");

/// Whether the thunks switch by themselves, and JavaScript's calls, `belay_stack_start` and `belay_stack_go_on`, do.
pub const has_jumps = is_known and @hasDecl(arch, "has_jumps");

/// Leaves this stack, whose pointer goes to `from`, for the one at `to`. There the call that left it answers `value`. This
/// one answers when somebody comes back.
pub fn go(from: *usize, to: usize, value: usize) usize {
    if (!is_known or has_jumps) unreachable;
    const leave = @extern(*const fn (*usize, usize, usize) callconv(.c) usize, .{ .name = "belay_switch", .visibility = .hidden });
    return leave(from, to, value);
}

/// Prepares a stack, so that the first one to come calls `belay_stack_body` with the value. Answers its pointer.
pub fn prepare(memory: []align(16) u8) usize {
    if (!is_known) unreachable;
    const entry = @extern(*const anyopaque, .{ .name = "belay_stack_entry", .visibility = .hidden });
    return arch.prepare(memory, @intFromPtr(entry));
}

/// The pointer of a stack that has been prepared, and has no call.
pub fn restingPointer(stack: *const isolates.OwnStack) usize {
    return if (has_jumps) arch.restingPointer(stack) else unreachable;
}

/// What JavaScript has for control words, where the thunks put them back.
pub fn controlWords() u64 {
    return if (has_jumps) arch.controlWords() else 0;
}

/// Whether the processor keeps a second stack of return addresses for this thread, which nothing here switches.
pub fn hasShadowStack() bool {
    return is_known and arch.hasShadowStack();
}

comptime {
    if (is_known) _ = arch;
}
