//! What a tag's isolates, one after another, have in common: the ids of its slots; and a link for each slot, with which
//! C lists the handles that it has released. The memory never moves, since any thread may be releasing one.

const std = @import("std");
const abi = @import("../abi.zig");
const pages = @import("../os/pages.zig");

const max_slots = abi.max_handle_slots;
const links_byte_offset = abi.handle_links_byte_offset;
const byte_length = links_byte_offset + max_slots * @sizeOf(Link);

/// What a slot's link says. JavaScript unlists by clearing the lower half, and reads the generation after that.
pub const Link = packed struct(u64) {
    /// The place that comes next in the list: the slot and one, 0 at its end.
    next: u23 = 0,
    /// Of the isolate on whose list the slot is: with any other epoch it is on none. 0 is nobody's.
    epoch: u9 = 0,
    /// Of the handle that was released.
    generation: u32 = 0,
};

/// What became of a release.
pub const Outcome = enum {
    /// It is on the list.
    listed,
    /// It is on the list, in the place of one that was stale.
    replaced,
    /// The id is none, or no live handle's, or on the list already.
    stale,
};

pub const Registry = struct {
    /// Null until there is a first handle.
    memory: ?[*]align(std.heap.page_size_min) u8 = null,
    /// How many slots have memory. Any thread reads it, and `memory` after it.
    length: u32 = 0,
    /// Of the isolate that has the tag, 1 to 511.
    epoch: u9 = 0,

    /// The ids of at least `count` slots. Only one thread at a time asks.
    pub fn grow(registry: *Registry, count: u32) ?[*]f64 {
        if (count > max_slots) return null;
        const memory = registry.memory orelse pages.reserve(byte_length) orelse return null;
        registry.memory = memory;
        if (count > registry.length) {
            if (!pages.commit(memory[0 .. count * @sizeOf(f64)])) return null;
            if (!pages.commit(memory[links_byte_offset..][0 .. count * @sizeOf(Link)])) return null;
            @atomicStore(u32, &registry.length, count, .release);
        }
        return @ptrCast(memory);
    }

    /// Unlists what the isolates before have left on theirs. Nobody else begins an epoch at the same time.
    pub fn beginEpoch(registry: *Registry) void {
        registry.epoch +%= 1;
        if (registry.epoch != 0) return;
        registry.epoch = 1;
        // A page that nobody has written is not to take memory now.
        for (registry.links()) |*link| if (link.* != Link{}) @atomicStore(Link, link, .{}, .release);
    }

    /// The links of all slots that have memory.
    pub fn links(registry: *Registry) []Link {
        const length = @atomicLoad(u32, &registry.length, .acquire);
        const memory = registry.memory orelse return &.{};
        const first: [*]Link = @ptrCast(memory[links_byte_offset..]);
        return first[0..length];
    }

    /// Lists a handle for an isolate, whose `head` is the first place of its list. From any thread; `id` is
    /// below 2^53 and not 0.
    pub fn release(registry: *Registry, id: u64, epoch: u9, head: *u32) Outcome {
        const slot: u32 = @intCast((id >> 1) % max_slots);
        const generation: u32 = @intCast(id >> 31);
        const slots = registry.links();
        if (slot >= slots.len) return .stale;
        const link = &slots[slot];
        const ids: [*]const f64 = @ptrCast(registry.memory.?);
        var first = @atomicLoad(u32, head, .monotonic);
        var old = @atomicLoad(Link, link, .acquire);
        while (true) {
            // After the link: when the slot has got another handle since, and that one was released, the link has
            // changed.
            if (@atomicLoad(f64, &ids[slot], .monotonic) != @as(f64, @floatFromInt(id))) return .stale;
            const listed = old.epoch == epoch;
            if (listed and old.generation == generation) return .stale;
            // A handle that is listed and no longer the slot's was deleted meanwhile: this one takes its place.
            const next: u23 = if (listed) old.next else @intCast(first);
            const new: Link = .{ .next = next, .epoch = epoch, .generation = generation };
            old = @cmpxchgWeak(Link, link, old, new, .acq_rel, .acquire) orelse {
                if (listed) return .replaced;
                old = new;
                break;
            };
        }
        // Others may put a younger generation into the link, but only we change what comes next.
        while (@cmpxchgWeak(u32, head, first, slot + 1, .acq_rel, .monotonic)) |actual| {
            first = actual;
            while (true) {
                // Another isolate has the tag, and the slot: nobody waits for this one.
                if (old.epoch != epoch) return .stale;
                const new: Link = .{ .next = @intCast(first), .epoch = epoch, .generation = old.generation };
                old = @cmpxchgWeak(Link, link, old, new, .acq_rel, .monotonic) orelse {
                    old = new;
                    break;
                };
            }
        }
        return .listed;
    }

    /// For tests.
    pub fn free(registry: *Registry) void {
        if (registry.memory) |memory| pages.unmap(memory[0..byte_length]);
        registry.* = .{};
    }
};
