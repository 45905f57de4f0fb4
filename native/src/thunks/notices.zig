//! Notices: calls of a thunk that JavaScript never saw. A thunk that has a notice is in its isolate's list, which
//! JavaScript takes when it looks next.

const std = @import("std");
const abi = @import("../abi.zig");
const isolates = @import("../isolate.zig");
const thunks = @import("pool.zig");
const Isolate = isolates.Isolate;
const Slot = abi.Slot;

/// Answers a misplaced call, which must not enter JavaScript, with the fallback. JavaScript is told when it looks next.
pub noinline fn misplaced(slot: *Slot, isolate: *Isolate) u64 {
    @branchHint(.cold);
    _ = @atomicRmw(u32, &isolate.words.misplaced_calls, .Add, 1, .monotonic);
    const is_first = @atomicRmw(u32, &slot.misplaced_calls, .Add, 1, .monotonic) == 0;
    const native_call = if (isolates.current_thread != isolate.thread and isolate.words.isLive())
        isolate.words.nativeCall()
    else
        0;
    if (native_call != 0) countInVain(slot, isolate, native_call);
    if (is_first or native_call != 0) note(slot, isolate);
    return thunks.fallbackOf(slot);
}

/// Counts a call from another thread that JavaScript couldn't serve, being in a native call. The count stops short of
/// the largest: 0 has another meaning.
pub noinline fn countInVain(slot: *Slot, isolate: *Isolate, native_call: u32) void {
    isolate.words.noteInVain(native_call);
    const most = std.math.maxInt(u16) / 2;
    if (@atomicLoad(u16, &slot.in_vain, .monotonic) < most) _ = @atomicRmw(u16, &slot.in_vain, .Add, 1, .monotonic);
}

/// Puts a thunk into the list of those that have a notice, unless it is there.
pub noinline fn note(slot: *Slot, isolate: *Isolate) void {
    const list_end = 1;
    if (@cmpxchgStrong(u32, &slot.next_notice, 0, list_end, .acq_rel, .monotonic) == null) {
        const head = &isolate.words.notices;
        var next = @atomicLoad(u32, head, .monotonic);
        while (true) {
            @atomicStore(u32, &slot.next_notice, next + 1, .release);
            next = @cmpxchgWeak(u32, head, next, slot.index + 1, .acq_rel, .monotonic) orelse break;
        }
    }
    _ = @atomicRmw(u32, &isolate.words.attention, .Or, abi.attention_notice, .release);
}
