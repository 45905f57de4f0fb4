const std = @import("std");

/// `zig build` makes the core for one target; `zig build test` runs its tests; `zig build record` writes what TypeScript has to
/// know of it to `zig-out/record.ts`.
pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const sanitize_thread = b.option(bool, "sanitize-thread", "Run the tests under ThreadSanitizer") orelse false;

    const core = b.createModule(.{
        .root_source_file = b.path("src/root.zig"),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
        .strip = optimize != .Debug,
        .pic = true,
    });
    const library = b.addLibrary(.{
        .linkage = .dynamic,
        .name = "belay",
        .use_llvm = true,
        .root_module = core,
    });
    b.installArtifact(library);

    const test_module = b.createModule(.{
        .root_source_file = b.path("src/tests.zig"),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
        .sanitize_thread = sanitize_thread,
    });
    const header = b.addTranslateC(.{
        .root_source_file = b.path("src/core.h"),
        .target = target,
        .optimize = optimize,
    });
    test_module.addImport("header", header.createModule());
    const tests = b.addTest(.{ .root_module = test_module, .use_llvm = true });
    b.step("test", "Run the native tests").dependOn(&b.addRunArtifact(tests).step);

    // For this machine: it is run. Structures are the same on every processor that belay knows.
    const record_module = b.createModule(.{
        .root_source_file = b.path("record.zig"),
        .target = b.graph.host,
        .optimize = .Debug,
        .link_libc = true,
    });
    record_module.addAnonymousImport("abi", .{ .root_source_file = b.path("src/abi.zig") });
    const record = b.addRunArtifact(b.addExecutable(.{ .name = "record", .root_module = record_module }));
    const written = b.addInstallFile(record.captureStdOut(.{}), "record.ts");
    b.step("record", "Write zig-out/record.ts").dependOn(&written.step);
}
