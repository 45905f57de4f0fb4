const std = @import("std");

/// `zig build` makes the core for one target; `zig build test` runs its tests; `zig build record` writes what TypeScript has to
/// know of it to `zig-out/record.ts`.
pub fn build(b: *std.Build) void {
    const target = b.standardTargetOptions(.{});
    const optimize = b.standardOptimizeOption(.{});
    const sanitize_thread = b.option(bool, "sanitize-thread", "Run the tests under ThreadSanitizer") orelse false;

    const library = b.addLibrary(.{
        .linkage = .dynamic,
        .name = "belay",
        .use_llvm = true,
        .root_module = coreModule(b, target, optimize),
    });
    // What the core needs of it, it has itself, or the C library does. On Windows all of it would be linked.
    library.bundle_compiler_rt = optimize == .Debug;
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

/// The module that is linked as the core: the object file of its code, without Zig's way of linking a C library. On Linux
/// the program has one already, glibc or musl, and what only one of them has is looked up weakly. On Windows the system
/// has one, and Zig's would bring its own start and all of its mathematics along.
fn coreModule(b: *std.Build, target: std.Build.ResolvedTarget, optimize: std.builtin.OptimizeMode) *std.Build.Module {
    const os = target.result.os.tag;
    const code = b.createModule(.{
        .root_source_file = b.path("src/root.zig"),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
        .strip = optimize != .Debug,
        .pic = true,
        // Debuggers and profilers unwind through the core, from C to the end of its own stack. On Windows every function has
        // to say how. On macOS it would take more than the size allows.
        .unwind_tables = switch (os) {
            .windows => null,
            .macos => .none,
            else => .async,
        },
    });
    if (os != .linux and os != .windows) return code;
    const object = b.addObject(.{ .name = "belay", .root_module = code, .use_llvm = true });
    var query = target.query;
    if (os == .linux) query.abi = .none;
    const linked = b.createModule(.{
        .root_source_file = if (os == .windows) b.path("src/os/windows_start.zig") else null,
        .target = b.resolveTargetQuery(query),
        .optimize = optimize,
        .link_libc = false,
        .strip = optimize != .Debug,
        .pic = true,
    });
    linked.addObjectFile(object.getEmittedBin());
    if (os == .windows) {
        const libraries = [_][]const u8{
            "kernel32",
            "ntdll",
            "api-ms-win-crt-heap-l1-1-0",
            "api-ms-win-crt-private-l1-1-0",
            "api-ms-win-crt-string-l1-1-0",
        };
        for (libraries) |name| linked.linkSystemLibrary(name, .{});
    }
    return linked;
}
