//! Where a library's own code finds one of its variables. On ELF systems that isn't always where the library defines
//! it: names are looked up in the program first, and a program that was linked with the library may have a copy of the
//! variable (`environ`, `stdin`). The loader has written what it found into the library's table of addresses; it is
//! read from there. On macOS and Windows a library's own definition is the one that it uses.

const std = @import("std");
const builtin = @import("builtin");
const elf = std.elf;

const is_elf = builtin.os.tag == .linux;

/// Where the code of the library that defines a variable of this name, at this address, finds it.
pub fn seenByItsLibrary(variable: *anyopaque, name: [*:0]const u8) *anyopaque {
    if (!is_elf) return variable;
    var search: Search = .{ .variable = @intFromPtr(variable), .name = std.mem.span(name) };
    _ = std.c.dl_iterate_phdr(Search.visit, &search);
    return search.found orelse variable;
}

const Search = struct {
    variable: usize,
    name: []const u8,
    found: ?*anyopaque = null,

    const stop = 1;
    const go_on = 0;
    const global_data = switch (builtin.cpu.arch) {
        .x86_64 => @intFromEnum(elf.R_X86_64.GLOB_DAT),
        .aarch64 => @intFromEnum(elf.R_AARCH64.GLOB_DAT),
        else => @compileError("belay doesn't know this processor's relocations"),
    };

    fn visit(info: *std.c.dl_phdr_info, _: usize, context: ?*anyopaque) callconv(.c) c_int {
        const search: *Search = @ptrCast(@alignCast(context.?));
        const headers = info.phdr[0..info.phnum];
        for (headers) |header| {
            const start = info.addr +% header.vaddr;
            if (header.type != .LOAD or search.variable < start or search.variable - start >= header.memsz) continue;
            for (headers) |other| {
                if (other.type == .DYNAMIC) search.look(info.addr, @ptrFromInt(info.addr +% other.vaddr));
            }
            return stop;
        }
        return go_on;
    }

    fn look(search: *Search, base: usize, entries: [*]const elf.Elf64_Dyn) void {
        var symbols: usize = 0;
        var strings: usize = 0;
        var relocations: usize = 0;
        var byte_length: usize = 0;
        var next = entries;
        while (next[0].d_tag != elf.DT_NULL) : (next += 1) {
            const value: usize = @intCast(next[0].d_val);
            switch (next[0].d_tag) {
                elf.DT_SYMTAB => symbols = address(base, value),
                elf.DT_STRTAB => strings = address(base, value),
                elf.DT_RELA => relocations = address(base, value),
                elf.DT_RELASZ => byte_length = value,
                else => {},
            }
        }
        if (symbols == 0 or strings == 0 or relocations == 0) return;
        const names: [*]const u8 = @ptrFromInt(strings);
        const table: [*]const elf.Elf64_Sym = @ptrFromInt(symbols);
        const all: [*]const elf.Elf64_Rela = @ptrFromInt(relocations);
        for (all[0 .. byte_length / @sizeOf(elf.Elf64_Rela)]) |relocation| {
            if (relocation.r_type() != global_data) continue;
            const symbol = &table[relocation.r_sym()];
            const is_variable = symbol.st_type() == elf.STT_OBJECT and symbol.st_shndx != elf.SHN_UNDEF;
            if (!is_variable or base +% symbol.st_value != search.variable) continue;
            // It may have several names: C's library itself says `__environ`.
            const same = std.mem.eql(u8, std.mem.span(@as([*:0]const u8, @ptrCast(names + symbol.st_name))), search.name);
            if (search.found != null and !same) continue;
            search.found = @as(*const *anyopaque, @ptrFromInt(base +% relocation.r_offset)).*;
            if (same) return;
        }
    }

    /// glibc has made addresses of the offsets, musl hasn't.
    fn address(base: usize, value: usize) usize {
        return if (value < base) base + value else value;
    }
};

test "a variable that nothing interposes is where it is, and so is what no library has" {
    const Local = struct {
        var global: u32 = 7;
    };
    try std.testing.expectEqual(@as(*anyopaque, &Local.global), seenByItsLibrary(&Local.global, "global"));
    var local: u32 = 7;
    try std.testing.expectEqual(@as(*anyopaque, &local), seenByItsLibrary(&local, "local"));
}
