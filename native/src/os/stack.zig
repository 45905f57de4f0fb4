//! Where a thread's stack is. A JavaScript engine aborts when it is entered on any other: a coroutine's, a signal's.

const std = @import("std");
const builtin = @import("builtin");
const threads = @import("threads.zig");
const weak = @import("weak.zig");

const Attributes = threads.Attributes;

const linux = struct {
    extern "c" fn pthread_getattr_np(thread: std.c.pthread_t, attributes: *Attributes) callconv(.c) c_int;
};

const posix = struct {
    extern "c" fn pthread_attr_getstack(attributes: *const Attributes, low: *usize, byte_length: *usize) callconv(.c) c_int;
};

const glibc = struct {
    /// Where the main thread's stack began, from glibc's loader; null with another C library.
    fn stackEnd() ?usize {
        const end = weak.address("__libc_stack_end");
        return if (end == 0) null else @as(*const usize, @ptrFromInt(end)).*;
    }
};

const freebsd = struct {
    extern "c" fn pthread_attr_get_np(thread: std.c.pthread_t, attributes: *Attributes) callconv(.c) c_int;
};

const darwin = struct {
    extern "c" fn pthread_get_stackaddr_np(thread: std.c.pthread_t) usize;
    extern "c" fn pthread_get_stacksize_np(thread: std.c.pthread_t) usize;
};

const windows = struct {
    extern "kernel32" fn GetCurrentThreadStackLimits(low: *usize, top: *usize) callconv(.c) void;
};

/// From `low` up to, not including, `top`.
pub const Stack = struct {
    low: usize = 0,
    top: usize = std.math.maxInt(usize),

    /// The calling thread's; all of memory when it can't be told.
    pub fn ofThisThread() Stack {
        switch (builtin.os.tag) {
            .windows => {
                var stack: Stack = undefined;
                windows.GetCurrentThreadStackLimits(&stack.low, &stack.top);
                return stack;
            },
            .macos => {
                const thread = std.c.pthread_self();
                const top = darwin.pthread_get_stackaddr_np(thread);
                return .{ .low = top - darwin.pthread_get_stacksize_np(thread), .top = top };
            },
            .freebsd => {
                var attributes: Attributes = .{};
                if (!attributes.init()) return .{};
                defer attributes.destroy();
                if (freebsd.pthread_attr_get_np(std.c.pthread_self(), &attributes) != 0) return .{};
                return ofAttributes(&attributes);
            },
            else => return ofLinuxThread(),
        }
    }

    pub fn contains(stack: Stack, address: usize) bool {
        return address >= stack.low and address < stack.top;
    }

    fn ofLinuxThread() Stack {
        const main_thread = std.os.linux.gettid() == std.os.linux.getpid();
        // Asking for the main thread's attributes reads all of /proc/self/maps, a quarter of a millisecond in a
        // runtime.
        if (main_thread) {
            if (glibc.stackEnd()) |end| return mainStack(end);
        }
        var attributes: Attributes = .{};
        if (linux.pthread_getattr_np(std.c.pthread_self(), &attributes) != 0) return .{};
        defer attributes.destroy();
        const stack = ofAttributes(&attributes);
        // musl tells of the main thread's what has grown already.
        return if (main_thread) .{ .low = @min(stack.low, mainStack(stack.top).low), .top = stack.top } else stack;
    }

    fn ofAttributes(attributes: *const Attributes) Stack {
        var low: usize = undefined;
        var byte_length: usize = undefined;
        if (posix.pthread_attr_getstack(attributes, &low, &byte_length) != 0) return .{};
        return .{ .low = low, .top = low + byte_length };
    }

    /// The main thread's stack grows as far as its limit.
    fn mainStack(top: usize) Stack {
        const limit = std.posix.getrlimit(.STACK) catch return .{ .low = top -| default_limit, .top = top };
        return .{ .low = top - @min(top, if (limit.cur == unlimited) default_limit else limit.cur), .top = top };
    }

    const unlimited = std.math.maxInt(@FieldType(std.posix.rlimit, "cur"));
    const default_limit = 8 * 1024 * 1024;
};

test "a local variable is on the thread's stack, one of another thread and a global one are not" {
    const Other = struct {
        var global: u8 = 0;
        fn run(stack: Stack) void {
            var local: u8 = 0;
            std.testing.expect(!stack.contains(@intFromPtr(&local))) catch unreachable;
            std.testing.expect(Stack.ofThisThread().contains(@intFromPtr(&local))) catch unreachable;
        }
    };
    var local: u8 = 0;
    const stack: Stack = .ofThisThread();
    try std.testing.expect(stack.contains(@intFromPtr(&local)));
    try std.testing.expect(!stack.contains(@intFromPtr(&Other.global)));
    try std.testing.expect(stack.top - stack.low >= 64 * 1024);
    const thread = try std.Thread.spawn(.{}, Other.run, .{stack});
    thread.join();
}
