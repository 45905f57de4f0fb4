//! What the tests have in common: isolates, and a JavaScript that is a function of Zig.

const std = @import("std");
const abi = @import("../abi.zig");
const isolates = @import("../isolate.zig");
const lifecycle = @import("../lifecycle.zig");
const thunks = @import("../thunks/pool.zig");
const Isolate = isolates.Isolate;

pub const stack_byte_length = 512 * 1024;

/// What stands in for a runtime's trampoline.
pub const Probe = struct {
    pub var words: *abi.Words = undefined;
    pub var seen: [abi.argument_words]u64 = undefined;
    pub var callback: u32 = undefined;
    pub var calls: u32 = 0;
    pub var answers = false;
    pub var again: ?*const fn (u64) callconv(.c) u64 = null;

    fn run() callconv(.c) void {
        calls += 1;
        seen = words.arguments;
        callback = words.callback;
        if (again) |inner| {
            again = null;
            words.result = 5;
            std.testing.expectEqual(@as(u64, 77), inner(1)) catch unreachable;
            return;
        }
        words.result = 77;
        if (answers) words.answered = 1;
    }
};

/// An isolate on this thread whose trampoline is the probe's, for a test.
pub fn probe() !*Isolate {
    const isolate = lifecycle.attach(std.testing.allocator, false, stack_byte_length).?;
    isolate.words.trampoline = Probe.run;
    Probe.words = &isolate.words;
    Probe.calls = 0;
    Probe.again = null;
    return isolate;
}

/// Takes an isolate of a test away, and gives the thunks that tests took to be taken afresh.
pub fn dismiss(isolate: *Isolate) void {
    lifecycle.leaveThread();
    thunks.forget();
    std.testing.allocator.destroy(isolate);
}

pub fn functionOf(number: u32, comptime Function: type) *const Function {
    return @ptrCast(@alignCast(thunks.address(number)));
}
