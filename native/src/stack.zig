//! Where a thread's stack is. A JavaScript engine aborts when it is entered on any other: a coroutine's, a signal's.

const std = @import("std");
const builtin = @import("builtin");

const linux = struct {
    extern "c" fn pthread_getattr_np(thread: std.c.pthread_t, attributes: *std.c.pthread_attr_t) c_int;
    extern "c" fn pthread_attr_getstack(attributes: *const std.c.pthread_attr_t, low: *usize, byte_length: *usize) c_int;
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
            else => return ofLinuxThread(),
        }
    }

    pub fn contains(stack: Stack, address: usize) bool {
        return address >= stack.low and address < stack.top;
    }

    fn ofLinuxThread() Stack {
        var attributes: std.c.pthread_attr_t = undefined;
        if (linux.pthread_getattr_np(std.c.pthread_self(), &attributes) != 0) return .{};
        defer _ = std.c.pthread_attr_destroy(&attributes);
        var low: usize = undefined;
        var byte_length: usize = undefined;
        if (linux.pthread_attr_getstack(&attributes, &low, &byte_length) != 0) return .{};
        const top = low + byte_length;
        // The main thread's stack grows as far as its limit; musl tells what has grown already.
        const limit = std.posix.getrlimit(.STACK) catch return .{ .low = low, .top = top };
        const main_thread = std.os.linux.gettid() == std.os.linux.getpid();
        if (main_thread and limit.cur < top) low = @min(low, top - limit.cur);
        return .{ .low = low, .top = top };
    }
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
