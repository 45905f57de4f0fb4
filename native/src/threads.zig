//! Threads of the core's own. The standard library's bring a signal stack into the thread-local storage of every thread
//! that calls into this library, a quarter of a megabyte each.

const std = @import("std");
const builtin = @import("builtin");
const linux = std.os.linux;

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
    var attributes: std.c.pthread_attr_t = undefined;
    if (std.c.pthread_attr_init(&attributes) != .SUCCESS) return false;
    defer _ = std.c.pthread_attr_destroy(&attributes);
    _ = std.c.pthread_attr_setstacksize(&attributes, stack_byte_length);
    var thread: std.c.pthread_t = undefined;
    if (std.c.pthread_create(&thread, &attributes, start, argument) != .SUCCESS) return false;
    _ = std.c.pthread_detach(thread);
    return true;
}

/// Time slices, of Linux 6.12 and later. The thread that other threads wake asks for short ones: its share of the processor
/// stays, but it gets it sooner. Otherwise Linux lets a thread that wakes it on its own processor go on until it sleeps.
const slices = struct {
    const ordinary = 0;
    /// What the thread starts gets slices as long as usual.
    const reset_on_fork = 1;
    /// Less than the kernel's own, which are 0.7 ms and more, with the number of processors.
    const short_ns = 500 * std.time.ns_per_us;

    const this_thread = 0;

    fn get() ?linux.sched_attr {
        var attributes: linux.sched_attr = .{};
        const result = linux.sched_getattr(this_thread, &attributes, attributes.size, 0);
        return if (linux.errno(result) == .SUCCESS) attributes else null;
    }
};

/// Has the thread that calls this run soon after it was woken, where the system can. A thread whose scheduling somebody has
/// chosen keeps it: a negative niceness, say, would no longer go to what it starts.
pub fn preferShortSlices() void {
    if (builtin.os.tag != .linux) return;
    const now = slices.get() orelse return;
    // Kernels that know no slices say 0.
    const nice: i32 = @bitCast(now.nice);
    if (now.policy != slices.ordinary or nice < 0 or now.runtime <= slices.short_ns) return;
    const wanted: linux.sched_attr = .{ .flags = slices.reset_on_fork, .nice = now.nice, .runtime = slices.short_ns };
    _ = linux.sched_setattr(slices.this_thread, &wanted, 0);
}

test "a thread has short slices, and what it starts has usual ones" {
    if (builtin.os.tag != .linux) return error.SkipZigTest;
    const futex = @import("futex.zig");
    const Probe = struct {
        var done: futex.Word = .init(0);
        var usual_ns: u64 = 0;
        var short_ns: u64 = 0;
        var child_ns: u64 = 0;
        fn sliceNs() u64 {
            return if (slices.get()) |attributes| attributes.runtime else 0;
        }
        fn parent(_: ?*anyopaque) void {
            usual_ns = sliceNs();
            preferShortSlices();
            short_ns = sliceNs();
            if (!spawn(child, null, 1024 * 1024)) child(null);
        }
        fn child(_: ?*anyopaque) void {
            child_ns = sliceNs();
            done.store(1, .release);
            futex.wakeAll(&done);
        }
    };
    try std.testing.expect(spawn(Probe.parent, null, 1024 * 1024));
    while (Probe.done.load(.acquire) == 0) futex.wait(&Probe.done, 0, std.time.ns_per_s);
    // An older kernel, or an emulator.
    if (Probe.usual_ns == 0) return error.SkipZigTest;
    try std.testing.expectEqual(slices.short_ns, Probe.short_ns);
    try std.testing.expectEqual(Probe.usual_ns, Probe.child_ns);
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
