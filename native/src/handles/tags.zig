//! Registry tags, and handles that C releases: the tag of an id says which isolate has the handle. A tag and its ids go
//! from one isolate to the next, so that no id is issued twice.

const abi = @import("../abi.zig");
const isolates = @import("../isolate.zig");
const Isolate = isolates.Isolate;
const Registry = @import("registry.zig").Registry;

const tag_count = abi.max_isolates + 1;

/// A tag outlives the isolates that have it.
const Tag = struct {
    used: bool = false,
    /// How many slots have been used, and the id that each holds or issues next: the next isolate goes on from there.
    slots: u32 = 0,
    registry: Registry = .{},
};
/// Claimed and left under the lock of `lifecycle.zig`.
pub var table: [tag_count]Tag = @splat(.{});

/// The isolate that has each tag. Any thread reads it.
pub var holders: [tag_count]?*Isolate = @splat(null);

comptime {
    // For assembly.
    @export(&holders, .{ .name = "belay_tag_holders", .visibility = .hidden });
}

/// Gives an isolate a tag; false when there is none left. Under the lock.
pub fn claim(isolate: *Isolate) bool {
    for (table[1..], 1..) |*tag, number| {
        if (tag.used) continue;
        tag.used = true;
        isolate.words.tag = @intCast(number);
        isolate.words.handle_slots = tag.slots;
        tag.registry.beginEpoch();
        isolate.epoch = tag.registry.epoch;
        @atomicStore(?*Isolate, &holders[number], isolate, .release);
        return true;
    }
    return false;
}

/// Takes an isolate's tag away. Under the lock.
pub fn leave(isolate: *Isolate) void {
    const tag = &table[isolate.words.tag];
    @atomicStore(?*Isolate, &holders[isolate.words.tag], null, .release);
    tag.slots = @min(isolate.words.handle_slots, tag.registry.length);
    tag.used = false;
}

/// How many tags isolates have. Under the lock.
pub fn usedCount() u32 {
    var used: u32 = 0;
    for (&table) |*tag| used += @intFromBool(tag.used);
    return used;
}

/// Memory for the ids of at least `count` slots of the isolate's registry. On the isolate's thread.
pub fn registryIds(isolate: *Isolate, count: u32) ?[*]f64 {
    isolate.assertOwnThread();
    return table[isolate.words.tag].registry.grow(count);
}

/// Has the isolate that a handle belongs to delete it when its JavaScript looks next. From any thread, on any stack,
/// with anything: `belay_handle_release`. It touches no thread-local variable, whose memory may be allocated by that.
pub fn release(user_data: ?*anyopaque) callconv(.c) void {
    // C frees NULL all the time.
    if (user_data == null) return;
    const id: u64 = @intFromPtr(user_data);
    const tag: usize = @intCast((id >> 23) % tag_count);
    if (id >> 53 != 0 or tag == 0) {
        // It could be anybody's.
        for (1..tag_count) |each| if (holderOf(each)) |isolate| countStale(isolate);
        return;
    }
    const isolate = holderOf(tag) orelse return;
    switch (table[tag].registry.release(id, isolate.epoch, &isolate.words.released)) {
        .listed => _ = @atomicRmw(u32, &isolate.words.attention, .Or, abi.attention_release, .release),
        .replaced, .stale => countStale(isolate),
    }
}

fn holderOf(tag: usize) ?*Isolate {
    const isolate = @atomicLoad(?*Isolate, &holders[tag], .acquire) orelse return null;
    return if (isolate.words.isLive()) isolate else null;
}

fn countStale(isolate: *Isolate) void {
    _ = @atomicRmw(u32, &isolate.words.stale_releases, .Add, 1, .monotonic);
}
