//! Says where C may wait for ever. A call that has called back and waits for a promise may hold a lock; another call on the same
//! thread that wants it never returns, so that JavaScript can't settle the promise, nor report anything. A thread looks every few
//! seconds, as long as calls wait for promises, whether JavaScript's is in one and the same call of C.

const std = @import("std");
const builtin = @import("builtin");
const futex = @import("../os/futex.zig");
const isolates = @import("../isolate.zig");
const libraries = @import("../library.zig");
const threads = @import("../os/threads.zig");
const Isolate = isolates.Isolate;

/// How long a call takes that is told of.
const longest_ns = 10 * std.time.ns_per_s;
const period_ns = std.time.ns_per_s;
/// So many looks without a call that waits, and the thread ends.
const most_idle = 30;
const stack_byte_length = 256 << 10;

/// Watches an isolate, on whose thread this is called, until no call has waited for a while. `watched` says so.
pub fn begin(isolate: *Isolate) void {
    isolate.assertOwnThread();
    @atomicStore(u32, &isolate.words.watched, 1, .seq_cst);
    if (!threads.spawn(run, isolate, stack_byte_length)) @atomicStore(u32, &isolate.words.watched, 0, .seq_cst);
}

fn run(argument: ?*anyopaque) void {
    const isolate: *Isolate = @ptrCast(@alignCast(argument.?));
    const words = &isolate.words;
    const nothing: futex.Word = .init(0);
    var idle: u32 = 0;
    var seen: u32 = 0;
    var since_ns: u64 = 0;
    var is_told = false;
    while (words.isLive() and idle < most_idle) {
        futex.wait(&nothing, 0, period_ns);
        const waiting = @atomicLoad(u32, &words.suspended, .monotonic);
        const native_call = words.nativeCall();
        idle = if (waiting == 0) idle + 1 else 0;
        if (waiting == 0 or native_call == 0 or native_call != seen) {
            seen = if (waiting == 0) 0 else native_call;
            since_ns = futex.now();
            is_told = false;
        } else if (!is_told and futex.now() - since_ns >= longest_ns) {
            is_told = true;
            tell(isolate);
        }
    }
    @atomicStore(u32, &words.watched, 0, .seq_cst);
}

noinline fn tell(isolate: *Isolate) void {
    var text: Text = .{};
    text.add("belay: a call of C has not returned for 10 s. On its thread these wait for promises");
    addNames(&text, isolate);
    text.add(". Do they hold what it wants?\n");
    text.write();
}

/// The symbols of functions that have a stack of their own, as far as they have any.
fn addNames(text: *Text, isolate: *Isolate) void {
    const blocks = isolate.calls.blocks.load(.acquire) orelse return;
    var count: u32 = 0;
    for (blocks[0..isolate.calls.used]) |*call| {
        if (count == 4) return;
        if (@atomicLoad(u64, &call.stack, .monotonic) == 0 or call.suspends == 0) continue;
        const name = libraries.functionName(call.frame.function orelse continue) orelse continue;
        text.add(if (count == 0) ": " else ", ");
        text.add(name);
        count += 1;
    }
}

/// Changes when the process isn't to end by itself any more; and when it is to, otherwise.
var ending: futex.Word = .init(0);
var ending_ns: u64 = 0;

/// Has the process end after a while, whatever its threads do, unless this is called again before.
pub fn endProcess(code: u32, duration_ms: u32) void {
    if (duration_ms != 0) @atomicStore(u64, &ending_ns, futex.now() + @as(u64, duration_ms) * std.time.ns_per_ms, .monotonic);
    const number = ending.fetchAdd(1, .seq_cst) +% 1;
    futex.wakeAll(&ending);
    if (duration_ms == 0) return;
    // The thread may start when this is over already.
    const packed_ending: usize = @intCast(@as(u64, code) << 32 | number);
    _ = threads.spawn(endLate, @ptrFromInt(packed_ending), stack_byte_length);
}

fn endLate(argument: ?*anyopaque) void {
    const wanted: u64 = @intFromPtr(argument);
    const number: u32 = @truncate(wanted);
    while (ending.load(.seq_cst) == number) {
        const end_ns = @atomicLoad(u64, &ending_ns, .monotonic);
        const now = futex.now();
        if (now >= end_ns) break;
        futex.wait(&ending, number, end_ns - now);
    } else return;
    var text: Text = .{};
    text.add("belay: C has not returned at the program's end, which goes on without it\n");
    text.write();
    const code: u32 = @intCast(wanted >> 32);
    if (builtin.os.tag == .windows) _ = windows.TerminateProcess(windows.current_process, code) else posix._exit(@bitCast(code));
}

const posix = struct {
    extern "c" fn _exit(code: c_int) callconv(.c) noreturn;
    extern "c" fn write(file: c_int, bytes: [*]const u8, length: usize) callconv(.c) isize;
};

const windows = struct {
    const current_process: *anyopaque = @ptrFromInt(std.math.maxInt(usize));
    extern "kernel32" fn TerminateProcess(process: *anyopaque, code: u32) callconv(.c) c_int;
    const standard_error: u32 = @bitCast(@as(i32, -12));
    extern "kernel32" fn GetStdHandle(number: u32) callconv(.c) ?*anyopaque;
    extern "kernel32" fn WriteFile(file: ?*anyopaque, bytes: [*]const u8, length: u32, written: *u32, overlapped: ?*anyopaque) callconv(.c) c_int;
};

/// What is told, in one piece, cut where there is no more room.
const Text = struct {
    bytes: [384]u8 = undefined,
    length: usize = 0,

    noinline fn add(text: *Text, more: []const u8) void {
        const count = @min(more.len, text.bytes.len - text.length);
        @memcpy(text.bytes[text.length..][0..count], more[0..count]);
        text.length += count;
    }

    noinline fn write(text: *const Text) void {
        if (builtin.os.tag == .windows) {
            var written: u32 = 0;
            _ = windows.WriteFile(windows.GetStdHandle(windows.standard_error), &text.bytes, @intCast(text.length), &written, null);
        } else {
            _ = posix.write(2, &text.bytes, text.length);
        }
    }
};

test "a process that was to end goes on, though the thread that would end it starts late" {
    for (0..50) |_| {
        endProcess(9, 2000);
        endProcess(0, 0);
    }
    const nothing: futex.Word = .init(0);
    const end_ns = futex.now() + 2500 * std.time.ns_per_ms;
    while (futex.now() < end_ns) futex.wait(&nothing, 0, end_ns -| futex.now());
}
