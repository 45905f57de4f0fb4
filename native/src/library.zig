//! Dynamic libraries, opened so that they stay mapped: C may hold a pointer into one for ever.

const std = @import("std");
const builtin = @import("builtin");
const allocator = @import("allocator.zig").allocator;
const abi = @import("abi.zig");
const interposition = @import("interposition.zig");
const weak = @import("os/weak.zig");

const posix = struct {
    const now = 2;
    const no_load: c_int = switch (builtin.os.tag) {
        .macos => 0x10,
        .freebsd => 0x2000,
        else => 4,
    };
    const no_delete: c_int = if (builtin.os.tag.isDarwin()) 0x80 else 0x1000;
    const global: c_int = if (builtin.os.tag.isDarwin()) 8 else 0x100;
    const deep_bind: c_int = 8;
    const Info = extern struct {
        file_name: ?[*:0]const u8,
        base: ?*anyopaque,
        symbol_name: ?[*:0]const u8,
        symbol: ?*anyopaque,
    };
    extern "c" fn dlopen(path: ?[*:0]const u8, flags: c_int) ?*anyopaque;
    extern "c" fn dlsym(library: ?*anyopaque, name: [*:0]const u8) ?*anyopaque;
    extern "c" fn dlclose(library: ?*anyopaque) c_int;
    extern "c" fn dlerror() ?[*:0]const u8;
    extern "c" fn dladdr(address: *const anyopaque, info: *Info) c_int;
};

const windows = struct {
    const from_address = 4;
    const pin_module = 1;
    extern "kernel32" fn LoadLibraryExW(path: [*:0]const u16, file: ?*anyopaque, flags: u32) callconv(.c) ?*anyopaque;
    extern "kernel32" fn GetModuleHandleW(name: ?[*:0]const u16) callconv(.c) ?*anyopaque;
    extern "kernel32" fn GetProcAddress(library: ?*anyopaque, name: [*:0]const u8) callconv(.c) ?*anyopaque;
    extern "kernel32" fn FreeLibrary(library: ?*anyopaque) callconv(.c) c_int;
    extern "kernel32" fn GetLastError() callconv(.c) u32;
    extern "kernel32" fn GetModuleHandleExW(flags: u32, address: ?*const anyopaque, module: *?*anyopaque) callconv(.c) c_int;
};

/// Opens a library, or the program itself; or answers null with the loader's reason in `reason`, cut to its length and ended by
/// a zero.
///
/// @param flags What `abi.zig` has for it.
pub fn open(path: ?[*:0]const u8, flags: u32, reason: []u8) ?*anyopaque {
    if (builtin.os.tag == .windows) {
        if (flags & (abi.open_global | abi.open_deep_bind) != 0) return fail(reason, "Windows has no symbols that libraries share");
        const given = path orelse return windows.GetModuleHandleW(null);
        const wide = std.unicode.utf8ToUtf16LeAllocZ(allocator, std.mem.span(given)) catch |err| return switch (err) {
            error.InvalidUtf8 => fail(reason, "the path is not UTF-8"),
            error.OutOfMemory => fail(reason, "there is no memory for the path"),
        };
        defer allocator.free(wide);
        const library = windows.LoadLibraryExW(wide, null, 0) orelse {
            var text: [32]u8 = undefined;
            return fail(reason, std.fmt.bufPrint(&text, "Windows error {d}", .{windows.GetLastError()}) catch unreachable);
        };
        var same: ?*anyopaque = null;
        if (flags & abi.open_pinned != 0) _ = windows.GetModuleHandleExW(windows.from_address | windows.pin_module, library, &same);
        return library;
    }
    if (flags & abi.open_deep_bind != 0 and !isGlibc()) return fail(reason, "this system's loader has no RTLD_DEEPBIND");
    const mode = posix.now | (if (flags & abi.open_pinned != 0) posix.no_delete else 0) |
        (if (flags & abi.open_global != 0) posix.global else 0) |
        (if (flags & abi.open_deep_bind != 0) posix.deep_bind else 0);
    return posix.dlopen(path, mode) orelse
        fail(reason, if (posix.dlerror()) |text| std.mem.span(text) else "the loader gave no reason");
}

fn isGlibc() bool {
    return builtin.os.tag == .linux and weak.address("__libc_stack_end") != 0;
}

fn fail(reason: []u8, text: []const u8) ?*anyopaque {
    if (reason.len == 0) return null;
    const length = @min(text.len, reason.len - 1);
    @memcpy(reason[0..length], text[0..length]);
    reason[length] = 0;
    return null;
}

pub fn symbol(library: *anyopaque, name: [*:0]const u8) ?*anyopaque {
    return if (builtin.os.tag == .windows) windows.GetProcAddress(library, name) else posix.dlsym(library, name);
}

/// As `symbol`, for a variable: the one that the library's own code uses.
pub fn variable(library: *anyopaque, name: [*:0]const u8) ?*anyopaque {
    return interposition.seenByItsLibrary(symbol(library, name) orelse return null, name);
}

/// A symbol of the running program, or of what it was linked with.
pub fn symbolOfProgram(name: [*:0]const u8) ?*anyopaque {
    if (builtin.os.tag == .windows) return windows.GetProcAddress(windows.GetModuleHandleW(null), name);
    const default: ?*anyopaque = if (builtin.os.tag.isDarwin()) @ptrFromInt(@as(usize, @bitCast(@as(isize, -2)))) else null;
    return posix.dlsym(default, name);
}

pub fn close(library: *anyopaque) void {
    if (builtin.os.tag == .windows) {
        _ = windows.FreeLibrary(library);
    } else {
        _ = posix.dlclose(library);
    }
}

/// Keeps the library that `address` belongs to mapped until the process ends.
pub fn pin(address: *const anyopaque) bool {
    if (builtin.os.tag == .windows) {
        var module: ?*anyopaque = null;
        return windows.GetModuleHandleExW(windows.from_address | windows.pin_module, address, &module) != 0;
    }
    var info: posix.Info = undefined;
    if (posix.dladdr(address, &info) == 0) return false;
    return posix.dlopen(info.file_name, posix.now | posix.no_delete | posix.no_load) != null;
}

/// What a library calls the function at an address; null where it has no name for it, and on Windows.
pub fn functionName(address: *const anyopaque) ?[]const u8 {
    if (builtin.os.tag == .windows) return null;
    var info: posix.Info = undefined;
    if (posix.dladdr(address, &info) == 0) return null;
    return std.mem.span(info.symbol_name orelse return null);
}

test "a library that isn't there gives the loader's reason, cut to the space there is" {
    var reason: [256]u8 = undefined;
    try std.testing.expectEqual(@as(?*anyopaque, null), open("/nowhere/libnothing.so", abi.open_pinned, &reason));
    try std.testing.expect(std.mem.indexOfScalar(u8, &reason, 0).? > 0);
    var short: [8]u8 = undefined;
    try std.testing.expectEqual(@as(?*anyopaque, null), open("/nowhere/libnothing.so", abi.open_pinned, &short));
    try std.testing.expect(std.mem.indexOfScalar(u8, &short, 0) != null);
    try std.testing.expectEqual(@as(?*anyopaque, null), open("/nowhere/libnothing.so", abi.open_pinned, short[0..0]));
}

test "a library gives its symbols, and null for one that it lacks" {
    const path = if (builtin.os.tag == .windows)
        "kernel32.dll"
    else if (builtin.os.tag.isDarwin())
        "/usr/lib/libSystem.B.dylib"
    else if (builtin.abi.isMusl())
        return error.SkipZigTest
    else
        "libc.so.6";
    var reason: [256]u8 = undefined;
    const library = open(path, 0, &reason).?;
    defer close(library);
    const name = if (builtin.os.tag == .windows) "GetLastError" else "getpid";
    try std.testing.expect(symbol(library, name) != null);
    try std.testing.expectEqual(@as(?*anyopaque, null), symbol(library, "belay_no_such_symbol"));
}

test "a path of any length gives the loader's reason" {
    var path: [10_000:0]u8 = @splat('a');
    var reason: [256]u8 = undefined;
    for ([_]usize{ 255, 4095, 4096, 5000, path.len }) |length| {
        @memset(path[0..length], 'a');
        path[length] = 0;
        try std.testing.expectEqual(@as(?*anyopaque, null), open(&path, abi.open_pinned, &reason));
        try std.testing.expect(std.mem.indexOfScalar(u8, &reason, 0).? > 0);
    }
}
