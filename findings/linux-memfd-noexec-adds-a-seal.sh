#!/usr/bin/env bash
# Guess: a file in memory has the seals that its maker gave it. Whoever made it with all
#   four (against more seals, shrinking, growing and writing) may know it again by
#   `F_GET_SEALS`, which answers these four.
# Seen: where the setting `vm.memfd_noexec` is 1, the kernel adds a fifth to every file
#   whose maker doesn't say otherwise, `F_SEAL_EXEC` (32). The setting belongs to a pid
#   namespace, so a program finds it in one container and not in the next. `dlopen` opens
#   such a file all the same.
# Versions: Linux 6.18.44 on x86_64; the setting came with Linux 6.3.
# Why it matters: libraries that unpack a native library into memory look for the one that
#   another copy of them has made. Compared as a whole, the seals never fit there, and each
#   copy makes and loads a library of its own. Look for the seals that are needed.
#
# It takes Python 3, and the right to make namespaces.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cat > "$dir/seals.py" << 'PYTHON'
import ctypes, fcntl, glob, os

F_ADD_SEALS, F_GET_SEALS, all_seals = 1033, 1034, 15
library = sorted(glob.glob("/lib/*/libm.so.6") + glob.glob("/lib*/libm.so.6"))[0]
descriptor = os.memfd_create("library", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
with open(library, "rb") as file:
    os.write(descriptor, file.read())
fcntl.fcntl(descriptor, F_ADD_SEALS, all_seals)
ctypes.CDLL(f"/proc/self/fd/{descriptor}")
print(fcntl.fcntl(descriptor, F_GET_SEALS), "opened")
PYTHON

# A namespace of its own, so that nothing is set for the machine.
with_setting() {
  unshare --pid --fork --mount-proc sh -c 'echo "$1" > /proc/sys/vm/memfd_noexec && exec python3 "$2"' sh "$1" "$dir/seals.py"
}
echo "kernel $(uname -r)"
usual=$(with_setting 0)
strict=$(with_setting 1)
echo "vm.memfd_noexec 0: seals $usual"
echo "vm.memfd_noexec 1: seals $strict"
test "$usual" = "15 opened"
test "$strict" = "47 opened"
