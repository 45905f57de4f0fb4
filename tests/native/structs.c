/* Structures with names, out-parameters, variadic functions and error numbers. */

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
__declspec(dllimport) void __stdcall SetLastError(unsigned long);
#define SET_ERROR(number) SetLastError((unsigned long)(number))
#else
#define EXPORT __attribute__((visibility("default")))
#define SET_ERROR(number) (errno = (number))
#endif

#define GIVE(name, type)                                                                                               \
  EXPORT bool give_##name(type value, type *out) {                                                                     \
    *out = value;                                                                                                      \
    return true;                                                                                                       \
  }

GIVE(i8, int8_t)
GIVE(u8, uint8_t)
GIVE(i16, int16_t)
GIVE(u16, uint16_t)
GIVE(i32, int32_t)
GIVE(u32, uint32_t)
GIVE(i64, int64_t)
GIVE(u64, uint64_t)
GIVE(isize, intptr_t)
GIVE(usize, uintptr_t)
GIVE(f32, float)
GIVE(f64, double)
GIVE(bool, bool)
GIVE(pointer, void *)

typedef struct {
  double x, y;
} point;

/* Out-parameters between others, and an error number. */
EXPORT int32_t give_many(int32_t first, point *at, double second, char text[16], const char *from, int32_t *sum, int32_t error) {
  *at = (point){first, second};
  snprintf(text, 16, "%s", from);
  *sum = first + (int32_t)second;
  SET_ERROR(error);
  return first * 2;
}

EXPORT void give_nothing(int64_t *out) { (void)out; }

EXPORT int32_t fail_with(int32_t error) {
  SET_ERROR(error);
  return -1;
}
EXPORT int32_t leave_error(void) { return 1; }
EXPORT int32_t fail_then_call(int32_t error, void (*callback)(void)) {
  SET_ERROR(error);
  callback();
  return -1;
}
EXPORT int32_t call_then_fail(int32_t error, void (*callback)(void)) {
  callback();
  SET_ERROR(error);
  return -1;
}

/* The sum of what follows: i for int, u for unsigned, l for int64_t, d for double, p for a pointer, s for a string's length. */
EXPORT double sum_of(const char *kinds, ...) {
  va_list rest;
  va_start(rest, kinds);
  double sum = 0;
  double place = 1;
  for (; *kinds != 0; kinds++, place++) {
    double value = 0;
    switch (*kinds) {
      case 'i': value = va_arg(rest, int); break;
      case 'u': value = va_arg(rest, unsigned); break;
      case 'l': value = (double)va_arg(rest, int64_t); break;
      case 'd': value = va_arg(rest, double); break;
      case 'p': value = (double)(uintptr_t)va_arg(rest, void *); break;
      case 's': value = (double)strlen(va_arg(rest, const char *)); break;
    }
    sum += value * place;
  }
  va_end(rest);
  return sum;
}
/* Floats and a structure before the dots. */
EXPORT double sum_after(float first, point at, int32_t count, ...) {
  va_list rest;
  va_start(rest, count);
  double sum = first + at.x * 10 + at.y * 100;
  for (int32_t i = 0; i < count; i++) sum += va_arg(rest, double);
  va_end(rest);
  return sum;
}
EXPORT point point_of(int32_t count, ...) {
  va_list rest;
  va_start(rest, count);
  point sum = {0, 0};
  for (int32_t i = 0; i < count; i++) {
    sum.x += va_arg(rest, int);
    sum.y += va_arg(rest, double);
  }
  va_end(rest);
  return sum;
}

EXPORT point add_points(point a, point b) { return (point){a.x + b.x, a.y + b.y}; }
EXPORT point relay_point(point (*callback)(point), point value) { return callback(value); }

/* What C keeps a handle, a string and a function in. */
typedef struct {
  void *handle;
  const char *name;
  int32_t (*call)(int32_t);
  int32_t value;
} bearer;

EXPORT int32_t use_bearer(bearer value) { return value.call == NULL ? -1 : value.call(value.value); }
EXPORT int32_t relay_bearer(int32_t (*callback)(bearer), bearer value) { return callback(value); }
EXPORT bearer make_bearer(void *handle, int32_t value) { return (bearer){handle, "a bearer", NULL, value}; }

typedef union {
  uint8_t small;
  uint64_t large;
} narrow;

EXPORT uint64_t large_of(narrow value) { return value.large; }
EXPORT uint64_t fill_words(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, point at) {
  return a + b + c + d + e + f + (uint64_t)at.x;
}
