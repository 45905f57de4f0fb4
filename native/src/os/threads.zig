//! Threads of the core's own. The standard library's bring a signal stack into the thread-local storage of every thread
//! that calls into this library, a quarter of a megabyte each.

const std = @import("std");
const builtin = @import("builtin");

/// C's `pthread_attr_t`, with space for that of any C library: on Linux one core runs with several.
pub const Attributes = extern struct {
    words: [16]u64 align(16) = @splat(0),

    pub fn init(attributes: *Attributes) bool {
        return posix.pthread_attr_init(attributes) == 0;
    }

    pub fn destroy(attributes: *Attributes) void {
        _ = posix.pthread_attr_destroy(attributes);
    }
};

const posix = struct {
    const Start = fn (?*anyopaque) callconv(.c) ?*anyopaque;
    extern "c" fn pthread_attr_init(attributes: *Attributes) callconv(.c) c_int;
    extern "c" fn pthread_attr_destroy(attributes: *Attributes) callconv(.c) c_int;
    extern "c" fn pthread_attr_setstacksize(attributes: *Attributes, byte_length: usize) callconv(.c) c_int;
    extern "c" fn pthread_create(thread: *std.c.pthread_t, attributes: *const Attributes, start: *const Start, argument: ?*anyopaque) callconv(.c) c_int;
};

pub const Main = fn (argument: ?*anyopaque) void;

const windows = struct {
    extern "kernel32" fn CreateThread(attributes: ?*anyopaque, stack_size: usize, start: *const fn (?*anyopaque) callconv(.c) u32, argument: ?*anyopaque, flags: u32, id: ?*u32) callconv(.c) ?*anyopaque;
    extern "kernel32" fn CloseHandle(handle: *anyopaque) callconv(.c) c_int;
    const stack_size_is_a_reservation = 0x10000;
};

/// Starts a thread that nobody joins; answers whether it could.
pub fn spawn(comptime main: Main, argument: ?*anyopaque, stack_byte_length: usize) bool {
    if (builtin.os.tag == .windows) {
        const start = struct {
            fn start(given: ?*anyopaque) callconv(.c) u32 {
                main(given);
                return 0;
            }
        }.start;
        const handle = windows.CreateThread(null, stack_byte_length, start, argument, windows.stack_size_is_a_reservation, null);
        _ = windows.CloseHandle(handle orelse return false);
        return true;
    }
    const start = struct {
        fn start(given: ?*anyopaque) callconv(.c) ?*anyopaque {
            main(given);
            return null;
        }
    }.start;
    var attributes: Attributes = .{};
    if (!attributes.init()) return false;
    defer attributes.destroy();
    _ = posix.pthread_attr_setstacksize(&attributes, stack_byte_length);
    var thread: std.c.pthread_t = undefined;
    if (posix.pthread_create(&thread, &attributes, start, argument) != 0) return false;
    _ = std.c.pthread_detach(thread);
    return true;
}

test "a spawned thread runs" {
    const futex = @import("futex.zig");
    const Probe = struct {
        var ran: futex.Word = .init(0);
        fn run(argument: ?*anyopaque) void {
            ran.store(@intFromBool(argument == @as(?*anyopaque, &ran)), .release);
            futex.wakeAll(&ran);
        }
    };
    try std.testing.expect(spawn(Probe.run, &Probe.ran, 1024 * 1024));
    while (Probe.ran.load(.acquire) == 0) futex.wait(&Probe.ran, 0, std.time.ns_per_s);
}
