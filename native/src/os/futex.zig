//! Waiting for a word to change, and what is made of it.

const std = @import("std");
const builtin = @import("builtin");
const fork = @import("fork.zig");

pub const Word = std.atomic.Value(u32);

const darwin = struct {
    extern "c" fn __ulock_wait(operation: u32, address: *const anyopaque, expected: u64, timeout_us: u32) c_int;
    extern "c" fn __ulock_wake(operation: u32, address: *const anyopaque, value: u64) c_int;
    const compare_and_wait = 1;
    const no_errno = 0x01000000;
    const wake_all = 0x00000100;
};

const freebsd = struct {
    extern "c" fn _umtx_op(address: *const anyopaque, operation: c_int, value: c_ulong, byte_length: usize, timeout: ?*const std.c.timespec) c_int;
    const wait_private = 15;
    const wake_private = 16;
};

const windows = struct {
    extern "ntdll" fn RtlWaitOnAddress(address: *const anyopaque, expected: *const u32, byte_length: usize, timeout: ?*const i64) callconv(.c) i32;
    extern "ntdll" fn RtlWakeAddressAll(address: *const anyopaque) callconv(.c) void;
    extern "kernel32" fn QueryPerformanceCounter(count: *i64) callconv(.c) c_int;
    extern "kernel32" fn QueryPerformanceFrequency(count: *i64) callconv(.c) c_int;
};

/// Sleeps while the word is as expected, at most so long. It may return for no reason.
pub noinline fn wait(word: *const Word, expected: u32, timeout_ns: u64) void {
    if (timeout_ns == 0) return;
    switch (builtin.os.tag) {
        .windows => {
            // In units of 100 ns; negative ones are from now.
            const timeout = -@as(i64, @intCast(@max(1, timeout_ns / 100)));
            _ = windows.RtlWaitOnAddress(word, &expected, 4, &timeout);
        },
        .macos => {
            const timeout_us: u32 = @intCast(std.math.clamp(timeout_ns / 1000, 1, std.math.maxInt(u32)));
            _ = darwin.__ulock_wait(darwin.compare_and_wait | darwin.no_errno, word, expected, timeout_us);
        },
        .freebsd => {
            const timeout = timespec(std.c.timespec, timeout_ns);
            _ = freebsd._umtx_op(word, freebsd.wait_private, expected, @sizeOf(std.c.timespec), &timeout);
        },
        else => {
            const timeout = timespec(std.os.linux.timespec, timeout_ns);
            _ = std.os.linux.futex_4arg(word, .{ .cmd = .WAIT, .private = true }, expected, &timeout);
        },
    }
}

fn timespec(comptime Timespec: type, ns: u64) Timespec {
    return .{ .sec = @intCast(ns / std.time.ns_per_s), .nsec = @intCast(ns % std.time.ns_per_s) };
}

/// Wakes every thread that sleeps on the word.
pub noinline fn wakeAll(word: *const Word) void {
    switch (builtin.os.tag) {
        .windows => windows.RtlWakeAddressAll(word),
        .macos => _ = darwin.__ulock_wake(darwin.compare_and_wait | darwin.no_errno | darwin.wake_all, word, 0),
        .freebsd => _ = freebsd._umtx_op(word, freebsd.wake_private, std.math.maxInt(c_int), 0, null),
        else => _ = std.os.linux.futex_3arg(word, .{ .cmd = .WAKE, .private = true }, std.math.maxInt(i32)),
    }
}

/// Nanoseconds of a clock that only goes forward.
pub noinline fn now() u64 {
    if (builtin.os.tag == .windows) {
        var count: i64 = undefined;
        var frequency: i64 = undefined;
        _ = windows.QueryPerformanceCounter(&count);
        _ = windows.QueryPerformanceFrequency(&frequency);
        return inNanoseconds(@intCast(count), @intCast(frequency));
    }
    var time: std.c.timespec = undefined;
    _ = std.c.clock_gettime(.MONOTONIC, &time);
    return @as(u64, @intCast(time.sec)) * std.time.ns_per_s + @as(u64, @intCast(time.nsec));
}

/// Whole seconds and the rest are converted one by one: their product would have more than 64 bits within minutes.
fn inNanoseconds(count: u64, frequency: u64) u64 {
    return count / frequency * std.time.ns_per_s + count % frequency * std.time.ns_per_s / frequency;
}

test "a counter's time in nanoseconds" {
    try std.testing.expectEqual(@as(u64, 0), inNanoseconds(0, 10_000_000));
    try std.testing.expectEqual(@as(u64, 300), inNanoseconds(3, 10_000_000));
    const year_s = 365 * 24 * 3600;
    try std.testing.expectEqual(@as(u64, year_s * std.time.ns_per_s + 100), inNanoseconds(year_s * 10_000_000 + 1, 10_000_000));
    try std.testing.expectEqual(@as(u64, year_s * std.time.ns_per_s), inNanoseconds(year_s * 3_579_545, 3_579_545));
}

/// A lock that is held for moments only, but by threads that the system may put aside meanwhile.
pub const Mutex = struct {
    state: Word = .init(free),

    const free = 0;
    const held = 1;
    const contended = 2;

    pub noinline fn acquire(mutex: *Mutex) void {
        if (mutex.state.cmpxchgStrong(free, held, .acquire, .monotonic) != null) mutex.await_();
    }

    fn await_(mutex: *Mutex) void {
        while (mutex.state.swap(contended, .acquire) != free) {
            // The thread that held it at the fork is not here to release it.
            if (fork.isChild()) return;
            wait(&mutex.state, contended, std.time.ns_per_s);
        }
    }

    pub noinline fn release(mutex: *Mutex) void {
        if (mutex.state.swap(free, .release) == contended) wakeAll(&mutex.state);
    }

    /// For what is only called while it is held. Checked where safety is on.
    pub fn assertHeld(mutex: *const Mutex) void {
        if (std.debug.runtime_safety) std.debug.assert(mutex.state.load(.monotonic) != free);
    }
};

test "a wait ends when the word changes, when it differs already, and when its time is over" {
    var word: Word = .init(0);
    wait(&word, 1, std.time.ns_per_s);
    const start = now();
    wait(&word, 0, 20 * std.time.ns_per_ms);
    try std.testing.expect(now() - start >= 10 * std.time.ns_per_ms);
    const Waker = struct {
        fn run(target: *Word) void {
            target.store(1, .release);
            wakeAll(target);
        }
    };
    const thread = try std.Thread.spawn(.{}, Waker.run, .{&word});
    while (word.load(.acquire) == 0) wait(&word, 0, std.time.ns_per_s);
    thread.join();
}

test "a mutex lets one thread in at a time" {
    const Counter = struct {
        var mutex: Mutex = .{};
        var count: u32 = 0;
        fn run() void {
            for (0..20_000) |_| {
                mutex.acquire();
                defer mutex.release();
                count += 1;
            }
        }
    };
    var threads: [4]std.Thread = undefined;
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, Counter.run, .{});
    for (threads) |thread| thread.join();
    try std.testing.expectEqual(@as(u32, 80_000), Counter.count);
}
