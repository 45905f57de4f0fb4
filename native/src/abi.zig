//! The structures and numbers that TypeScript and the core share. `core.h` says what each of them promises.
//! `ffi/core/record.ts` is generated from this file, which imports nothing.

/// Changes whenever a function, a structure or a number of the ABI changes.
pub const abi_version = 16;

pub const register_words = 16;
pub const stack_words = 128;
pub const argument_words = register_words + stack_words;
pub const result_words = 6;

/// Each has a registry tag of 8 bits, of which 0 is none.
pub const max_isolates = 255;

/// Thunks of one block: the library's own code, or a copy of it.
pub const thunk_block_length = 4096;
pub const max_thunk_blocks = 256;
/// Isolates claim thunks so many at a time, all for one shape.
pub const thunk_chunk_length = 16;

/// Ids have 22 bits for the slot (`ffi/lifetime/handle.ts`).
pub const max_handle_slots = 1 << 22;
/// From a registry's ids to its links: behind the room for all ids.
pub const handle_links_byte_offset = max_handle_slots * @sizeOf(f64);

/// How many calls of an isolate can be outstanding.
pub const max_calls = 1 << 16;
pub const max_call_threads = 1024;
pub const default_call_threads = 64;

pub const max_channels = 16384;
/// Of an event: its header and the handle.
pub const event_header_words = 2;

pub const attention_error = 1;
pub const attention_notice = 2;
pub const attention_overflow = 4;
pub const attention_release = 8;
pub const attention_in_vain = 16;

pub const contract_mask = 3;
pub const contract_same = 0;
pub const contract_post = 1;
pub const contract_wait = 2;

/// How a callback's result goes back: as a scalar, as a structure in registers, as one in memory that C gives; or as a
/// scalar of what is fetched and answered.
pub const Result = enum(u8) { scalar = 0, registers = 1, memory = 2, fetched = 3, _ };
/// In the same byte: what JavaScript gives is of 32 bits at most, and it writes the lower half of the word alone.
pub const result_narrow = 0x80;

/// What a step of a callback's fetching does. The last ones are the same for what is common: a call of one integer that gives
/// a word or a float, one of an integer and a float, a read of a word or of 32 bits.
pub const Step = enum(u8) {
    call = 0,
    read = 1,
    copy = 2,
    constant = 3,
    call_word = 4,
    call_float = 5,
    call_with_float = 6,
    read_word = 7,
    read_half = 8,
    /// An address becomes a double of the same value.
    number = 9,
    _,
};
/// How what it gives arrives: as a word, a byte of it, and so on.
pub const Kind = enum(u8) { word = 0, u8 = 1, i8 = 2, u16 = 3, i16 = 4, u32 = 5, i32 = 6, f32 = 7, f64 = 8, none = 9, _ };
/// How many operands a call of such a step has at most; how many steps there are at most.
pub const fetch_operands = 4;
pub const max_fetches = 24;
/// Where operands of steps are: words of the registers that C gave, of its stack, of what steps have given.
pub const operand_stack = 1 << 8;
pub const operand_fetched = 2 << 8;

/// A full queue blocks the thread that calls, drops its callback, or drops the oldest one.
pub const OnFull = enum(u32) { block = 0, drop_newest = 1, drop_oldest = 2 };

/// How `belay_queued_next` takes a callback.
/// finish: none. The next look begins with another queue, so that a queue which is never empty doesn't keep the others
/// waiting. take: one that is there. linger: one that is there soon. poll: one that is there a little later, or until a
/// nonblocking call has completed.
pub const Next = enum(u32) { finish = 0, take = 1, linger = 2, poll = 3 };

/// How a library is opened: so that it stays mapped until the process ends; its symbols are there for libraries that are opened
/// later; it finds its own symbols before those of others.
pub const open_pinned = 1;
pub const open_global = 2;
pub const open_deep_bind = 4;

/// What `belay_control` does.
pub const Operation = enum(u32) {
    attach = 0,
    attach_beside = 1,
    isolate_count = 2,
    registry_ids = 3,
    claim_thunks = 4,
    thunk_count = 5,
    limit_call_threads = 6,
    call_thread_count = 7,
    open_library = 8,
    open_reason = 9,
    find_symbol = 10,
    find_variable = 11,
    close_library = 12,
    stack_count = 13,
    size_stacks = 14,
    rest_stacks = 15,
    resident_stacks = 16,
    watch_stacks = 17,
    end_process = 18,
    _,
};

/// What a tail call gives C: the bits of an integer or a float, or nothing that the callback could give.
pub const TailResult = enum(u32) { none = 0, integer = 1, float = 2 };

/// What has become of a call on a stack of its own: C has returned; there is no memory for a stack; belay can't switch stacks on
/// this processor and system; the process has shadow stacks, which it can't switch; a callback is wanted, the number of whose
/// thunk is added.
pub const StackState = enum(usize) { returned = 0, no_memory = 1, unknown = 2, shadowed = 3, calls_back = 4 };

/// A queue of callbacks. JavaScript has its address alone.
pub const Queue = opaque {};

/// The functions that authors of C libraries call: `belay.h`.
pub const HandleRelease = fn (id: ?*anyopaque) callconv(.c) void;
pub const ChannelSend = fn (
    channel: ?*anyopaque,
    handle: ?*anyopaque,
    data: ?[*]const u8,
    byte_length: u32,
) callconv(.c) bool;

/// C's `belay_isolate`: the part of an isolate's record that JavaScript maps as typed arrays.
pub const Words = extern struct {
    /// The running callback's arguments: 8 integer registers, 8 float registers, then stack words.
    arguments: [argument_words]u64 = @splat(0),
    /// The callback's answer, as the bits of the result register.
    result: u64 = 0,
    /// The runtime's one callback of this isolate. Written by JavaScript.
    trampoline: ?*const fn () callconv(.c) void = null,
    /// The first thunk's slot and code, of the last claim.
    chunk_slots: ?[*]Slot = null,
    chunk_code: ?*const anyopaque = null,
    /// Of a callback that was taken from a queue: the nonblocking call of this isolate's that it was made in, or 0.
    call_token: u64 = 0,
    /// From one thunk of a chunk to the next.
    thunk_stride: u32 = 0,
    /// The index of the thunk that was called.
    callback: u32 = 0,
    /// This isolate's registry tag, 1 to 255.
    tag: u32 = 0,
    /// How many slots the registry of this tag has used, ever. Written by JavaScript.
    handle_slots: u32 = 0,
    /// 1 while the trampoline runs for a callback that has too little stack left for the function.
    overflow: u32 = 0,
    /// Which synchronous native call JavaScript is in: how many are running in the lower half; in the upper one a
    /// number of the outermost. Written by JavaScript; any thread reads it.
    native_call: u32 = 0,
    // Another cache line, since other threads read and write this, too.
    /// The functions that release handles and send events. JavaScript hands them to C.
    handle_release: ?*const HandleRelease = null,
    channel_send: ?*const ChannelSend = null,
    /// Calls of this isolate's thunks that did not come from its thread's own stack, or came when it was gone.
    misplaced_calls: u32 = 0,
    /// Flags: what waits for JavaScript to look at it.
    attention: u32 = 0,
    /// The list of thunks that have a notice for JavaScript: the index of the first one and 1, or 0.
    notices: u32 = 0,
    /// Callbacks that were not queued, or dropped for newer ones; callbacks that JavaScript didn't answer in time.
    dropped: u32 = 0,
    timeouts: u32 = 0,
    /// 0 when JavaScript can't run any more. Written by JavaScript, too, before its world ends.
    live: u32 = 1,
    /// The first place of the list of handles that C has released, which JavaScript takes as a whole; 0 when it is
    /// empty.
    released: u32 = 0,
    /// Releases of what was no live handle.
    stale_releases: u32 = 0,
    /// The list of nonblocking calls that have been made: the index of the last one and 1, or 0.
    completed: u32 = 0,
    /// 1 while JavaScript looks at that list by itself, and needn't be woken for it. Written by JavaScript.
    polls: u32 = 0,
    /// The value of `native_call` when the first thread called in vain since JavaScript took this, or 0.
    in_vain_call: u32 = 0,
    /// On a stack of its own, what C goes on with in the place of a callback that has ended: the index of a call's block and
    /// 1, or 0. Written by JavaScript.
    tail_call: u32 = 0,
    /// Not 0 if the callback that has run gave a result: only then is one that is fetched for answered. Written by JavaScript.
    answered: u32 = 0,
    /// How many calls wait for promises, on stacks of their own. Written by JavaScript.
    suspended: u32 = 0,
    /// 1 while a thread looks whether JavaScript is in one call for long meanwhile.
    watched: u32 = 0,
    unused: u32 = 0,
    /// The result registers of a callback that answers a structure: two integer ones, four float ones; or where C wants
    /// it.
    results: [result_words]u64 = @splat(0),

    const native_call_depth = 0xffff;

    pub fn isLive(words: *const Words) bool {
        return @atomicLoad(u32, &words.live, .acquire) != 0;
    }

    /// The bits of `result`. A load of more than JavaScript has written would wait until that is in the processor's cache.
    pub inline fn answer(words: *const Words, slot: *const Slot) u64 {
        if (slot.layout >> 24 & result_narrow == 0) return words.result;
        const lower: *const volatile u32 = @ptrCast(&words.result);
        return lower.*;
    }

    /// The synchronous native call that JavaScript is in, 0 when it is in none.
    pub fn nativeCall(words: *const Words) u32 {
        const native_call = @atomicLoad(u32, &words.native_call, .monotonic);
        return if (native_call & native_call_depth != 0) native_call else 0;
    }

    /// The innermost of the native calls that were running at two times; 0 when the outermost is another one, or there
    /// was none.
    pub fn callAround(one: u32, other: u32) u32 {
        if (one == 0 or other == 0 or one >> 16 != other >> 16) return 0;
        return @min(one, other);
    }

    /// Notes that a thread called in vain since JavaScript was in a native call: the outermost one is to blame.
    pub fn noteInVain(words: *Words, native_call: u32) void {
        const noted = @atomicLoad(u32, &words.in_vain_call, .monotonic);
        const first = callAround(noted, native_call);
        @atomicStore(u32, &words.in_vain_call, if (first != 0) first else native_call, .monotonic);
    }
};

/// C's `belay_thunk`: what the dispatcher knows of a thunk. JavaScript of the isolate that claimed the thunk writes it.
/// The core writes the counts and the list.
pub const Slot = extern struct {
    isolate: ?*Words = null,
    /// The bits that C gets when the function can't be asked; the length of a structure that goes back in memory; the
    /// address of a `Fetching`.
    fallback: u64 = 0,
    /// How many words its signature has on the stack, in integer and in float registers, and how its result goes back:
    /// a byte each.
    layout: u32 = 0,
    /// Calls from elsewhere than the isolate's own stack, since JavaScript last put a function behind the thunk.
    misplaced_calls: u32 = 0,
    /// JavaScript's number of the thunk, which the trampoline gets.
    index: u32 = 0,
    /// The contract for calls from elsewhere, in the lowest bits, and a count of the functions that had another one
    /// than `contract_same`. It changes before and after what follows.
    state: u32 = contract_same,
    /// Which of the first 64 words of the arguments are strings: integer registers, float registers, the stack, in this
    /// order.
    strings: u64 = 0,
    queue: ?*Queue = null,
    timeout_ms: u32 = 0,
    /// Callbacks that were not queued, or dropped for newer ones.
    dropped: u32 = 0,
    /// Callbacks that JavaScript didn't serve in time. Callbacks that were refused, or not served in time, because
    /// JavaScript was in one native call all the time. JavaScript takes both.
    timeouts: u16 = 0,
    in_vain: u16 = 0,
    /// In the list of thunks that have a notice: one more than the list's next word; 0 outside it.
    next_notice: u32 = 0,
};

/// C's `belay_fetch`: one step of what the core does for a callback before JavaScript is asked, or afterwards.
pub const Fetch = extern struct {
    /// The C function that it calls.
    function: ?*const anyopaque,
    /// How far behind the address it reads; or the constant.
    byte_offset: u64,
    /// Whose values it takes.
    operands: [fetch_operands]u16,
    /// Where what it gives goes: the arguments of JavaScript's function, and behind them what steps need.
    target: u16,
    step: u8,
    /// What it gives, as a `Kind`.
    kind: u8,
    operand_count: u8,
    /// Which of them are floats, as bits.
    floats: u8,
    unused: u16,
};

/// C's `belay_fetching`: what the core does for the callbacks of a definition. It is never freed.
pub const Fetching = extern struct {
    fallback: u64,
    /// How it answers C with what JavaScript has given; what stands for that among the operands is the word behind what
    /// steps may give. Its function is null if the result is the callback's.
    answer: Fetch,
    count: u32,
    unused: u32,
    steps: [max_fetches]Fetch,
};

/// C's `belay_frame`: any call of C. JavaScript lays the arguments out as the calling convention wants them: it extends
/// narrow arguments to a word, puts a float into the low half of its word, and does what a variadic call needs.
pub const Frame = extern struct {
    /// 8 integer registers, 8 float registers, then the stack, as the dispatcher has them.
    arguments: [argument_words]u64,
    function: ?*const anyopaque,
    /// How many words of arguments are on the stack: at most `stack_words`.
    stack_words: u64,
    /// Where a result goes that AArch64 returns in memory (x8).
    indirect_result: u64,
    /// The result registers after the call, as far as the convention has them.
    integer_results: [2]u64,
    float_results: [4]u64,
};

/// C's `belay_call`: the block of one call. JavaScript writes the frame before it submits the call, and reads the
/// results and `completed_next` afterwards. Meanwhile a call thread has the block.
pub const Call = extern struct {
    frame: Frame,
    isolate: ?*Words = null,
    next: ?*Call = null,
    /// Its place among the isolate's blocks.
    index: u32 = 0,
    /// In the isolate's list of completed calls: one more than the next one's index, or 0.
    completed_next: u32 = 0,
    /// Whether the result is a string, to be copied before the thread does anything else: C may keep it for each
    /// thread. The copy lives until the block's next call.
    string_result: u64 = 0,
    string: u64 = 0,
    /// Not 0: the call's errno goes into `error`.
    capture_error: u32 = 0,
    @"error": u32 = 0,
    /// The stack of its own that it has been started on.
    stack: u64 = 0,
    /// In a tail call's block: what its result is.
    tail_result: u32 = 0,
    /// On a stack of its own: whether JavaScript may return to its event loop before it goes on with the call.
    suspends: u32 = 0,
    /// There, how much the stack takes of the addresses, in units of 1,024 bytes; 0 if as much as others.
    stack_kilobytes: u32 = 0,
    unused: u32 = 0,
};

/// C's `belay_channel_words`: the part of a channel that JavaScript maps.
pub const ChannelWords = extern struct {
    /// The channel, as C knows it.
    id: u64 = 0,
    ring: ?[*]u64 = null,
    /// How many words the ring has.
    length: u32 = 0,
    /// The place in the ring where the batch begins that was taken last.
    batch: u32 = 0,
    /// Events that found no space.
    dropped: u32 = 0,
    unused: u32 = 0,
};
