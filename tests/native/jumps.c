/* What `longjmp` needs of C: a frame that has called `setjmp`, and is still there. */

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT size_t jump_byte_length(void) { return sizeof(jmp_buf); }

/* Calls a function, and answers whether it returned: it may jump to `target` instead. */
EXPORT bool call_or_jump(jmp_buf *target, void (*function)(void)) {
  if (setjmp(*target) != 0) return false;
  function();
  return true;
}
