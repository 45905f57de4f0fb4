#!/usr/bin/env bash
# Guess: in assembly `.cfi_restore_state` puts back what `.cfi_remember_state` kept of the
#   unwinding rules, the offset of the frame's address among it. So `.cfi_adjust_cfa_offset`
#   after it counts from the offset that was remembered.
# Seen: GNU's assembler does so. LLVM's restores the rules in what it writes, and goes on
#   counting from the offset of before: of a function with a return in its middle, all
#   that follows has a frame's address too low by what was popped there. No warning.
#   `.cfi_def_cfa_offset`, which says the whole offset, is right in both.
# Versions: Clang 21.1.0 in Zig 0.16.0 (ziglang 0.16.0 of PyPI); GNU as 2.40 (Debian 12);
#   pyelftools 0.32. x86_64 linux.
# Why it matters: what calls C by hand (trampolines, switches of stacks, thunks) is such
#   assembly, which builds with GNU and is shipped by LLVM: Zig, Rust's `global_asm!`, Clang.
#   Debuggers and profilers lose the stack there, and unwinders that check offsets panic:
#   Zig's own did, while it noted where memory was allocated.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target packages ziglang==0.16.0 pyelftools==0.32
export ZIG_GLOBAL_CACHE_DIR="$dir/cache"

# Pushes two registers; returns early after one. Where it calls, the frame's address is 24 bytes up.
write() {
  cat > "$1.s" <<ASM
	.text
	.globl early_return
early_return:
	.cfi_startproc
	pushq %rbx
	.cfi_adjust_cfa_offset 8
	testl %edi, %edi
	je 1f
	.cfi_remember_state
	popq %rbx
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_restore_state
1:
	pushq %r12
	$2
	call other
	popq %r12
	popq %rbx
	ret
	.cfi_endproc
ASM
}
write adjusted ".cfi_adjust_cfa_offset 8"
write whole ".cfi_def_cfa_offset 24"

cat > offset_at_call.py <<'PY'
import sys
sys.path.insert(0, "packages")
from elftools.elf.elffile import ELFFile
with open(sys.argv[1], "rb") as file:
    entries = ELFFile(file).get_dwarf_info().EH_CFI_entries()
    rows = [row for entry in entries if hasattr(entry, "cie") and entry.cie for row in entry.get_decoded().table]
    print(rows[-1]["cfa"].offset)
PY

seen=""
for file in adjusted whole; do
  packages/ziglang/zig cc -target x86_64-linux-gnu -c $file.s -o llvm_$file.o
  as $file.s -o gnu_$file.o
  for assembler in gnu llvm; do
    seen+="$assembler, $file: $(python3 offset_at_call.py ${assembler}_$file.o)"$'\n'
  done
done
echo -n "$seen"
expected="gnu, adjusted: 24
llvm, adjusted: 16
gnu, whole: 24
llvm, whole: 24
"
[ "$seen" = "$expected" ]
