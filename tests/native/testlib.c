/* What the tests call and are called back from. The file is long because all tests open one library. */

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
  }                                                                                                                    \
  EXPORT void feed_##name(void (*callback)(type), const type *values, int32_t count) {                                 \
    for (int32_t i = 0; i < count; i++) callback(values[i]);                                                           \
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
/* 64 characters. */
EXPORT const char *text_64(void) { return "belay gives C a string of sixty-four characters, and one back ab"; }
EXPORT uint32_t text_length(const char *text) { return text == NULL ? 0xffffffff : (uint32_t)strlen(text); }

EXPORT int32_t text_order(const char *left, const char *right) { return strcmp(left, right); }
/* The text as it is when the callback has returned. */
EXPORT const char *call_with_text(const char *text, void (*callback)(void)) {
  callback();
  return text;
}

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

/* A structure and an array of callbacks. */
struct operations {
  int32_t (*add)(int32_t, int32_t);
  double (*scale)(double);
  void (*done)(void);
};
EXPORT double run_operations(const struct operations *operations, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum = operations->add(sum, i);
  double result = operations->scale(sum);
  operations->done();
  return result;
}
EXPORT int32_t call_each(int32_t (*const *callbacks)(int32_t), int32_t count, int32_t value) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += callbacks[i](value + i);
  return sum;
}

/* Calls each with its position, and stores what each answers. */
EXPORT void call_all(int32_t (*const *callbacks)(int32_t), int32_t *results, int32_t count) {
  for (int32_t i = 0; i < count; i++) results[i] = callbacks[i](i);
}

/* 0 to 16 parameters, integers and floats in turn; the callback gets 1, 2.5, 3, 4.5, … */
EXPORT double mix_0(double (*f)(void)) { return f(); }
EXPORT double mix_1(double (*f)(int32_t)) { return f(1); }
EXPORT double mix_2(double (*f)(int32_t, double)) { return f(1, 2.5); }
EXPORT double mix_3(double (*f)(int32_t, double, uint8_t)) { return f(1, 2.5, 3); }
EXPORT double mix_4(double (*f)(int32_t, double, uint8_t, float)) { return f(1, 2.5, 3, 4.5f); }
EXPORT double mix_5(double (*f)(int32_t, double, uint8_t, float, int64_t)) { return f(1, 2.5, 3, 4.5f, -5); }
EXPORT double mix_6(double (*f)(int32_t, double, uint8_t, float, int64_t, double)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5);
}
EXPORT double mix_7(double (*f)(int32_t, double, uint8_t, float, int64_t, double, int16_t)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5, -7);
}
EXPORT double mix_8(double (*f)(int32_t, double, uint8_t, float, int64_t, double, int16_t, float)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f);
}
#define MIX_8 int32_t, double, uint8_t, float, int64_t, double, int16_t, float
EXPORT double mix_9(double (*f)(MIX_8, uint32_t)) { return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f, 9); }
EXPORT double mix_10(double (*f)(MIX_8, uint32_t, double)) { return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f, 9, 10.5); }
EXPORT double mix_11(double (*f)(MIX_8, uint32_t, double, int8_t)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f, 9, 10.5, -11);
}
EXPORT double mix_12(double (*f)(MIX_8, uint32_t, double, int8_t, float)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f, 9, 10.5, -11, 12.5f);
}
EXPORT double mix_13(double (*f)(MIX_8, uint32_t, double, int8_t, float, uint64_t)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f, 9, 10.5, -11, 12.5f, 13);
}
EXPORT double mix_14(double (*f)(MIX_8, uint32_t, double, int8_t, float, uint64_t, double)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f, 9, 10.5, -11, 12.5f, 13, 14.5);
}
EXPORT double mix_15(double (*f)(MIX_8, uint32_t, double, int8_t, float, uint64_t, double, uint16_t)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f, 9, 10.5, -11, 12.5f, 13, 14.5, 15);
}
EXPORT double mix_16(double (*f)(MIX_8, uint32_t, double, int8_t, float, uint64_t, double, uint16_t, double)) {
  return f(1, 2.5, 3, 4.5f, -5, 6.5, -7, 8.5f, 9, 10.5, -11, 12.5f, 13, 14.5, 15, 16.5);
}

/* Sorts with the C library's qsort. `counts`: the comparisons, and those of them that were answered with 0. */
static int32_t (*comparator)(int32_t, int32_t) = NULL;
static int32_t *comparator_counts = NULL;
static int compare_elements(const void *a, const void *b) {
  const int32_t answer = comparator(*(const int32_t *)a, *(const int32_t *)b);
  comparator_counts[0]++;
  if (answer == 0) comparator_counts[1]++;
  return answer;
}
EXPORT void sort_i32(int32_t *numbers, size_t length, int32_t (*compare)(int32_t, int32_t), int32_t *counts) {
  comparator = compare;
  comparator_counts = counts;
  qsort(numbers, length, sizeof *numbers, compare_elements);
}

/* Ends the process as C does. */
EXPORT void end_process(int32_t code) { exit(code); }

/* One function for each shape of the random walk. Each calls what it is given, whatever stands behind it by now, with
 * arguments that follow from the value, and gives the result as a double; the last function called can be asked for. */
static void *last_function = NULL;
EXPORT void *walk_last(void) { return last_function; }
#define WALK(name, call)                                                                                               \
  EXPORT double walk_##name(walk_##name##_function f, int32_t v) {                                                     \
    last_function = (void *)(uintptr_t)f;                                                                              \
    return call;                                                                                                       \
  }
typedef int32_t (*walk_i32_function)(int32_t);
WALK(i32, f(v))
typedef double (*walk_f64_function)(double);
WALK(f64, f(v + 0.5))
typedef float (*walk_f32_function)(float);
WALK(f32, f((float)v + 0.5f))
typedef int64_t (*walk_i64_function)(int64_t);
WALK(i64, (double)f((int64_t)v << 20))
typedef uint8_t (*walk_small_function)(uint8_t, int16_t, bool);
WALK(small, f((uint8_t)v, (int16_t)-v, (v & 1) != 0))
typedef void (*walk_nothing_function)(void);
WALK(nothing, (f(), 0))
typedef void (*walk_void_function)(int32_t, double);
WALK(void, (f(v, v + 0.25), 0))
typedef double (*walk_mixed_function)(int32_t, double, int64_t, float, uint8_t);
WALK(mixed, f(v, v + 0.5, -(int64_t)v, (float)v, (uint8_t)(v + 1)))
typedef int32_t (*walk_integers_function)(int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int32_t, int8_t, int64_t);
WALK(integers, f(v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, (int8_t)v, v + 8))
typedef float (*walk_floats_function)(double, double, double, double, double, double, double, double, double, float,
                                      int32_t);
WALK(floats, f(v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 8, (float)v + 9, v + 10))
/* Calls it `count` times, with the value and those after it. */
EXPORT void walk_repeat(walk_i32_function f, int32_t v, int32_t *results, int32_t count) {
  last_function = (void *)(uintptr_t)f;
  for (int32_t i = 0; i < count; i++) results[i] = f(v + i);
}

/* Calls it with so many kilobytes of C's own on the stack. */
static void *volatile frame_in_use = NULL;
EXPORT int32_t call_deep(int32_t (*callback)(int32_t), int32_t kilobytes) {
  char frame[1024];
  /* What somebody may look at is kept, in its whole length. */
  frame_in_use = frame;
  const int32_t result = kilobytes <= 1 ? callback(1) : call_deep(callback, kilobytes - 1);
  frame_in_use = frame;
  return result;
}

/* What comes from elsewhere: another thread, a coroutine's stack, a signal handler. Windows has POSIX threads by a library
 * that Zig brings, and no signals. */
#include <pthread.h>
#include <sched.h>
#include <time.h>

struct thread_call {
  int32_t (*callback)(int32_t);
  int32_t count;
  int32_t sum;
};
static void *thread_main(void *argument) {
  struct thread_call *call = argument;
  for (int32_t i = 0; i < call->count; i++) call->sum += call->callback(i);
  return NULL;
}
/* Calls it `count` times on a thread of its own, waits for that, and answers the sum. */
EXPORT int32_t call_on_thread(int32_t (*callback)(int32_t), int32_t count) {
  struct thread_call call = {callback, count, 0};
  pthread_t thread;
  if (pthread_create(&thread, NULL, thread_main, &call) != 0) return -1000000;
  pthread_join(thread, NULL);
  return call.sum;
}

/* Destroys user data, and calls back then. */
EXPORT void destroy_and_call(void (*destroy)(void *), void *user_data, void (*callback)(void)) {
  destroy(user_data);
  callback();
}

/* Calls a destructor with each of the ids, `times` times over: on this thread, */
EXPORT void destroy_each(void (*destroy)(void *), const uint64_t *ids, uint32_t count, uint32_t times) {
  for (uint32_t time = 0; time < times; time++) {
    for (uint32_t i = 0; i < count; i++) destroy((void *)(uintptr_t)ids[i]);
  }
}
/* on several threads, each with its share of them, */
#define MOST_DESTROYERS 16
static struct destroyer {
  void (*destroy)(void *);
  const uint64_t *ids;
  uint32_t count, times, stride, first;
  pthread_t thread;
} destroyers[MOST_DESTROYERS];
static uint32_t destroyer_count = 0;
static void *destroyer_main(void *argument) {
  struct destroyer *own = argument;
  for (uint32_t time = 0; time < own->times; time++) {
    for (uint32_t i = own->first; i < own->count; i += own->stride) own->destroy((void *)(uintptr_t)own->ids[i]);
  }
  return NULL;
}
/* which go on when this returns: the ids stay where they are until `join_destroyers`. */
EXPORT bool start_destroyers(void (*destroy)(void *), const uint64_t *ids, uint32_t count, uint32_t times,
                             uint32_t threads) {
  destroyer_count = 0;
  for (uint32_t i = 0; i < threads; i++) {
    destroyers[i] = (struct destroyer){destroy, ids, count, times, threads, i, 0};
    if (pthread_create(&destroyers[i].thread, NULL, destroyer_main, &destroyers[i]) != 0) return false;
    destroyer_count++;
  }
  return true;
}
EXPORT void join_destroyers(void) {
  for (uint32_t i = 0; i < destroyer_count; i++) pthread_join(destroyers[i].thread, NULL);
}

/* A thread that destroys what it is given meanwhile. */
#define MOST_HANDED_OVER (1 << 20)
static uint64_t handed_over[MOST_HANDED_OVER];
static _Atomic uint32_t handed_over_count = 0;
static struct {
  void (*destroy)(void *);
  _Atomic bool stop;
  pthread_t thread;
} consumer;
static void *consumer_main(void *argument) {
  (void)argument;
  uint32_t done = 0;
  while (true) {
    const bool stop = consumer.stop;
    const uint32_t count = handed_over_count;
    if (done == count && stop) return NULL;
    while (done < count) consumer.destroy((void *)(uintptr_t)handed_over[done++]);
  }
}
EXPORT bool start_consumer(void (*destroy)(void *)) {
  consumer.destroy = destroy;
  consumer.stop = false;
  handed_over_count = 0;
  return pthread_create(&consumer.thread, NULL, consumer_main, NULL) == 0;
}
EXPORT void hand_over(void *user_data) {
  handed_over[handed_over_count] = (uint64_t)(uintptr_t)user_data;
  handed_over_count++;
}
EXPORT void stop_consumer(void) {
  consumer.stop = true;
  pthread_join(consumer.thread, NULL);
}

/* Destroys user data when the process exits. */
static void (*destroy_at_exit)(void *) = NULL;
static void *user_data_at_exit = NULL;
static void destroyed_at_exit(void) {
  destroy_at_exit(user_data_at_exit);
  printf("destroyed\n");
  fflush(stdout);
}
EXPORT void destroy_when_exiting(void (*destroy)(void *), void *user_data) {
  destroy_at_exit = destroy;
  user_data_at_exit = user_data;
  atexit(destroyed_at_exit);
}

/* The same without waiting for the thread, which begins a moment later: `thread_answer` is the sum when it is done,
 * `UNANSWERED` before. */
#define UNANSWERED (-2000000)
static volatile int32_t answer_of_thread = UNANSWERED;
static void *detached_main(void *argument) {
  struct thread_call *call = argument;
  const struct timespec moment = {0, 300 * 1000 * 1000};
  nanosleep(&moment, NULL);
  thread_main(call);
  answer_of_thread = call->sum;
  free(call);
  return NULL;
}
EXPORT void start_on_thread(int32_t (*callback)(int32_t), int32_t count) {
  struct thread_call *call = malloc(sizeof *call);
  *call = (struct thread_call){callback, count, 0};
  pthread_t thread;
  if (pthread_create(&thread, NULL, detached_main, call) == 0) pthread_detach(thread);
}
EXPORT int32_t thread_answer(void) { return answer_of_thread; }

/* Calls it over and over on another thread, until told to stop, and counts what it answers: one, another, anything else. */
static struct {
  uint64_t (*callback)(void);
  uint64_t wanted[2];
  uint64_t counts[3];
  volatile bool stop;
  pthread_t thread;
} watch;
static void *watch_main(void *argument) {
  (void)argument;
  while (!watch.stop) {
    uint64_t answer = watch.callback();
    watch.counts[answer == watch.wanted[0] ? 0 : answer == watch.wanted[1] ? 1 : 2] += 1;
  }
  return NULL;
}
EXPORT bool start_watching(uint64_t (*callback)(void), uint64_t one, uint64_t another) {
  watch.callback = callback;
  watch.wanted[0] = one;
  watch.wanted[1] = another;
  memset(watch.counts, 0, sizeof watch.counts);
  watch.stop = false;
  return pthread_create(&watch.thread, NULL, watch_main, NULL) == 0;
}
EXPORT void stop_watching(uint64_t counts[3]) {
  watch.stop = true;
  pthread_join(watch.thread, NULL);
  memcpy(counts, watch.counts, sizeof watch.counts);
}

static double now_of_thread(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}
EXPORT double now_ns(void) { return now_of_thread(); }

/* Threads that call it with the time, so often and with so long a pause before each call. The last one to end leaves how
   many nanoseconds its calls took; before, that is -1. */
struct calls {
  double (*callback)(double);
  int32_t count;
  int32_t pause_us;
};
static volatile int32_t calling_threads = 0;
static volatile double ns_of_calls = -1;
static void *calls_main(void *argument) {
  struct calls calls = *(struct calls *)argument;
  free(argument);
  double spent = 0;
  double start = now_of_thread();
  for (int32_t i = 0; i < calls.count; i++) {
    if (calls.pause_us > 0) {
      struct timespec pause = {0, calls.pause_us * 1000L};
      nanosleep(&pause, NULL);
      start = now_of_thread();
    }
    calls.callback(calls.pause_us > 0 ? start : i);
    if (calls.pause_us > 0) spent += now_of_thread() - start;
  }
  if (calls.pause_us == 0) spent = now_of_thread() - start;
  if (__atomic_sub_fetch(&calling_threads, 1, __ATOMIC_ACQ_REL) == 0) ns_of_calls = spent;
  return NULL;
}
EXPORT bool start_calls(double (*callback)(double), int32_t threads, int32_t count, int32_t pause_us) {
  ns_of_calls = -1;
  calling_threads = threads;
  for (int32_t i = 0; i < threads; i++) {
    struct calls *calls = malloc(sizeof *calls);
    *calls = (struct calls){callback, count, pause_us};
    pthread_t thread;
    if (pthread_create(&thread, NULL, calls_main, calls) != 0) return false;
    pthread_detach(thread);
  }
  return true;
}
EXPORT double calls_ns(void) { return ns_of_calls; }

/* As a library written for belay sends events: it gets the function and the channel from JavaScript. */
#include "../../native/include/belay.h"
EXPORT bool send_bytes(belay_channel_send_function *send, belay_channel *channel, void *handle, const void *data,
                       uint32_t length) {
  return send(channel, handle, data, length);
}
/* Sends numbers from `first` on, each with the next one of the handles, and answers how many were sent. */
EXPORT uint32_t send_numbers(belay_channel_send_function *send, belay_channel *channel, const uint64_t *handles,
                             uint32_t handle_count, uint32_t first, uint32_t count) {
  uint32_t sent = 0;
  for (uint32_t i = 0; i < count; i++) {
    const double number = first + i;
    sent += send(channel, (void *)(uintptr_t)handles[i % handle_count], &number, sizeof number);
  }
  return sent;
}
/* Threads that send events whose payload is: the thread, a number from 0 on, and as many bytes of the number's lowest one as
   the number modulo `spread`. Each waits for space, until it is told to stop. */
struct sender {
  pthread_t thread;
  belay_channel_send_function *send;
  belay_channel *channel;
  uint64_t handle;
  uint32_t number, count, spread;
};
static struct sender senders[16];
static uint32_t sender_count = 0;
static volatile bool senders_stop = false;
static void *sender_main(void *argument) {
  const struct sender *sender = argument;
  struct { uint32_t thread, number; uint8_t rest[1024]; } event = {.thread = sender->number};
  for (uint32_t i = 0; i < sender->count && !senders_stop; i++) {
    const uint32_t rest = i % sender->spread;
    event.number = i;
    memset(event.rest, (int)(i & 255), rest);
    while (!sender->send(sender->channel, (void *)(uintptr_t)sender->handle, &event, 8 + rest) && !senders_stop) sched_yield();
  }
  return NULL;
}
EXPORT bool start_senders(belay_channel_send_function *send, belay_channel *channel, uint64_t handle, uint32_t threads,
                          uint32_t count, uint32_t spread) {
  senders_stop = false;
  for (sender_count = 0; sender_count < threads; sender_count++) {
    struct sender *sender = &senders[sender_count];
    *sender = (struct sender){.send = send, .channel = channel, .handle = handle, .number = sender_count, .count = count, .spread = spread};
    if (pthread_create(&sender->thread, NULL, sender_main, sender) != 0) return false;
  }
  return true;
}
EXPORT void stop_senders(void) {
  senders_stop = true;
  for (uint32_t i = 0; i < sender_count; i++) pthread_join(senders[i].thread, NULL);
  sender_count = 0;
}

/* Calls it over and over for so long; other threads can ask whether that is over. */
static volatile bool loop_over = false;
EXPORT void call_for(int32_t (*callback)(int32_t), int32_t duration_ms) {
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    callback(1);
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < duration_ms);
  loop_over = true;
}
EXPORT bool loop_is_over(void) { return loop_over; }

/* Has a thread-local destructor call it when the thread that asked for that ends; what it answered comes last. Keys are
   destroyed in the order in which they were made. */
static pthread_key_t thread_end_key;
static pthread_once_t thread_end_once = PTHREAD_ONCE_INIT;
static volatile int32_t answer_at_thread_end = UNANSWERED;
static void at_thread_end(void *callback) { answer_at_thread_end = ((int32_t (*)(int32_t))callback)(1); }
static void make_thread_end_key(void) { pthread_key_create(&thread_end_key, at_thread_end); }
EXPORT void prepare_thread_end(void) { pthread_once(&thread_end_once, make_thread_end_key); }
EXPORT void call_at_thread_end(int32_t (*callback)(int32_t)) {
  prepare_thread_end();
  pthread_setspecific(thread_end_key, (void *)callback);
}
EXPORT int32_t thread_end_answer(void) { return answer_at_thread_end; }

#if !defined(_WIN32)
#include <signal.h>
static int32_t (*in_signal)(int32_t) = NULL;
static volatile int32_t signal_answer = 0;
static void signal_handler(int number) { signal_answer = in_signal(number); }
/* Raises a signal whose handler calls the callback, on the thread's own stack or on another. */
EXPORT int32_t call_in_signal(int32_t (*callback)(int32_t), bool own_stack) {
  static char stack[256 * 1024];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack}, old_stack;
  struct sigaction action, old_action;
  memset(&action, 0, sizeof action);
  action.sa_handler = signal_handler;
  action.sa_flags = own_stack ? 0 : SA_ONSTACK;
  in_signal = callback;
  if (!own_stack) sigaltstack(&alternate, &old_stack);
  sigaction(SIGUSR2, &action, &old_action);
  raise(SIGUSR2);
  sigaction(SIGUSR2, &old_action, NULL);
  if (!own_stack) sigaltstack(&old_stack, NULL);
  return signal_answer;
}
/* Destroys user data in a signal's handler, wherever the thread is then: here. */
static void (*destroy_in_handler)(void *) = NULL;
static void *user_data_in_handler = NULL;
static void destroying_handler(int number) {
  (void)number;
  destroy_in_handler(user_data_in_handler);
}
EXPORT void destroy_in_signal(void (*destroy)(void *), void *user_data) {
  struct sigaction action, old_action;
  memset(&action, 0, sizeof action);
  action.sa_handler = destroying_handler;
  destroy_in_handler = destroy;
  user_data_in_handler = user_data;
  sigaction(SIGUSR2, &action, &old_action);
  raise(SIGUSR2);
  sigaction(SIGUSR2, &old_action, NULL);
}
#endif

/* musl has no makecontext, and macOS no longer wants it to be used. */
#if defined(__GLIBC__)
#include <ucontext.h>
static ucontext_t outside, inside;
static int32_t (*in_coroutine)(int32_t) = NULL;
static int32_t coroutine_answer = 0;
static void coroutine(void) { coroutine_answer = in_coroutine(1); }
EXPORT int32_t call_on_coroutine(int32_t (*callback)(int32_t)) {
  const size_t length = 1024 * 1024;
  char *stack = malloc(length);
  in_coroutine = callback;
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack;
  inside.uc_stack.ss_size = length;
  inside.uc_link = &outside;
  makecontext(&inside, coroutine, 0);
  swapcontext(&outside, &inside);
  free(stack);
  return coroutine_answer;
}
#endif

/* So many mixed arguments; the result tells where each one arrived. */
#define P1 int8_t a1
#define P2 P1, float a2
#define P3 P2, uint16_t a3
#define P4 P3, double a4
#define P5 P4, int32_t a5
#define P6 P5, float a6
#define P7 P6, int64_t a7
#define P8 P7, double a8
#define P9 P8, uint8_t a9
#define P10 P9, float a10
#define P11 P10, bool a11
#define P12 P11, double a12
#define P13 P12, uint32_t a13
#define P14 P13, int16_t a14
#define P15 P14, float a15
#define P16 P15, uint64_t a16
#define S1 1 * (double)a1
#define S2 S1 + 2 * (double)a2
#define S3 S2 + 3 * (double)a3
#define S4 S3 + 4 * (double)a4
#define S5 S4 + 5 * (double)a5
#define S6 S5 + 6 * (double)a6
#define S7 S6 + 7 * (double)a7
#define S8 S7 + 8 * (double)a8
#define S9 S8 + 9 * (double)a9
#define S10 S9 + 10 * (double)a10
#define S11 S10 + 11 * (double)a11
#define S12 S11 + 12 * (double)a12
#define S13 S12 + 13 * (double)a13
#define S14 S13 + 14 * (double)a14
#define S15 S14 + 15 * (double)a15
#define S16 S15 + 16 * (double)a16
EXPORT double mixed_0(void) { return 0.5; }
EXPORT double mixed_1(P1) { return S1; }
EXPORT double mixed_2(P2) { return S2; }
EXPORT double mixed_3(P3) { return S3; }
EXPORT double mixed_4(P4) { return S4; }
EXPORT double mixed_5(P5) { return S5; }
EXPORT double mixed_6(P6) { return S6; }
EXPORT double mixed_7(P7) { return S7; }
EXPORT double mixed_8(P8) { return S8; }
EXPORT double mixed_9(P9) { return S9; }
EXPORT double mixed_10(P10) { return S10; }
EXPORT double mixed_11(P11) { return S11; }
EXPORT double mixed_12(P12) { return S12; }
EXPORT double mixed_13(P13) { return S13; }
EXPORT double mixed_14(P14) { return S14; }
EXPORT double mixed_15(P15) { return S15; }
EXPORT double mixed_16(P16) { return S16; }

/* What calls that JavaScript doesn't wait for do meanwhile. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static int32_t met = 0, at_gate_now = 0, at_gate_most = 0;
static bool gate_open = false;
/* Waits until so many calls are in it; answers how many were before this one. */
EXPORT int32_t meet(int32_t wanted) {
  pthread_mutex_lock(&gate);
  const int32_t before = met++;
  pthread_cond_broadcast(&gate_changed);
  while (met < wanted) pthread_cond_wait(&gate_changed, &gate);
  pthread_mutex_unlock(&gate);
  return before;
}
EXPORT void meet_anew(void) { met = 0; }
/* Waits until the gate is opened; answers the value. */
EXPORT int32_t wait_at_gate(int32_t value) {
  pthread_mutex_lock(&gate);
  at_gate_now++;
  if (at_gate_now > at_gate_most) at_gate_most = at_gate_now;
  pthread_cond_broadcast(&gate_changed);
  while (!gate_open) pthread_cond_wait(&gate_changed, &gate);
  at_gate_now--;
  pthread_mutex_unlock(&gate);
  return value;
}
EXPORT int32_t at_gate(void) { return at_gate_now; }
EXPORT int32_t most_at_gate(void) { return at_gate_most; }
EXPORT void set_gate(bool open) {
  pthread_mutex_lock(&gate);
  gate_open = open;
  if (!open) at_gate_most = at_gate_now;
  pthread_cond_broadcast(&gate_changed);
  pthread_mutex_unlock(&gate);
}
/* Looks at the memory when the gate is open. */
EXPORT uint64_t sum_at_gate(const uint8_t *bytes, size_t length) {
  wait_at_gate(0);
  return sum_bytes(bytes, length);
}
EXPORT int32_t compare_at_gate(const char *a, const char *b) {
  wait_at_gate(0);
  return strcmp(a, b);
}
EXPORT void rest(int32_t ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&time, NULL);
}
/* Calls it `count` times and answers the sum. */
EXPORT int32_t sum_of_calls(int32_t (*callback)(int32_t), int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) sum += callback(i);
  return sum;
}

/* A structure by value, and the same numbers as scalars. */
typedef struct {
  double x;
  double y;
} point;
EXPORT point swap_point(point p) { return (point){p.y, p.x}; }
EXPORT point call_with_point(point (*callback)(point p)) { return callback((point){1, 2}); }
EXPORT const point *copy_point(const point *from, point *to) {
  *to = *from;
  return from;
}
EXPORT double add_f64(double x, double y) { return x + y; }

/* String objects that another language implements: C holds ids and nothing else, in the order of a table. */
static uintptr_t string_objects[10000];
EXPORT void string_object_make(uintptr_t (*make)(const char *text), int32_t place, const char *text) {
  string_objects[place] = make(text);
}
/* Prints an object with those that are in it: the one at the place with twice its number, and the next. */
EXPORT void string_object_print(void (*print)(uintptr_t id, int32_t depth), int32_t place, int32_t depth, int32_t count) {
  if (place >= count) return;
  print(string_objects[place], depth);
  string_object_print(print, 2 * place + 1, depth + 1, count);
  string_object_print(print, 2 * place + 2, depth + 1, count);
}
/* Frees every object, those at places that `stride` divides with its rest 0 first, then rest 1, and so on. */
EXPORT void string_object_free(void (*free)(uintptr_t id), int32_t stride, int32_t count) {
  for (int32_t rest = 0; rest < stride; rest++) {
    for (int32_t place = rest; place < count; place += stride) {
      free(string_objects[place]);
      string_objects[place] = 0;
    }
  }
}
/* One of its own from the first call to the last, with another inside. */
EXPORT void string_object_life(uintptr_t (*make)(const char *text), void (*print)(uintptr_t id, int32_t depth),
                               void (*free)(uintptr_t id), int32_t depth) {
  uintptr_t id = make(depth % 2 == 0 ? "even" : "odd");
  print(id, depth);
  if (depth > 0) string_object_life(make, print, free, depth - 1);
  print(id, depth);
  free(id);
}

/* As SQL functions are: what they are called with is asked for, and what they answer is given to a function. */
struct row {
  void *user_data;
  double value;
  int8_t tiny;
  float small;
  double answer;
  int32_t answers;
};
EXPORT double row_value(const struct row *row) { return row->value; }
EXPORT double row_power(const struct row *row, int32_t exponent) {
  double power = 1;
  for (int32_t i = 0; i < exponent; i++) power *= row->value;
  return power;
}
EXPORT const char *row_text(const struct row *row) { return row->value < 2 ? "one" : NULL; }
EXPORT void *row_user_data(const struct row *row) { return row->user_data; }
EXPORT void row_answer(struct row *row, double answer) {
  row->answer = answer;
  row->answers++;
}
EXPORT int32_t row_answer_i32(struct row *row, int32_t answer) {
  row_answer(row, answer);
  return answer * 2;
}
EXPORT double sum_of_four(int32_t a, double b, int8_t c, float d) { return a + b * 10 + c * 100 + (double)d * 1000; }
static struct row row_of(int32_t index, void *user_data) {
  return (struct row){user_data, index + 1, (int8_t)-index, (float)index + 0.5f, 0, 0};
}
/* The sum of the answers; of rows without one -1000. */
EXPORT double run_rows(void (*f)(struct row *row), int32_t count, void *user_data) {
  double sum = 0;
  for (int32_t i = 0; i < count; i++) {
    struct row row = row_of(i, user_data);
    f(&row);
    sum += row.answers == 1 ? row.answer : -1000;
  }
  return sum;
}
EXPORT int32_t run_rows_i32(int32_t (*f)(struct row *row), int32_t count, void *user_data) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) {
    struct row row = row_of(i, user_data);
    sum += f(&row);
  }
  return sum;
}
