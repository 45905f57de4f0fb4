/* Calls, and functions, of any types: as the words that are in registers and on the stack. Not on Windows, where registers go by
 * position, nor on Apple's arm64, where arguments on the stack share words. */

#include <stddef.h>
#include <stdint.h>

#if !defined(_WIN32) && !(defined(__APPLE__) && defined(__aarch64__))

#define EXPORT __attribute__((visibility("default")))

struct words {
  uint64_t integers[8];
  double floats[8];
  uint64_t stack[16];
  union {
    uint64_t integer;
    double number;
  } result;
};

#if defined(__aarch64__)
#define MORE_TYPES uint64_t, uint64_t,
#define MORE_INTEGERS words->integers[6], words->integers[7],
#define MORE_PARAMETERS uint64_t g, uint64_t h,
#define MORE g, h
#else
#define MORE_TYPES
#define MORE_INTEGERS
#define MORE_PARAMETERS
#define MORE 0, 0
#endif
#define FOUR(type) type, type, type, type
#define FOUR_OF(words) words[0], words[1], words[2], words[3]
#define TYPES                                                                                                          \
  FOUR(uint64_t), uint64_t, uint64_t, MORE_TYPES FOUR(double), FOUR(double), FOUR(uint64_t), FOUR(uint64_t),           \
      FOUR(uint64_t), FOUR(uint64_t)

/* Calls a function, which finds its arguments whatever their types are, and keeps what it returns as one kind or the other. */
EXPORT void call_words(void (*function)(void), struct words *words, int32_t is_float) {
  const double *floats = words->floats;
  const uint64_t *stack = words->stack;
#define ARGUMENTS                                                                                                      \
  FOUR_OF(words->integers), words->integers[4], words->integers[5], MORE_INTEGERS FOUR_OF(floats),                     \
      FOUR_OF((floats + 4)), FOUR_OF(stack), FOUR_OF((stack + 4)), FOUR_OF((stack + 8)), FOUR_OF((stack + 12))
  if (is_float) words->result.number = ((double (*)(TYPES))function)(ARGUMENTS);
  else words->result.integer = ((uint64_t (*)(TYPES))function)(ARGUMENTS);
}

/* What functions have been called with, and what they answer. */
static struct recorder {
  int64_t count;
  /* Before which call something else is called, from 1; 0 for none. */
  int64_t hooked;
  void (*hook)(void);
  union {
    uint64_t integer;
    double number;
  } results[40];
  struct {
    uint64_t integers[8];
    double floats[8];
  } calls[40];
} *recorder;
EXPORT size_t recorder_byte_length(void) { return sizeof(struct recorder); }
EXPORT void record_to(struct recorder *memory) { recorder = memory; }

static int64_t record(const uint64_t *integers, const double *floats) {
  int64_t index = recorder->count++;
  for (int i = 0; i < 8; i++) recorder->calls[index].integers[i] = integers[i];
  for (int i = 0; i < 8; i++) recorder->calls[index].floats[i] = floats[i];
  if (index + 1 == recorder->hooked) recorder->hook();
  return index;
}

#define PARAMETERS                                                                                                     \
  uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, MORE_PARAMETERS double s, double t,          \
      double u, double v, double w, double x, double y, double z
#define RECORD                                                                                                         \
  const uint64_t integers[8] = {a, b, c, d, e, f, MORE};                                                               \
  const double floats[8] = {s, t, u, v, w, x, y, z};                                                                   \
  int64_t index = record(integers, floats)
EXPORT uint64_t record_integer(PARAMETERS) {
  RECORD;
  return recorder->results[index].integer;
}
EXPORT double record_float(PARAMETERS) {
  RECORD;
  return recorder->results[index].number;
}

#endif
