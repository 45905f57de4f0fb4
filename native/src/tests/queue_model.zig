//! The protocol of queue.zig and of the wake in waker.zig as a model, of which a test visits every state: some
//! producers with a few records each, one thread that takes, a ring of two to four words. A thread's step is one access
//! to what threads share (`Step` says which, of which function); every order of the steps is tried. Tests only.
//!
//! What is looked for: a record that is lost, comes twice, out of order or torn; a word that is claimed and isn't free;
//! more words in use than the limit; and states in which nobody can go on, though a record waits (a lost wake) or a
//! producer sleeps (a lost wake for space). Nothing here has a time limit: neither the sleeper's 100 ms nor the
//! watchdog helps.
//!
//! Three memories. `sequential`: steps happen at once. `tso`, x86: stores wait in the thread's buffer and arrive in
//! their order; sequentially consistent stores and read-modify-writes empty it first. `weak`, near to AArch64: stores
//! arrive in any order, except that those to one word keep theirs and a release or a sequentially consistent one comes
//! after all before it; a sequentially consistent load waits for such stores only, a read-modify-write that releases
//! for all. Loads are not reordered: each of the protocol's that matters acquires. For the rest of the memory model
//! there is ThreadSanitizer, which runs the code itself.
//!
//! The mutations show that the test can fail: each takes one thing away that the protocol needs, and must be found out.
//!
//! Left out: spurious failures of the claim's exchange, and the tries before a producer sleeps (they change nothing
//! that isn't seen anyway); queues that are retired; several queues.

const std = @import("std");
const builtin = @import("builtin");

const Memory = enum { sequential, tso, weak };

const Mutation = enum {
    none,
    /// `commit` stores with release only.
    commit_releases,
    /// `wake` loads the flag with monotonic only.
    wake_loads_monotonic,
    /// JavaScript clears the flag after it has looked.
    clears_late,
    /// `emptied` isn't called.
    never_emptied,
    /// `release` moves the tail before it zeroes.
    tail_first,
    /// `release` stores the tail with monotonic only.
    tail_monotonic,
    /// `reserveUntil` loads `space` after it found none.
    sees_late,
    /// `beginTaking` answers true always.
    takes_always,
    /// `endTaking` stores with monotonic only.
    taking_monotonic,
};

const Options = struct {
    memory: Memory = .sequential,
    mutation: Mutation = .none,
    /// The words that each record of each producer takes, 1 or 2.
    producers: []const []const u8,
    word_count: u8,
    limit: u8,
    drop_oldest: bool = false,
    /// JavaScript may stop after each record and wake itself: a turn has a time slice.
    slices: bool = false,
};

/// What threads share.
const Place = enum(u8) { word0, word1, word2, word3, head, tail, seen_tail, taken, taking, space, sleepers, requested, signal };
const place_count = @typeInfo(Place).@"enum".fields.len;

const Step = enum(u8) {
    /// `Queue.reserve`, load by load; the exchange of the head.
    reserve_seen_tail,
    reserve_head,
    reserve_tail,
    reserve_head_again,
    reserve_publish_tail,
    reserve_claim,
    /// Whoever reserved stores the second word, and `Queue.commit` the first.
    fill,
    commit,
    /// `waker.wake`: the load, the swap, and the thread-safe function, which has the loop call JavaScript.
    wake_load,
    wake_swap,
    wake_call,
    /// `Queue.reserveUntil`: `sleepers` goes up, `space` is loaded, `reserve` finds none, the system compares and puts
    /// the thread to sleep; `sleepers` goes down.
    sleep_register,
    sleep_see,
    sleep_wait,
    asleep,
    sleep_leave,
    /// The event loop, when the thread-safe function was called; `waker.looking`.
    idle,
    looking,
    /// `Queue.beginTaking`, `take`, the read of the second word, `release` and `endTaking`: JavaScript's
    /// (`serve.takeFrom`) and, in a queue that drops the oldest, a producer's (`enqueue.dropOldest`).
    take_begin,
    take,
    take_read,
    release_zero,
    release_tail,
    release_sleepers,
    release_head,
    take_end,
    /// `Queue.emptied`.
    emptied,
    /// `Queue.wakeSleepers`: the addition, the system's wake.
    space_add,
    space_wake,
    done,
};

const Order = enum(u8) { monotonic, release, seq_cst };

/// A store that the others don't see yet.
const Store = extern struct { place: Place = .word0, value: u8 = 0, order: Order = .monotonic };
const buffer_length = 4;

const Thread = extern struct {
    step: Step = .done,
    record: u8 = 0,
    position: u8 = 0,
    tail: u8 = 0,
    seen: u8 = 0,
    header: u8 = 0,
    zeroed: u8 = 0,
    registered: bool = false,
    /// What was taken was a record, or nothing.
    found: bool = false,
    stores: u8 = 0,
    buffer: [buffer_length]Store = @splat(.{}),
};

const max_producers = 2;
const taker = max_producers;

/// Bytes only, so that equal states have equal bytes.
const State = extern struct {
    memory: [place_count]u8 = @splat(0),
    threads: [max_producers + 1]Thread = @splat(.{}),
    /// A bit for each record.
    delivered: u8 = 0,
    dropped: u8 = 0,
};

const Violation = error{ OutOfMemory, Lost, Twice, OutOfOrder, Torn, NotFree, OverLimit, LostWake, LostSpaceWake, Stuck };

/// A step that can't be made now.
const Blocked = error{Blocked};

const records_of_producer = 4;

const Model = struct {
    options: Options,
    state: State,

    fn lengthOf(header: u8) u8 {
        return header >> 4;
    }
    fn recordOf(header: u8) u3 {
        return @intCast((header & 15) - 1);
    }
    fn lengthNow(model: *Model, id: usize) u8 {
        return model.options.producers[id][model.state.threads[id].record];
    }
    /// A record's number and one in the lower half, its length in the upper.
    fn headerNow(model: *Model, id: usize) u8 {
        return model.lengthNow(id) << 4 | (@as(u8, @intCast(id)) * records_of_producer + model.state.threads[id].record + 1);
    }
    fn wordAt(model: *Model, position: u8) Place {
        return @enumFromInt(position & (model.options.word_count - 1));
    }

    fn load(model: *Model, id: usize, place: Place, order: Order) Blocked!u8 {
        const thread = &model.state.threads[id];
        var value = model.state.memory[@intFromEnum(place)];
        for (thread.buffer[0..thread.stores]) |store_before| {
            if (order == .seq_cst and store_before.order == .seq_cst) return error.Blocked;
            if (store_before.place == place) value = store_before.value;
        }
        return value;
    }

    fn store(model: *Model, id: usize, place: Place, value: u8, order: Order) Blocked!void {
        const thread = &model.state.threads[id];
        const at_once = model.options.memory == .sequential or (model.options.memory == .tso and order == .seq_cst);
        if (at_once) {
            if (thread.stores > 0) return error.Blocked;
            model.state.memory[@intFromEnum(place)] = value;
            return;
        }
        if (thread.stores == buffer_length) return error.Blocked;
        thread.buffer[thread.stores] = .{ .place = place, .value = value, .order = order };
        thread.stores += 1;
    }

    /// Before a read-modify-write: what has to have arrived.
    fn settle(model: *Model, id: usize, place: Place, order: Order) Blocked!*u8 {
        const thread = &model.state.threads[id];
        for (thread.buffer[0..thread.stores]) |store_before| {
            if (model.options.memory == .tso or order != .monotonic or store_before.place == place) return error.Blocked;
        }
        return &model.state.memory[@intFromEnum(place)];
    }

    /// A store that has waited arrives.
    fn arrive(model: *Model, id: usize, index: usize) Blocked!void {
        const thread = &model.state.threads[id];
        if (index >= thread.stores) return error.Blocked;
        const arriving = thread.buffer[index];
        if (index > 0 and (model.options.memory == .tso or arriving.order != .monotonic)) return error.Blocked;
        for (thread.buffer[0..index]) |before| if (before.place == arriving.place) return error.Blocked;
        model.state.memory[@intFromEnum(arriving.place)] = arriving.value;
        for (index + 1..thread.stores) |i| thread.buffer[i - 1] = thread.buffer[i];
        thread.stores -= 1;
        thread.buffer[thread.stores] = .{};
    }

    /// What `reserve` does with the position and the tail that it has.
    fn fits(model: *Model, id: usize, tail: u8) bool {
        return model.state.threads[id].position +% model.lengthNow(id) -% tail <= model.options.limit;
    }

    /// Goes on, and forgets what the thread no longer has.
    fn begin(model: *Model, id: usize, next: Step) void {
        const thread = &model.state.threads[id];
        const old = thread.*;
        thread.* = .{ .step = next, .record = old.record, .seen = old.seen, .registered = old.registered };
        thread.stores = old.stores;
        thread.buffer = old.buffer;
    }

    fn nextRecord(model: *Model, id: usize) void {
        const thread = &model.state.threads[id];
        if (id == taker) return model.begin(id, .idle);
        thread.record += 1;
        thread.seen = 0;
        model.begin(id, if (thread.record == model.options.producers[id].len) .done else .reserve_seen_tail);
    }

    fn beginTaking(model: *Model, id: usize) void {
        const flag = model.options.drop_oldest and model.options.mutation != .takes_always;
        model.begin(id, if (flag) .take_begin else .take);
    }

    fn noSpace(model: *Model, id: usize) void {
        const thread = &model.state.threads[id];
        if (model.options.drop_oldest) return model.beginTaking(id);
        const sees_late = model.options.mutation == .sees_late and thread.registered;
        model.begin(id, if (sees_late) .sleep_see else if (thread.registered) .sleep_wait else .sleep_register);
    }

    fn afterSleep(model: *Model) Step {
        return if (model.options.mutation == .sees_late) .reserve_seen_tail else .sleep_see;
    }

    /// A record was taken: whose turn was it?
    fn account(model: *Model, id: usize, header: u8) Violation!void {
        const state = &model.state;
        const record = recordOf(header);
        const bit = @as(u8, 1) << record;
        const gone = state.delivered | state.dropped;
        if (gone & bit != 0) return error.Twice;
        const first = record / records_of_producer * records_of_producer;
        // All before it are gone, and none after it.
        const before = bit - (@as(u8, 1) << @intCast(first));
        const own = @as(u8, 15) << @intCast(first);
        if (gone & own != before) return error.OutOfOrder;
        if (id == taker) state.delivered |= bit else state.dropped |= bit;
    }

    fn endTaking(model: *Model, id: usize) void {
        const thread = &model.state.threads[id];
        if (model.options.drop_oldest and model.options.mutation != .takes_always) {
            const found = thread.found;
            model.begin(id, .take_end);
            thread.found = found;
        } else model.tookOrNot(id);
    }

    fn tookOrNot(model: *Model, id: usize) void {
        const found = model.state.threads[id].found;
        if (id != taker) return model.begin(id, .reserve_seen_tail);
        if (found) return model.beginTaking(id);
        if (model.options.mutation == .never_emptied) return model.begin(id, .idle);
        model.begin(id, if (model.options.mutation == .clears_late) .looking else .emptied);
    }

    fn step(model: *Model, id: usize, stop: bool) (Violation || Blocked)!void {
        const options = model.options;
        const thread = &model.state.threads[id];
        // The one place where a thread has a choice: JavaScript's time slice is over.
        if (stop) {
            const between = thread.step == .take or thread.step == .take_begin;
            if (!options.slices or id != taker or !between or model.state.delivered == 0) return error.Blocked;
            if (thread.step == .take and options.drop_oldest) return error.Blocked;
            return model.begin(id, .wake_load);
        }
        switch (thread.step) {
            .reserve_seen_tail => {
                thread.tail = try model.load(id, .seen_tail, .monotonic);
                thread.step = .reserve_head;
            },
            .reserve_head => {
                thread.position = try model.load(id, .head, .monotonic);
                thread.step = if (model.fits(id, thread.tail)) .reserve_claim else .reserve_tail;
            },
            .reserve_tail => {
                thread.tail = try model.load(id, .tail, .monotonic);
                thread.step = if (model.fits(id, thread.tail)) .reserve_publish_tail else .reserve_head_again;
            },
            .reserve_head_again => {
                const now = try model.load(id, .head, .monotonic);
                if (now == thread.position) return model.noSpace(id);
                thread.position = now;
                thread.step = if (model.fits(id, thread.tail)) .reserve_claim else .reserve_tail;
            },
            .reserve_publish_tail => {
                try model.store(id, .seen_tail, thread.tail, .release);
                thread.step = .reserve_claim;
            },
            .reserve_claim => {
                const head = try model.settle(id, .head, .monotonic);
                const length = model.lengthNow(id);
                if (head.* != thread.position) {
                    thread.position = head.*;
                    thread.step = if (model.fits(id, thread.tail)) .reserve_claim else .reserve_tail;
                    return;
                }
                head.* += length;
                if (head.* - try model.load(id, .tail, .monotonic) > options.limit) return error.OverLimit;
                for (0..length) |i| {
                    const place = model.wordAt(thread.position + @as(u8, @intCast(i)));
                    if (try model.load(id, place, .monotonic) != 0) return error.NotFree;
                }
                const position = thread.position;
                model.begin(id, if (thread.registered) .sleep_leave else .fill);
                thread.position = position;
                thread.seen = 0;
                if (thread.step == .fill and length == 1) thread.step = .commit;
            },
            .sleep_leave => {
                (try model.settle(id, .sleepers, .monotonic)).* -= 1;
                thread.registered = false;
                thread.step = if (model.lengthNow(id) == 1) .commit else .fill;
            },
            .fill => {
                try model.store(id, model.wordAt(thread.position + 1), model.headerNow(id), .monotonic);
                thread.step = .commit;
            },
            .commit => {
                const order: Order = if (options.mutation == .commit_releases) .release else .seq_cst;
                try model.store(id, model.wordAt(thread.position), model.headerNow(id), order);
                model.begin(id, .wake_load);
            },
            .wake_load => {
                const order: Order = if (options.mutation == .wake_loads_monotonic) .monotonic else .seq_cst;
                if (try model.load(id, .requested, order) == 1) model.nextRecord(id) else thread.step = .wake_swap;
            },
            .wake_swap => {
                const requested = try model.settle(id, .requested, .seq_cst);
                if (requested.* == 1) return model.nextRecord(id);
                requested.* = 1;
                thread.step = .wake_call;
            },
            .wake_call => {
                (try model.settle(id, .signal, .seq_cst)).* = 1;
                model.nextRecord(id);
            },
            .sleep_register => {
                (try model.settle(id, .sleepers, .seq_cst)).* += 1;
                thread.registered = true;
                thread.step = if (options.mutation == .sees_late) .reserve_seen_tail else .sleep_see;
            },
            .sleep_see => {
                thread.seen = try model.load(id, .space, .seq_cst);
                thread.step = if (options.mutation == .sees_late) .sleep_wait else .reserve_seen_tail;
            },
            .sleep_wait => {
                const space = try model.settle(id, .space, .seq_cst);
                thread.step = if (space.* == thread.seen) .asleep else model.afterSleep();
                thread.seen = 0;
            },
            .asleep, .done => return error.Blocked,
            .idle => {
                const signal = try model.settle(id, .signal, .seq_cst);
                if (signal.* == 0) return error.Blocked;
                signal.* = 0;
                if (options.mutation == .clears_late) model.beginTaking(id) else thread.step = .looking;
            },
            .looking => {
                (try model.settle(id, .requested, .seq_cst)).* = 0;
                if (options.mutation == .clears_late) thread.step = .emptied else model.beginTaking(id);
            },
            .take_begin => {
                const taking = try model.settle(id, .taking, .monotonic);
                if (taking.* == 0) {
                    taking.* = 1;
                    thread.step = .take;
                } else if (id == taker) return error.Blocked else model.begin(id, .reserve_seen_tail);
            },
            .take => {
                thread.position = try model.load(id, .taken, .monotonic);
                thread.header = try model.load(id, model.wordAt(thread.position), .seq_cst);
                thread.found = thread.header != 0;
                if (!thread.found) return model.endTaking(id);
                const length = lengthOf(thread.header);
                try model.store(id, .taken, thread.position + length, .monotonic);
                if (length == 2) {
                    thread.step = .take_read;
                    return;
                }
                try model.account(id, thread.header);
                thread.step = if (options.mutation == .tail_first) .release_tail else .release_zero;
            },
            .take_read => {
                if (try model.load(id, model.wordAt(thread.position + 1), .monotonic) != thread.header) return error.Torn;
                try model.account(id, thread.header);
                thread.step = if (options.mutation == .tail_first) .release_tail else .release_zero;
            },
            .release_zero => {
                try model.store(id, model.wordAt(thread.position + thread.zeroed), 0, .monotonic);
                thread.zeroed += 1;
                if (thread.zeroed < lengthOf(thread.header)) return;
                thread.step = if (options.mutation == .tail_first) .release_sleepers else .release_tail;
            },
            .release_tail => {
                const order: Order = if (options.mutation == .tail_monotonic) .monotonic else .release;
                try model.store(id, .tail, thread.position + lengthOf(thread.header), order);
                thread.step = if (options.mutation == .tail_first) .release_zero else .release_sleepers;
            },
            .release_sleepers => {
                if (try model.load(id, .sleepers, .monotonic) == 0) return model.endTaking(id);
                thread.step = .release_head;
            },
            .release_head => {
                const head = try model.load(id, .head, .monotonic);
                const end = thread.position + lengthOf(thread.header);
                if (head - end <= options.limit / 2) thread.step = .space_add else model.endTaking(id);
            },
            .take_end => {
                const order: Order = if (options.mutation == .taking_monotonic) .monotonic else .release;
                try model.store(id, .taking, 0, order);
                model.tookOrNot(id);
            },
            .emptied => {
                const sleepers = try model.settle(id, .sleepers, .seq_cst);
                model.begin(id, if (sleepers.* != 0) .space_add else .idle);
            },
            .space_add => {
                (try model.settle(id, .space, .release)).* += 1;
                thread.step = .space_wake;
            },
            .space_wake => {
                for (model.state.threads[0..max_producers]) |*other| {
                    if (other.step == .asleep) other.step = model.afterSleep();
                }
                if (thread.found) model.endTaking(id) else model.begin(id, .idle);
            },
        }
    }

    /// Nobody can go on: everything has to be done.
    fn atRest(model: *Model) Violation!void {
        const state = &model.state;
        for (state.threads[0..max_producers]) |thread| if (thread.step == .asleep) return error.LostSpaceWake;
        for (state.threads[0..max_producers]) |thread| if (thread.step != .done) return error.Stuck;
        if (state.threads[taker].step != .idle) return error.Stuck;
        var all: u8 = 0;
        for (model.options.producers, 0..) |records, id| {
            for (0..records.len) |record| all |= @as(u8, 1) << @intCast(id * records_of_producer + record);
        }
        if (state.delivered | state.dropped == all) return;
        const position = state.memory[@intFromEnum(Place.taken)];
        return if (state.memory[@intFromEnum(model.wordAt(position))] != 0) error.LostWake else error.Lost;
    }
};

/// A choice: of a thread, its step, stopping instead, or the arrival of one of its stores.
const choices_of_thread = 2 + buffer_length;

const Frame = struct { state: State, choice: u8 = 0, moved: bool = false };

/// Visits every state that can be reached, depth first. Answers how many there are. States are known by 64 bits of
/// hash, of which two among a million are the same once in tens of millions of runs.
fn explore(options: Options) Violation!usize {
    const gpa = std.testing.allocator;
    var visited: std.AutoHashMapUnmanaged(u64, void) = .empty;
    defer visited.deinit(gpa);
    var path: std.ArrayList(Frame) = .empty;
    defer path.deinit(gpa);
    var start: State = .{};
    for (0..options.producers.len) |id| start.threads[id].step = .reserve_seen_tail;
    start.threads[taker].step = .idle;
    try path.append(gpa, .{ .state = start });
    while (path.items.len > 0) {
        const frame = &path.items[path.items.len - 1];
        var model: Model = .{ .options = options, .state = frame.state };
        if (frame.choice == choices_of_thread * (max_producers + 1)) {
            if (!frame.moved) {
                model.atRest() catch |violation| return explain(violation, path.items);
            }
            _ = path.pop();
            continue;
        }
        const id = frame.choice / choices_of_thread;
        const which = frame.choice % choices_of_thread;
        frame.choice += 1;
        const result = switch (which) {
            0, 1 => model.step(id, which == 1),
            else => model.arrive(id, which - 2),
        };
        result catch |problem| switch (problem) {
            error.Blocked => continue,
            else => |violation| return explain(violation, path.items),
        };
        frame.moved = true;
        const entry = try visited.getOrPut(gpa, std.hash.Wyhash.hash(0, std.mem.asBytes(&model.state)));
        if (!entry.found_existing) try path.append(gpa, .{ .state = model.state });
    }
    return visited.count();
}

/// Whether a violation is expected.
var quiet = false;

/// Says what led there.
fn explain(violation: Violation, path: []const Frame) Violation {
    if (quiet) return violation;
    for (path) |frame| {
        const id = (frame.choice - 1) / choices_of_thread;
        const which = (frame.choice - 1) % choices_of_thread;
        const what = if (which == 0) "" else if (which == 1) " (stops instead)" else " (a store of its arrives)";
        std.debug.print("thread {d}: {t}{s}\n", .{ id, frame.state.threads[id].step, what });
    }
    return violation;
}

/// A queue that blocks: it wraps around, and producers sleep for space.
const blocking = [_]Options{
    .{ .producers = &.{ &.{ 1, 1 }, &.{1} }, .word_count = 2, .limit = 2 },
    .{ .producers = &.{ &.{ 2, 1 }, &.{1} }, .word_count = 4, .limit = 3 },
    .{ .producers = &.{&.{ 1, 2, 1 }}, .word_count = 2, .limit = 2, .slices = true },
};
/// One that drops the oldest: three threads take.
const dropping = [_]Options{
    .{ .producers = &.{ &.{ 1, 1 }, &.{1} }, .word_count = 2, .limit = 1, .drop_oldest = true },
    .{ .producers = &.{ &.{ 2, 1 }, &.{2} }, .word_count = 2, .limit = 2, .drop_oldest = true },
};
/// More of the same: too many states for code that isn't optimized.
const larger = [_]Options{
    .{ .producers = &.{ &.{ 1, 1 }, &.{ 1, 1 } }, .word_count = 2, .limit = 2 },
    .{ .producers = &.{ &.{ 2, 1 }, &.{ 1, 2 } }, .word_count = 4, .limit = 3 },
    .{ .producers = &.{ &.{ 1, 1 }, &.{2} }, .word_count = 2, .limit = 2, .slices = true },
    .{ .producers = &.{ &.{ 1, 1 }, &.{ 1, 1 } }, .word_count = 2, .limit = 2, .drop_oldest = true },
};

test "in every order of its steps, whatever the memory, the queue keeps its promises and no wake is lost" {
    if (builtin.sanitize_thread) return error.SkipZigTest;
    for (std.enums.values(Memory)) |memory| {
        for (blocking ++ dropping) |one| {
            var options = one;
            options.memory = memory;
            try std.testing.expect(try explore(options) > 1000);
        }
    }
}

test "the same with two records from each of two producers" {
    if (builtin.sanitize_thread or builtin.mode == .Debug) return error.SkipZigTest;
    for (larger) |one| {
        var options = one;
        // What can happen in the other two can happen in this one.
        options.memory = .weak;
        try std.testing.expect(try explore(options) > 50_000);
    }
}

test "whatever is taken from the protocol, the model finds what goes wrong" {
    if (builtin.sanitize_thread) return error.SkipZigTest;
    // Where stores don't wait, and where they keep their order, it takes less.
    for ([_]struct { Mutation, Memory }{
        .{ .commit_releases, .sequential },
        .{ .wake_loads_monotonic, .tso },
        .{ .never_emptied, .sequential },
        .{ .tail_monotonic, .tso },
    }) |case| {
        for (blocking) |one| {
            var options = one;
            options.mutation, options.memory = case;
            _ = try explore(options);
        }
    }
    for ([_]struct { Options, Mutation, Memory, Violation }{
        .{ blocking[0], .commit_releases, .tso, error.LostWake },
        .{ blocking[0], .commit_releases, .weak, error.LostWake },
        .{ dropping[0], .commit_releases, .tso, error.LostWake },
        .{ blocking[0], .wake_loads_monotonic, .weak, error.LostWake },
        .{ blocking[0], .clears_late, .sequential, error.LostWake },
        .{ blocking[0], .never_emptied, .tso, error.LostSpaceWake },
        .{ blocking[0], .sees_late, .sequential, error.LostSpaceWake },
        .{ blocking[0], .tail_first, .sequential, error.NotFree },
        .{ blocking[0], .tail_monotonic, .weak, error.NotFree },
        .{ dropping[1], .takes_always, .sequential, error.Torn },
        .{ dropping[0], .taking_monotonic, .weak, error.Twice },
    }) |case| {
        var options, const mutation, const memory, const violation = case;
        options.mutation = mutation;
        options.memory = memory;
        quiet = true;
        defer quiet = false;
        try std.testing.expectError(violation, explore(options));
    }
}
