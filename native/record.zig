//! Writes `ffi/core/record.ts`: the numbers and the places of fields that TypeScript shares with the core, as the compiler has
//! them. `zig build record` puts it into `zig-out/`; `scripts/record.ts` compares and copies it.

const std = @import("std");
const abi = @import("abi");

const head =
    \\/**
    \\ * What TypeScript shares with the native core: its numbers, and where the fields of its structures are.
    \\ * `native/src/core.h` says what they mean. Generated from `native/src/abi.zig` by `deno task record`.
    \\ *
    \\ * `…Word` is the place of a field that is one word of 32 or 64 bits, among words of that width. `…ByteOffset` is that of
    \\ * any other field, and of all fields of a call, which is written at byte offsets.
    \\ *
    \\ * @module
    \\ */
    \\
    \\
;

const Unit = enum { words, bytes };

/// `drop_newest` after the prefix `onFull` is `onFullDropNewest`; after none it is `dropNewest`.
fn camelCase(comptime prefix: []const u8, comptime name: []const u8) []const u8 {
    comptime var result: []const u8 = prefix;
    comptime var upper = prefix.len > 0;
    inline for (name) |letter| {
        if (letter == '_') {
            upper = true;
            continue;
        }
        result = result ++ [1]u8{if (upper) std.ascii.toUpper(letter) else letter};
        upper = false;
    }
    return result;
}

fn constant(comptime name: []const u8, comptime value: comptime_int) []const u8 {
    return std.fmt.comptimePrint("export const {s} = {d};\n", .{ name, value });
}

fn numbers() []const u8 {
    comptime var lines: []const u8 = "";
    inline for (@typeInfo(abi).@"struct".decls) |declaration| {
        const value = @field(abi, declaration.name);
        if (@TypeOf(value) == comptime_int) {
            lines = lines ++ constant(camelCase("", declaration.name), value);
        } else if (@TypeOf(value) == type and @typeInfo(value) == .@"enum") {
            const prefix = [1]u8{std.ascii.toLower(declaration.name[0])} ++ declaration.name[1..];
            inline for (@typeInfo(value).@"enum".fields) |field| {
                lines = lines ++ constant(camelCase(prefix, field.name), field.value);
            }
        }
    }
    return lines;
}

fn fields(comptime prefix: []const u8, comptime Structure: type, comptime unit: Unit, comptime start: usize) []const u8 {
    comptime var lines: []const u8 = "";
    inline for (@typeInfo(Structure).@"struct".fields) |field| {
        if (std.mem.eql(u8, field.name, "unused")) continue;
        const byte_offset = start + @offsetOf(Structure, field.name);
        const size = @sizeOf(field.type);
        const name = camelCase(prefix, field.name);
        const is_word = @typeInfo(field.type) != .array and (size == 4 or size == 8);
        lines = lines ++ if (@typeInfo(field.type) == .@"struct")
            fields(prefix, field.type, unit, byte_offset)
        else if (unit == .words and is_word)
            constant(name ++ "Word", byte_offset / size)
        else
            constant(name ++ "ByteOffset", byte_offset);
    }
    return lines;
}

/// @param prefix Of the names of its fields; the name of the structure is `name`.
fn structure(
    comptime c_name: []const u8,
    comptime name: []const u8,
    comptime prefix: []const u8,
    comptime Structure: type,
    comptime unit: Unit,
) []const u8 {
    return "\n// A `" ++ c_name ++ "`.\n" ++
        constant(name ++ "ByteLength", @sizeOf(Structure)) ++ fields(prefix, Structure, unit, 0);
}

const text = blk: {
    @setEvalBranchQuota(1_000_000);
    break :blk head ++ numbers() ++
        structure("belay_isolate", "isolate", "", abi.Words, .words) ++
        structure("belay_thunk", "thunk", "thunk", abi.Slot, .words) ++
        structure("belay_fetch", "fetch", "fetch", abi.Fetch, .bytes) ++
        structure("belay_fetching", "fetching", "fetching", abi.Fetching, .bytes) ++
        structure("belay_call", "call", "call", abi.Call, .bytes) ++
        structure("belay_channel_words", "channel", "channel", abi.ChannelWords, .words);
};

pub fn main() void {
    var left: []const u8 = text;
    while (left.len > 0) {
        const written = std.c.write(1, left.ptr, left.len);
        if (written <= 0) @panic("cannot write the record");
        left = left[@intCast(written)..];
    }
}
