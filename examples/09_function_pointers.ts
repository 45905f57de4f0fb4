/** C functions by their addresses: from a loader, from a library, and for C to call. */

import { dlopen, functionAt } from "@belay/ffi";

using libc = dlopen({ name: "c", versions: ["6"] }, {
  // void *dlsym(void *handle, const char *symbol)
  dlsym: { parameters: ["pointer", "cstring"], result: "pointer" },
  // void qsort(void *base, size_t nmemb, size_t size, int (*compar)(const void *, const void *))
  qsort: { parameters: ["buffer", "usize", "usize", "pointer"], result: "void" },
});
const { dlsym, qsort } = libc.symbols;

// A loader gives a pointer by a name, as eglGetProcAddress does.
const pointer = dlsym(null, "labs"); // long labs(long)
if (pointer === null) throw new Error("expected a function");
const labs = functionAt(pointer, { parameters: ["i64"], result: "i64" });
console.log(`labs(-7) is ${labs(-7)}`);

// The address of a symbol goes wherever C wants a function: here C calls C, and JavaScript isn't asked.
const letters = new TextEncoder().encode("c\0a\0b\0");
qsort(letters, 3, 2, libc.address("strcmp")); // int strcmp(const char *, const char *)
console.log(`strcmp has ordered ${new TextDecoder().decode(letters).replaceAll("\0", " ")}`);

// The same function, with the options of any other: on another thread.
const later = functionAt(libc.address("labs"), { parameters: ["i64"], result: "i64", nonblocking: true });
console.log(`another thread says ${await later(-41)}`);

// The program itself is a library, too.
using program = dlopen(null, { getpid: { parameters: [], result: "i32" } }); // pid_t getpid(void)
console.log(`this process has a number: ${program.symbols.getpid() > 0}`);
