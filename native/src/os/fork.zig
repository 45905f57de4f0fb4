//! C may fork. The child has the one thread that forked: none of the engine's others, so JavaScript can't run there,
//! and none of those that held a lock just then. In the child every isolate counts as gone, and locks let everybody in.

const std = @import("std");
const builtin = @import("builtin");
const weak = @import("weak.zig");

var child: std.atomic.Value(bool) = .init(false);

/// Whether this process was forked from one that had isolates.
pub fn isChild() bool {
    return child.load(.monotonic);
}

const Handler = ?*const fn () callconv(.c) void;
const glibc = struct {
    /// What `pthread_atfork` is in programs that link it statically; as a symbol of the shared library that is for old
    /// programs, and not on every processor. Without a library to go with, a handler stays for good, as the core does.
    const Register = fn (before: Handler, parent: Handler, in_child: Handler, library: ?*anyopaque) callconv(.c) c_int;
};

/// glibc's shared library lacks it where no old program can have it.
const Atfork = fn (before: Handler, parent: Handler, in_child: Handler) callconv(.c) c_int;

fn register(comptime in_child: fn () callconv(.c) void) bool {
    if (builtin.os.tag != .linux) return std.c.pthread_atfork(null, null, in_child) == 0;
    if (weak.function(glibc.Register, "__register_atfork")) |call| return call(null, null, in_child, null) == 0;
    const atfork = weak.function(Atfork, "pthread_atfork") orelse return false;
    return atfork(null, null, in_child) == 0;
}

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
    watched = register(begin);
}
