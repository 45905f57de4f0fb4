//! Every native test: `zig build test`. It is here and not in `tests/`, since what it imports must be below its folder.

test {
    _ = @import("channel.zig");
    _ = @import("interposition.zig");
    _ = @import("library.zig");
    _ = @import("os/futex.zig");
    _ = @import("os/lock.zig");
    _ = @import("os/pages.zig");
    _ = @import("os/stack.zig");
    _ = @import("os/threads.zig");
    _ = @import("queued/enqueue.zig");
    _ = @import("root.zig");
    _ = @import("waking/waker.zig");

    _ = @import("tests/caller_test.zig");
    _ = @import("tests/calls_test.zig");
    _ = @import("tests/channel_test.zig");
    _ = @import("tests/dispatch_test.zig");
    _ = @import("tests/fetching_test.zig");
    _ = @import("tests/header_test.zig");
    _ = @import("tests/lifecycle_test.zig");
    _ = @import("tests/memory_test.zig");
    _ = @import("tests/queue_model.zig");
    _ = @import("tests/queue_test.zig");
    _ = @import("tests/queued_test.zig");
    _ = @import("tests/registry_test.zig");
    _ = @import("tests/release_test.zig");
    _ = @import("tests/stacks_test.zig");
    _ = @import("tests/thunks_test.zig");
}
