//! Pages: for code, writable first, then executable, never both; and for what grows without moving.

const std = @import("std");
const builtin = @import("builtin");

const windows = struct {
    extern "kernel32" fn VirtualAlloc(address: ?*anyopaque, byte_length: usize, kind: u32, protection: u32) callconv(.c) ?[*]u8;
    extern "kernel32" fn VirtualProtect(address: [*]u8, byte_length: usize, protection: u32, old: *u32) callconv(.c) c_int;
    extern "kernel32" fn VirtualFree(address: [*]u8, byte_length: usize, kind: u32) callconv(.c) c_int;
    extern "kernel32" fn GetCurrentProcess() callconv(.c) *anyopaque;
    extern "kernel32" fn FlushInstructionCache(process: *anyopaque, address: [*]u8, byte_length: usize) callconv(.c) c_int;
    const commit_pages = 0x1000;
    const reserve_pages = 0x2000;
    const release = 0x8000;
    const no_access = 0x01;
    const read_write = 0x04;
    const execute_read = 0x20;
};

const posix = struct {
    extern "c" fn mmap(address: ?*anyopaque, byte_length: usize, protection: c_int, flags: c_int, fd: c_int, offset: i64) callconv(.c) usize;
    extern "c" fn mprotect(address: [*]u8, byte_length: usize, protection: c_int) callconv(.c) c_int;
    extern "c" fn madvise(address: [*]u8, byte_length: usize, advice: c_int) callconv(.c) c_int;
    extern "c" fn mincore(address: [*]u8, byte_length: usize, states: [*]u8) callconv(.c) c_int;
    extern "c" fn munmap(address: [*]u8, byte_length: usize) callconv(.c) c_int;
    const read = 1;
    const write = 2;
    const execute = 4;
    /// MADV_DONTNEED; on macOS MADV_FREE, which takes memory when there is too little.
    const dont_need = if (builtin.os.tag == .linux) 4 else 5;
    /// MAP_PRIVATE and MAP_ANONYMOUS, which macOS numbers its own way.
    const private_anonymous = if (builtin.os.tag == .linux) 0x22 else 0x1002;
};

/// Zeroed pages that can be written.
pub fn mapWritable(byte_length: usize) ?[]u8 {
    if (builtin.os.tag == .windows) {
        const address = windows.VirtualAlloc(null, byte_length, windows.commit_pages | windows.reserve_pages, windows.read_write) orelse return null;
        return address[0..byte_length];
    }
    const address = posix.mmap(null, byte_length, posix.read | posix.write, posix.private_anonymous, -1, 0);
    if (address == std.math.maxInt(usize)) return null;
    return @as([*]u8, @ptrFromInt(address))[0..byte_length];
}

/// Addresses that nothing is behind: they take no memory.
pub fn reserve(byte_length: usize) ?[*]align(std.heap.page_size_min) u8 {
    if (builtin.os.tag == .windows) {
        return @alignCast(windows.VirtualAlloc(null, byte_length, windows.reserve_pages, windows.no_access) orelse return null);
    }
    const address = posix.mmap(null, byte_length, 0, posix.private_anonymous, -1, 0);
    return if (address == std.math.maxInt(usize)) null else @ptrFromInt(address);
}

/// Puts zeroed pages behind a part of them, which begins at a page. What is there already stays as it is.
pub fn commit(memory: []align(std.heap.page_size_min) u8) bool {
    if (memory.len == 0) return true;
    if (builtin.os.tag == .windows) {
        return windows.VirtualAlloc(memory.ptr, memory.len, windows.commit_pages, windows.read_write) != null;
    }
    return posix.mprotect(memory.ptr, memory.len, posix.read | posix.write) == 0;
}

/// How much below a stack's memory faults, whatever skips over it: more than any page.
const guard_byte_length = 64 * 1024;

/// Memory for a stack, which takes none before it is used. Below it is a part that faults. On Windows all of it is there
/// from the start: the system would make it grow, as it does a thread's, but Wine doesn't.
pub fn mapStack(byte_length: usize) ?[]align(std.heap.page_size_min) u8 {
    const whole_byte_length = guard_byte_length + byte_length;
    const whole = reserve(whole_byte_length) orelse return null;
    const memory: []align(std.heap.page_size_min) u8 = @alignCast(whole[guard_byte_length..whole_byte_length]);
    if (!commit(memory)) {
        unmap(whole[0..whole_byte_length]);
        return null;
    }
    // A stack of which a few words are used would take 2 MB.
    if (builtin.os.tag == .linux) _ = std.os.linux.madvise(memory.ptr, memory.len, std.os.linux.MADV.NOHUGEPAGE);
    return memory;
}

pub fn unmapStack(memory: []align(std.heap.page_size_min) u8) void {
    unmap((memory.ptr - guard_byte_length)[0 .. memory.len + guard_byte_length]);
}

/// Gives the system the memory behind a part of a mapping, which is zeroes when it is used again. On Windows it stays.
pub fn forget(memory: []align(std.heap.page_size_min) u8) void {
    if (builtin.os.tag == .windows or memory.len == 0) return;
    _ = posix.madvise(memory.ptr, memory.len, posix.dont_need);
}

/// How many bytes of a mapping have memory behind them. On Windows all of a stack has.
pub fn resident(memory: []align(std.heap.page_size_min) u8) usize {
    if (builtin.os.tag == .windows) return memory.len;
    const page = std.heap.pageSize();
    var states: [2048]u8 = undefined;
    var byte_length: usize = 0;
    var at: usize = 0;
    while (at < memory.len) : (at += states.len * page) {
        const length = @min(memory.len - at, states.len * page);
        if (posix.mincore(memory.ptr + at, length, &states) != 0) return byte_length;
        for (states[0 .. length / page]) |state| byte_length += if (state & 1 != 0) page else 0;
    }
    return byte_length;
}

/// Ends writing: from now on the pages can be read and executed.
pub fn makeExecutable(memory: []u8) bool {
    if (builtin.os.tag == .windows) {
        var old: u32 = undefined;
        return windows.VirtualProtect(memory.ptr, memory.len, windows.execute_read, &old) != 0 and
            windows.FlushInstructionCache(windows.GetCurrentProcess(), memory.ptr, memory.len) != 0;
    }
    if (builtin.cpu.arch == .aarch64) showInstructions(memory);
    return posix.mprotect(memory.ptr, memory.len, posix.read | posix.execute) == 0;
}

const darwin = struct {
    extern "c" fn sys_icache_invalidate(start: [*]u8, byte_length: usize) callconv(.c) void;
};

/// AArch64 fetches instructions from a cache that doesn't see what was written: the lines of data are cleaned to where
/// both meet, then those of instructions are dropped (Arm's reference manual, "Synchronization and coherency issues
/// between data and instruction accesses").
fn showInstructions(memory: []u8) void {
    if (builtin.os.tag.isDarwin()) return darwin.sys_icache_invalidate(memory.ptr, memory.len);
    const types = asm ("mrs %[types], ctr_el0"
        : [types] "=r" (-> u64),
    );
    const start = @intFromPtr(memory.ptr);
    const end = start + memory.len;
    const data_line = @as(usize, 4) << @truncate(types >> 16 & 15);
    var line = start & ~(data_line - 1);
    while (line < end) : (line += data_line) asm volatile ("dc cvau, %[line]"
        :
        : [line] "r" (line),
        : .{ .memory = true });
    asm volatile ("dsb ish" ::: .{ .memory = true });
    const instruction_line = @as(usize, 4) << @truncate(types & 15);
    line = start & ~(instruction_line - 1);
    while (line < end) : (line += instruction_line) asm volatile ("ic ivau, %[line]"
        :
        : [line] "r" (line),
        : .{ .memory = true });
    asm volatile ("dsb ish\nisb" ::: .{ .memory = true });
}

pub fn unmap(memory: []u8) void {
    if (builtin.os.tag == .windows) {
        _ = windows.VirtualFree(memory.ptr, 0, windows.release);
    } else {
        _ = posix.munmap(memory.ptr, memory.len);
    }
}
