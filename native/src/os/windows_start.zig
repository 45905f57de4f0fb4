//! What a DLL has of its own: the entry point, and the directory by which the system makes what is local to threads
//! ("The .tls Section" of Microsoft's PE format). Zig's own would be exported.

const std = @import("std");

/// Zig brings no entry point where there is this one.
pub const _DllMainCRTStartup = start;

fn start(_: *anyopaque, _: u32, _: ?*anyopaque) callconv(.winapi) c_int {
    return 1;
}

/// The system writes here which of a thread's blocks is this library's.
var index: u32 = 0;
/// The linker puts all that is local to threads between these two.
var first: usize linksection(".tls") = 0;
var last: usize linksection(".tls$ZZZ") = 0;
/// An empty list of functions to call.
const no_callbacks: usize = 0;

const Directory = extern struct {
    first: *usize,
    last: *usize,
    index: *u32,
    callbacks: *const usize,
    zero_byte_length: u32 = 0,
    characteristics: u32 = 0,
};
const directory: Directory linksection(".rdata$T") = .{
    .first = &first,
    .last = &last,
    .index = &index,
    .callbacks = &no_callbacks,
};

comptime {
    // The names that the linker and the compiled code look for.
    @export(&start, .{ .name = "_DllMainCRTStartup", .visibility = .hidden });
    @export(&index, .{ .name = "_tls_index", .visibility = .hidden });
    @export(&directory, .{ .name = "_tls_used", .visibility = .hidden });
    std.debug.assert(@sizeOf(Directory) == 40);
}
