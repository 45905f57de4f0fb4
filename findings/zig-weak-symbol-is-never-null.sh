#!/usr/bin/env bash
# Guess: a weak symbol that no library has is null in Zig: `@extern(?*T, .{ .linkage =
#   .weak })` gives an optional pointer, so `if (f) |found|` looks whether it is there,
#   as `if (f)` does in C with `__attribute__((weak))`.
# Seen: the branch for a symbol that is there is taken, with a pointer of address 0, in
#   every mode. The comparison is folded away at compile time. C compiled by the same Zig
#   finds that the symbol is missing.
# Versions: Zig 0.16.0 (ziglang 0.16.0 of PyPI), x86_64 linux, LLVM backend.
# Why it matters: one library for several C libraries (glibc, musl, bionic) looks for
#   what only some have. Written so in Zig it calls address 0 where a function is missing.
#   Asking `dlsym`, or looking at the address as a number that is read at run time, tells.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target zig ziglang==0.16.0
export ZIG_GLOBAL_CACHE_DIR="$dir/cache"
zig="$dir/zig/ziglang/zig"

cat > missing.zig <<'ZIG'
const std = @import("std");

pub fn main() void {
    const function = @extern(?*const fn () callconv(.c) void, .{ .name = "nobody_has_this_function", .linkage = .weak });
    const variable = @extern(?*const u8, .{ .name = "nobody_has_this_variable", .linkage = .weak });
    if (function) |found| std.debug.print("function at {x}", .{@intFromPtr(found)}) else std.debug.print("no function", .{});
    if (variable) |found| std.debug.print(", variable at {x}\n", .{@intFromPtr(found)}) else std.debug.print(", no variable\n", .{});
}
ZIG
cat > missing.c <<'C'
#include <stdio.h>
__attribute__((weak)) extern void nobody_has_this_function(void);
__attribute__((weak)) extern const char nobody_has_this_variable;
int main(void) {
  printf("%s, %s\n", nobody_has_this_function ? "function" : "no function", &nobody_has_this_variable ? "variable" : "no variable");
}
C

seen=""
for mode in Debug ReleaseSafe ReleaseFast; do
  "$zig" build-exe missing.zig -O$mode -lc -fllvm -femit-bin=missing_zig
  seen+="$mode: $(./missing_zig 2>&1)"$'\n'
done
"$zig" cc -O2 missing.c -o missing_c
seen+="C: $(./missing_c)"
echo "$seen"
expected="Debug: function at 0, variable at 0
ReleaseSafe: function at 0, variable at 0
ReleaseFast: function at 0, variable at 0
C: no function, no variable"
[ "$seen" = "$expected" ]
