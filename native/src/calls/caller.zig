//! The generic caller, the dispatcher's mirror image: makes any C call from a block of words. The assembly is in the
//! architectures' files.

const std = @import("std");
const builtin = @import("builtin");
const abi = @import("../abi.zig");
const Frame = abi.Frame;

/// Makes the call. What it throws through C or unwinds is undefined.
pub fn make(frame: *Frame) void {
    const call = @extern(*const fn (*Frame) callconv(.c) void, .{ .name = "belay_make_call", .visibility = .hidden });
    call(frame);
}

const windows = struct {
    extern "kernel32" fn SetLastError(code: u32) callconv(.c) void;
    extern "kernel32" fn GetLastError() callconv(.c) u32;
};

/// This thread's errno; on Windows, its last error.
pub fn lastError() u32 {
    return if (builtin.os.tag == .windows) windows.GetLastError() else @bitCast(std.c._errno().*);
}

pub fn setLastError(code: u32) void {
    if (builtin.os.tag == .windows) windows.SetLastError(code) else std.c._errno().* = @bitCast(code);
}

/// Where this thread's errno is. Windows' last error has functions.
pub fn errorPlace() *u32 {
    return if (builtin.os.tag == .windows) undefined else @ptrCast(std.c._errno());
}

/// Makes the call with no error set, and answers the one that it sets.
pub fn makeCapturing(frame: *Frame) u32 {
    setLastError(0);
    make(frame);
    return lastError();
}

comptime {
    // The assembly has these as numbers.
    std.debug.assert(@offsetOf(Frame, "function") == 1152 and @offsetOf(Frame, "stack_words") == 1160);
    std.debug.assert(@offsetOf(Frame, "indirect_result") == 1168 and @offsetOf(Frame, "integer_results") == 1176);
    std.debug.assert(@offsetOf(Frame, "float_results") == 1192);
}
