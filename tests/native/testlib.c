/* What the tests call and are called back from. */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define IDENTITY(name, type)                                                                                           \
  EXPORT type identity_##name(type value) { return value; }                                                            \
  EXPORT type relay_##name(type (*callback)(type), type value) { return callback(value); }                             \
  EXPORT void collect_##name(type (*callback)(int32_t), type *results, int32_t count) {                                \
    for (int32_t i = 0; i < count; i++) results[i] = callback(i);                                                      \
  }

IDENTITY(i8, int8_t)
IDENTITY(u8, uint8_t)
IDENTITY(i16, int16_t)
IDENTITY(u16, uint16_t)
IDENTITY(i32, int32_t)
IDENTITY(u32, uint32_t)
IDENTITY(i64, int64_t)
IDENTITY(u64, uint64_t)
IDENTITY(isize, intptr_t)
IDENTITY(usize, uintptr_t)
IDENTITY(f32, float)
IDENTITY(f64, double)
IDENTITY(bool, bool)
IDENTITY(pointer, void *)

EXPORT int32_t add_i32(int32_t a, int32_t b) { return a + b; }

/* How often C was entered: a refused argument must not be seen here. */
EXPORT int32_t entered = 0;
EXPORT int32_t enter(int32_t value) {
  entered++;
  return value;
}
EXPORT int32_t enter_u64(uint64_t value) {
  entered++;
  return (int32_t)value;
}

/* Takes any arguments: a caller's registers and stack are its own to clean up. */
EXPORT void enter_any(void) { entered++; }
/* A C function's address, for whoever wants to keep it. */
EXPORT int32_t (*enter_pointer(void))(int32_t) { return enter; }

#define VARIABLE(name, type)                                                                                           \
  EXPORT type variable_##name = 0;                                                                                     \
  EXPORT void variable_##name##_set(type value) { variable_##name = value; }

VARIABLE(i8, int8_t)
VARIABLE(u8, uint8_t)
VARIABLE(i16, int16_t)
VARIABLE(u16, uint16_t)
VARIABLE(i32, int32_t)
VARIABLE(u32, uint32_t)
VARIABLE(i64, int64_t)
VARIABLE(u64, uint64_t)
VARIABLE(isize, intptr_t)
VARIABLE(usize, uintptr_t)
VARIABLE(f32, float)
VARIABLE(f64, double)
VARIABLE(bool, bool)
VARIABLE(pointer, void *)

EXPORT int64_t static_i64 = -1234567890123456789;
EXPORT uint8_t static_u8 = 200;
EXPORT double static_f64 = 0.5;
EXPORT bool static_bool = true;
EXPORT const char *static_text = "a static string";
EXPORT int32_t static_value = 7;
EXPORT int32_t *static_pointer = &static_value;
EXPORT void static_value_set(int32_t value) { static_value = value; }

EXPORT const char *greeting(void) { return "gr\xc3\xbc\xc3\x9f dich"; }
/* Latin-1, as old libraries speak it. */
EXPORT const char *not_utf8(void) { return "gr\xfc\xdf"; }
EXPORT const char *no_text(void) { return NULL; }
EXPORT uint32_t text_length(const char *text) { return text == NULL ? 0xffffffff : (uint32_t)strlen(text); }

EXPORT uint64_t sum_bytes(const uint8_t *bytes, size_t length) {
  uint64_t sum = 0;
  for (size_t i = 0; i < length; i++) sum += bytes[i];
  return sum;
}

/* Writes to the buffer before and after each of the callback's calls; it must not have moved. */
EXPORT int32_t fill_around(uint8_t *bytes, size_t length, void (*callback)(void)) {
  uint8_t *before = bytes;
  for (size_t i = 0; i < length; i++) {
    bytes[i] = 0x55;
    callback();
    if (bytes[i] != 0x55) return (int32_t)i;
    bytes[i] = (uint8_t)(i + 1);
  }
  return before == bytes ? -1 : -2;
}

/* User data by value and by address. */
EXPORT void *pass(void *user_data) { return user_data; }
EXPORT int32_t each(int32_t count, int32_t (*callback)(void *user_data, int32_t index), void *user_data) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += callback(user_data, i);
  return sum;
}
EXPORT int32_t each_reversed(int32_t count, int32_t (*callback)(int32_t index, void *user_data), void *user_data) {
  int32_t sum = 0;
  for (int32_t i = count - 1; i >= 0; i--) sum += callback(i, user_data);
  return sum;
}
EXPORT int32_t each_by_address(int32_t count, int32_t (*callback)(uintptr_t *user_data, int32_t index), uintptr_t id) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += callback(&id, i);
  return sum;
}
EXPORT uintptr_t read_id(uintptr_t *address) { return *address; }

static void *held[64];
static int held_count = 0;
EXPORT void hold_handle(void *user_data) { held[held_count++] = user_data; }
EXPORT void each_held(void (*callback)(void *user_data)) {
  for (int i = 0; i < held_count; i++) callback(held[i]);
  held_count = 0;
}

/* Calls a function without user data, over and over. */
EXPORT int32_t repeat(int32_t (*callback)(int32_t, int32_t), int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += callback(i, 1);
  return sum;
}

/* A callback that C keeps. */
static int32_t (*kept)(int32_t) = NULL;
EXPORT void keep(int32_t (*callback)(int32_t)) { kept = callback; }
EXPORT int32_t call_kept(int32_t value) { return kept(value); }

EXPORT void call_void(void (*callback)(void)) { callback(); }
EXPORT void call_text(void (*callback)(const char *text)) {
  callback("text");
  callback(NULL);
}

EXPORT int32_t call_latin1(int32_t (*callback)(const char *text)) { return callback("gr\xfc\xdf"); }

/* Twelve arguments of either kind: some arrive on the stack everywhere. */
typedef double (*many_callback)(int8_t, float, uint16_t, double, int32_t, float, int64_t, double, uint8_t, float,
                                int16_t, double, uint32_t, double, uint64_t, float, int32_t, double, bool, double);
EXPORT double call_many(many_callback callback) {
  return callback(-1, 1.5f, 65535, 2.5, -3, 3.5f, -4, 4.5, 255, 5.5f, -6, 6.5, 4294967295u, 7.5,
                  18446744073709551615u, 8.5f, -9, 9.5, true, 10.5);
}
EXPORT int32_t call_many_integers(int32_t (*callback)(int8_t, uint8_t, int16_t, uint16_t, int32_t, int8_t, uint8_t,
                                                      int16_t, bool, int32_t)) {
  return callback(-1, 2, -3, 4, -5, -6, 7, -8, true, -10);
}

/* A callback that C calls when the process exits; it tells what it got. */
#include <stdio.h>
static int32_t (*at_exit)(int32_t) = NULL;
static void call_at_exit(void) {
  printf("at exit: %d\n", at_exit(1));
  fflush(stdout);
}
EXPORT void keep_until_exit(int32_t (*callback)(int32_t)) {
  at_exit = callback;
  atexit(call_at_exit);
}
