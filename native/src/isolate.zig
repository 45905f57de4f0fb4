//! An isolate is one JavaScript world on one thread: the main thread's or a worker's. Its record is never freed, so that
//! a thunk that C still holds can always ask who owned it.

const std = @import("std");
const builtin = @import("builtin");
const Lock = @import("lock.zig").Lock;

/// The words that an isolate shares with its JavaScript, which maps them as typed arrays. `belay.h` says the same.
pub const Words = extern struct {
    /// What the running callback was called with: 8 integer registers, 8 float registers, then stack words.
    arguments: [argument_words]u64 = @splat(0),
    /// What it answers, as the bits of the result register.
    result: u64 = 0,
    /// The number of the thunk that was called.
    thunk: u32 = 0,
    /// This isolate's registry tag, 1 to 255.
    tag: u32 = 0,
    /// The first generation that its registry may issue; written back by it: the highest that it issued.
    generation: u32 = 0,
    /// Calls to this isolate's thunks that did not come from its thread, or came when it was gone.
    foreign_calls: u32 = 0,
};

pub const register_words = 16;
pub const stack_words = 48;
pub const argument_words = register_words + stack_words;
pub const tag_count = 256;
/// Ids have 22 bits for the generation (`ffi/handle.ts`).
pub const generation_count = 1 << 22;

pub const Isolate = struct {
    words: Words = .{},
    /// The runtime's one callback of this isolate, without parameters or result.
    trampoline: ?*const fn () callconv(.c) void = null,
    live: std.atomic.Value(bool) = .init(true),
};

/// The isolate that lives on this thread now, or null. Zero on every new thread, whatever its thread pointer.
pub threadlocal var current: ?*Isolate = null;

var lock: Lock = .{};
var tags: [tag_count]struct { used: bool = false, generation: u32 = 0 } = @splat(.{});

/// Gives this thread a new isolate. One that it still had is gone by now: runtimes start a new isolate on the thread of
/// an old one (test files, watch modes) without a word to native code.
pub fn attach(allocator: std.mem.Allocator) ?*Isolate {
    if (current) |previous| leave(previous);
    current = null;
    const isolate = allocator.create(Isolate) catch return null;
    isolate.* = .{};
    if (!claimTag(&isolate.words)) {
        allocator.destroy(isolate);
        return null;
    }
    current = isolate;
    onThreadExit(isolate);
    return isolate;
}

/// Marks an isolate as gone: its tag may be used again, with generations that it has not issued.
pub fn leave(isolate: *Isolate) void {
    lock.acquire();
    defer lock.release();
    if (!isolate.live.load(.acquire)) return;
    isolate.live.store(false, .release);
    const tag = &tags[isolate.words.tag];
    tag.generation = isolate.words.generation + 1;
    tag.used = false;
}

fn claimTag(words: *Words) bool {
    lock.acquire();
    defer lock.release();
    for (tags[1..], 1..) |*tag, number| {
        if (tag.used or tag.generation >= generation_count) continue;
        tag.used = true;
        words.tag = @intCast(number);
        words.generation = tag.generation;
        return true;
    }
    return false;
}

fn threadExit(pointer: ?*anyopaque) callconv(.c) void {
    const isolate: *Isolate = @ptrCast(@alignCast(pointer orelse return));
    leave(isolate);
    if (current == isolate) current = null;
}

const windows = struct {
    extern "kernel32" fn FlsAlloc(callback: *const fn (?*anyopaque) callconv(.c) void) callconv(.c) u32;
    extern "kernel32" fn FlsSetValue(index: u32, value: ?*anyopaque) callconv(.c) c_int;
};

const ExitKey = if (builtin.os.tag == .windows) u32 else std.c.pthread_key_t;
var exit_key: ?ExitKey = null;

/// The last resort: the destructor runs when the thread ends, after its isolate is gone.
fn onThreadExit(isolate: *Isolate) void {
    lock.acquire();
    defer lock.release();
    if (exit_key == null) {
        if (builtin.os.tag == .windows) {
            exit_key = windows.FlsAlloc(threadExit);
        } else {
            var key: std.c.pthread_key_t = undefined;
            if (std.c.pthread_key_create(&key, threadExit) != .SUCCESS) return;
            exit_key = key;
        }
    }
    if (builtin.os.tag == .windows) {
        _ = windows.FlsSetValue(exit_key.?, isolate);
    } else {
        _ = std.c.pthread_setspecific(exit_key.?, isolate);
    }
}

test "attach gives tags from 1, and a tag that is used again goes on with its generations" {
    const gpa = std.testing.allocator;
    const first = attach(gpa).?;
    defer gpa.destroy(first);
    try std.testing.expectEqual(@as(u32, 1), first.words.tag);
    try std.testing.expectEqual(first, current.?);
    first.words.generation = 41;

    const second = attach(gpa).?;
    defer gpa.destroy(second);
    try std.testing.expect(!first.live.load(.acquire));
    try std.testing.expectEqual(@as(u32, 1), second.words.tag);
    try std.testing.expectEqual(@as(u32, 42), second.words.generation);

    leave(second);
    leave(second);
    current = null;
    try std.testing.expect(!tags[1].used);
}

test "isolates of different threads have different tags, and a thread that ends gives its tag back" {
    const gpa = std.testing.allocator;
    const mine = attach(gpa).?;
    defer gpa.destroy(mine);
    const Other = struct {
        var isolate: ?*Isolate = null;
        fn run() void {
            isolate = attach(std.testing.allocator);
        }
    };
    const thread = try std.Thread.spawn(.{}, Other.run, .{});
    thread.join();
    defer gpa.destroy(Other.isolate.?);
    try std.testing.expect(Other.isolate.?.words.tag != mine.words.tag);
    try std.testing.expect(!Other.isolate.?.live.load(.acquire));
    try std.testing.expect(mine.live.load(.acquire));
    leave(mine);
    current = null;
}

test "a tag whose generations are used up is not given again" {
    const gpa = std.testing.allocator;
    const saved = tags;
    defer tags = saved;
    const isolate = attach(gpa).?;
    defer gpa.destroy(isolate);
    const tag = isolate.words.tag;
    isolate.words.generation = generation_count - 1;
    leave(isolate);
    current = null;
    const next = attach(gpa).?;
    defer gpa.destroy(next);
    try std.testing.expect(next.words.tag != tag);
    leave(next);
    current = null;
}
