#!/usr/bin/env bash
# Guess: gcc and Clang follow one calling convention on x86-64 Linux, so that a union
#   which is passed or returned by value arrives whole, whichever of them compiled
#   each side. At the least a program that one of them compiled alone is right.
# Seen: of a union of a double and of struct { float; double; }, Clang passes and
#   returns 4 bytes of the first register's 8 only. It follows the structure, which
#   has padding where the double's upper half is. An argument loses its upper half
#   where either side is Clang's, in a program that is Clang's alone too, and so
#   does a result that Clang's code takes. gcc keeps both.
# Versions: Clang 21.1.0 (ziglang 0.16.0's `zig cc`), the machine's gcc, linux x64.
#   The same kind is reported in the LLVM project's issues 83388 and 76017, open.
# Why it matters: a binding that follows the convention is right with a library that
#   gcc compiled, and loses numbers with the same library from Clang. No declaration
#   is right for both. Such a union is to be passed by its address. And whoever tests
#   a binding against `zig cc` blames the binding.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
pip install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps --target "$dir/zig" ziglang==0.16.0
export ZIG_GLOBAL_CACHE_DIR="$dir/cache" ZIG_LOCAL_CACHE_DIR="$dir/cache"
clang() { zig/ziglang/zig cc -target x86_64-linux-gnu -O1 "$@"; }

cat > number.h <<'C'
union number { double plain; struct { float scale; double value; } scaled; };
double take(union number);
union number give(double);
C
cat > library.c <<'C'
#include "number.h"
double take(union number number) { return number.plain; }
union number give(double plain) { union number number; number.plain = plain; return number; }
C
cat > program.c <<'C'
#include <stdio.h>
#include "number.h"
int main(void) {
  union number number;
  number.plain = 1.5;
  printf("takes %s, gives %s\n", take(number) == 1.5 ? "1.5" : "another", give(2.5).plain == 2.5 ? "2.5" : "another");
}
C
for one in gcc clang; do
  if [ "$one" = gcc ]; then gcc -O1 -fPIC -c program.c -o gcc-program.o; gcc -O1 -fPIC -c library.c -o gcc-library.o
  else clang -fPIC -c program.c -o clang-program.o; clang -fPIC -c library.c -o clang-library.o; fi
done
for program in gcc clang; do
  for library in gcc clang; do
    gcc "$program-program.o" "$library-library.o" -o both
    line="$program's program, $library's library: $(./both)"
    # What Clang's function gives is in the register already, so that the caller may see the whole by chance.
    if [ "$program $library" = "gcc clang" ]; then line=${line%, gives*}; fi
    echo "$line"
  done
done > seen

cat > expected <<'T'
gcc's program, gcc's library: takes 1.5, gives 2.5
gcc's program, clang's library: takes another
clang's program, gcc's library: takes another, gives another
clang's program, clang's library: takes another, gives another
T
cat seen
diff expected seen
