//! The record of a queued callback: its thunk, the thread's wait, which arguments are strings, and the arguments.

const abi = @import("../abi.zig");
const strings = @import("../allocator.zig");
const queues = @import("../queue.zig");
const thunks = @import("../thunks/pool.zig");
const Queue = queues.Queue;
const Slot = abi.Slot;
const Waiter = @import("../waiter.zig").Waiter;

/// The header of a record says whose callback it is. Behind it are the address of the wait, if a thread waits; which
/// arguments are strings, if some are; the arguments.
pub const Id = packed struct(u64) {
    number: u31,
    has_strings: bool,
    /// The slot's, as it was: what was queued for another callback of the thunk runs no more. Never 0.
    state: u32,

    pub inline fn waits(id: Id) bool {
        return id.state & abi.contract_mask == abi.contract_wait;
    }

    pub inline fn stringsPlace(id: Id) usize {
        return 1 + @as(usize, @intFromBool(id.waits()));
    }

    pub inline fn argumentsPlace(id: Id) usize {
        return id.stringsPlace() + @intFromBool(id.has_strings);
    }
};

/// How many words of each kind the arguments of a thunk's signature take. A thunk has one shape, and so one layout, for
/// good.
pub const Layout = struct {
    stack: usize,
    integers: usize,
    floats: usize,

    pub inline fn of(slot: *const Slot) Layout {
        const bits = @atomicLoad(u32, &slot.layout, .monotonic);
        return .{
            .stack = @min(bits & 0xff, abi.stack_words),
            .integers = @min(bits >> 8 & 0xff, 8),
            .floats = @min(bits >> 16 & 0xff, 8),
        };
    }

    pub inline fn words(layout: Layout) usize {
        return layout.integers + layout.floats + layout.stack;
    }

    /// Calls `copy(context, index, place)` for each word: its number in the record, and where it is among the argument
    /// words, integer registers first, then float registers, then the stack.
    pub inline fn each(layout: Layout, context: anytype, comptime copy: fn (@TypeOf(context), usize, usize) void) void {
        var place: usize = 0;
        for (0..layout.words()) |index| {
            if (index == layout.integers) place = 8;
            if (index == layout.integers + layout.floats) place = abi.register_words;
            copy(context, index, place);
            place += 1;
            // A few words: unrolled for many, the loop is a tenth of the library's code, and no faster.
            asm volatile ("");
        }
    }
};

pub fn lengthOf(header: u64) u32 {
    const id: Id = @bitCast(header);
    return @intCast(id.argumentsPlace() + Layout.of(thunks.slotOf(id.number)).words());
}

pub inline fn idOf(queue: *Queue, record: queues.Record) Id {
    return @bitCast(queue.word(record, 0).*);
}

pub inline fn waiterOf(queue: *Queue, record: queues.Record) ?*Waiter {
    return if (idOf(queue, record).waits()) @ptrFromInt(@as(usize, @intCast(queue.word(record, 1).*))) else null;
}

pub inline fn stringsOf(queue: *Queue, record: queues.Record) u64 {
    const id = idOf(queue, record);
    return if (id.has_strings) queue.word(record, id.stringsPlace()).* else 0;
}

/// Whether a word of the arguments is a string.
pub fn isStringAt(string_bits: u64, index: usize) bool {
    return index < 64 and string_bits >> @intCast(index) & 1 != 0;
}

/// Frees a taken record, with its strings. A thread that waits for it gets the fallback.
pub noinline fn discard(queue: *Queue, record: queues.Record) void {
    const id = idOf(queue, record);
    const string_bits = stringsOf(queue, record);
    for (0..Layout.of(thunks.slotOf(id.number)).words()) |index| {
        if (!isStringAt(string_bits, index)) continue;
        const word = queue.word(record, id.argumentsPlace() + index).*;
        if (word != 0) strings.freeString(word);
    }
    if (waiterOf(queue, record)) |waiter| {
        waiter.answerWaiting();
        waiter.letGo();
    }
    queue.release(record);
}

/// Frees all records that are complete. For the thread that takes.
pub fn discardAll(queue: *Queue) void {
    while (queue.take(lengthOf)) |record| discard(queue, record);
}
