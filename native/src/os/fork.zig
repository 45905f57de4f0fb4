//! C may fork. The child has the one thread that forked: none of the engine's others, so JavaScript can't run there,
//! and none of those that held a lock just then. In the child every isolate counts as gone, and locks let everybody in.

const std = @import("std");
const builtin = @import("builtin");

var child: std.atomic.Value(bool) = .init(false);

/// Whether this process was forked from one that had isolates.
pub fn isChild() bool {
    return child.load(.monotonic);
}

const Handler = ?*const fn () callconv(.c) void;
const glibc = struct {
    /// What `pthread_atfork` is in programs that link it statically; as a symbol of the shared library that is for old
    /// programs, and not on every processor. Without a library to go with, a handler stays for good, as the core does.
    extern "c" fn __register_atfork(before: Handler, parent: Handler, in_child: Handler, library: ?*anyopaque) c_int;
    const present = builtin.os.tag == .linux and builtin.abi.isGnu();
};

const exists = builtin.os.tag != .windows;
var watched = false;

/// Has `inChild` called in every child that is forked from now on. The first caller's stays; one thread at a time asks.
/// `vfork` and `posix_spawn` call nothing: until it executes another program, their child shares the parent's memory.
pub fn watch(comptime inChild: fn () void) void {
    if (!exists) return;
    const begin = struct {
        fn begin() callconv(.c) void {
            child.store(true, .monotonic);
            inChild();
        }
    }.begin;
    if (watched) return;
    watched = 0 == if (glibc.present) glibc.__register_atfork(null, null, begin, null) else std.c.pthread_atfork(null, null, begin);
}
