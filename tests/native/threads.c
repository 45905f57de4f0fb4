/* Threads that call what the tests give them: POSIX threads, which Windows has by a library that Zig brings. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#define EXPORT __declspec(dllexport)
#define OPEN_LIBRARY(path) (void *)LoadLibraryA(path)
#define FIND_SYMBOL(library, name) (void *)GetProcAddress(library, name)
#else
#include <dlfcn.h>
#define EXPORT __attribute__((visibility("default")))
#define OPEN_LIBRARY(path) dlopen(path, RTLD_NOW)
#define FIND_SYMBOL(library, name) dlsym(library, name)
#endif

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Some threads that do the same, each with its number. Whoever made a crew joins it, which ends it. */
struct crew;
struct member {
  struct crew *crew;
  int32_t id;
  int64_t sum;
  pthread_t thread;
};
struct crew {
  void (*work)(struct member *);
  void *functions[2];
  int32_t threads, count;
  void *memory;
  _Atomic int32_t running;
  _Atomic int32_t waiting;
  _Atomic bool stop;
  /* How long its longest call took. */
  _Atomic int64_t longest_us;
  struct member members[];
};

static void *member_main(void *argument) {
  struct member *member = argument;
  struct crew *crew = member->crew;
  crew->work(member);
  atomic_fetch_sub(&crew->running, 1);
  return NULL;
}

static struct crew *start(void (*work)(struct member *), void *one, void *other, int32_t threads, int32_t count,
                          void *memory) {
  struct crew *crew = calloc(1, sizeof *crew + (size_t)threads * sizeof(struct member));
  crew->work = work;
  crew->functions[0] = one;
  crew->functions[1] = other;
  crew->threads = threads;
  crew->count = count;
  crew->memory = memory;
  crew->running = threads;
  for (int32_t i = 0; i < threads; i++) {
    struct member *member = &crew->members[i];
    *member = (struct member){crew, i, 0, 0};
    if (pthread_create(&member->thread, NULL, member_main, member) != 0) abort();
  }
  return crew;
}

/* Joins the threads, and answers the sum of what they were answered. */
EXPORT int64_t crew_join(struct crew *crew) {
  int64_t sum = 0;
  for (int32_t i = 0; i < crew->threads; i++) {
    pthread_join(crew->members[i].thread, NULL);
    sum += crew->members[i].sum;
  }
  free(crew);
  return sum;
}
EXPORT int64_t crew_stop(struct crew *crew) {
  crew->stop = true;
  return crew_join(crew);
}
EXPORT void crew_tell_to_stop(struct crew *crew) { crew->stop = true; }
EXPORT int32_t crew_running(struct crew *crew) { return crew->running; }
/* How many of its threads are in a call, or have ended. */
EXPORT int32_t crew_waiting(struct crew *crew) { return crew->waiting; }
EXPORT double crew_longest_ms(struct crew *crew) { return (double)crew->longest_us / 1e3; }

static void note_duration(struct crew *crew, double start_ms) {
  const int64_t us = (int64_t)((milliseconds() - start_ms) * 1e3);
  int64_t longest = crew->longest_us;
  while (us > longest && !atomic_compare_exchange_weak(&crew->longest_us, &longest, us)) continue;
}

typedef void (*post_function)(int32_t thread, int32_t index);
typedef int32_t (*wait_function)(int32_t thread, int32_t index);

static void post_work(struct member *member) {
  struct crew *crew = member->crew;
  const post_function functions[2] = {(post_function)crew->functions[0], (post_function)crew->functions[1]};
  for (int32_t i = 0; i < crew->count && !crew->stop; i++) {
    const double start_ms = milliseconds();
    functions[i & 1](member->id, i);
    note_duration(crew, start_ms);
    member->sum++;
  }
}
/* Each thread calls so often with its number and the call's: one function and another in turn. They answer how many calls
 * they made. */
EXPORT struct crew *start_posts(post_function one, post_function other, int32_t threads, int32_t count) {
  return start(post_work, (void *)one, (void *)other, threads, count, NULL);
}
static void fast_post_work(struct member *member) {
  struct crew *crew = member->crew;
  const post_function f = (post_function)crew->functions[0];
  for (int32_t i = 0; i < crew->count && !crew->stop; i++) f(member->id, i);
}
EXPORT struct crew *start_fast_posts(post_function f, int32_t threads, int32_t count) {
  return start(fast_post_work, (void *)f, NULL, threads, count, NULL);
}

static void wait_work(struct member *member) {
  struct crew *crew = member->crew;
  const wait_function f = (wait_function)crew->functions[0];
  for (int32_t i = 0; i < crew->count && !crew->stop; i++) {
    const double start_ms = milliseconds();
    crew->waiting++;
    const int32_t answer = f(member->id, i);
    if (i + 1 < crew->count) crew->waiting--;
    note_duration(crew, start_ms);
    member->sum += answer;
  }
}
EXPORT struct crew *start_waits(wait_function f, int32_t threads, int32_t count) {
  return start(wait_work, (void *)f, NULL, threads, count, NULL);
}
/* As these, for functions that take nothing. */
static void plain_work(struct member *member) {
  struct crew *crew = member->crew;
  for (int32_t i = 0; i < crew->count && !crew->stop; i++) {
    ((void (*)(void))crew->functions[0])();
    member->sum++;
  }
}
EXPORT struct crew *start_plain(void (*f)(void), int32_t threads, int32_t count) {
  return start(plain_work, (void *)f, NULL, threads, count, NULL);
}
/* Calls on this thread. */
EXPORT int32_t call_here(wait_function f, int32_t thread, int32_t index) { return f(thread, index); }
EXPORT void post_here(post_function f, int32_t first, int32_t count) {
  for (int32_t i = 0; i < count; i++) f(-1, first + i);
}
/* Text in memory that each thread has of its own. */
EXPORT const char *thread_text(int32_t number) {
  static _Thread_local char text[32];
  snprintf(text, sizeof text, "text %d", (int)number);
  return number < 0 ? NULL : text;
}

/* Threads that end before this returns. */
EXPORT int64_t post_and_join(post_function f, int32_t threads, int32_t count) {
  return crew_join(start(fast_post_work, (void *)f, NULL, threads, count, NULL));
}
EXPORT int64_t wait_and_join(wait_function f, int32_t threads, int32_t count) {
  return crew_join(start(wait_work, (void *)f, NULL, threads, count, NULL));
}
EXPORT void sleep_ms(int32_t duration_ms) {
  struct timespec pause = {duration_ms / 1000, duration_ms % 1000 * 1000000L};
  nanosleep(&pause, NULL);
}
/* Asks, and waits by itself then, as a loop does that polls: nobody can stop it. */
EXPORT void ask_and_wait(void (*callback)(void)) {
  callback();
  for (;;) sleep_ms(1000);
}

/* What a thread feeds a function, collects from it, or stores of what it answers, for each type. */
#define ON_THREAD(name, type)                                                                                          \
  static void feed_##name##_work(struct member *member) {                                                              \
    struct crew *crew = member->crew;                                                                                  \
    type *values = crew->memory;                                                                                       \
    for (int32_t i = 0; i < crew->count; i++) ((void (*)(type))crew->functions[0])(values[i]);                         \
  }                                                                                                                    \
  EXPORT struct crew *start_feed_##name(void (*f)(type), type *values, int32_t count) {                                \
    return start(feed_##name##_work, (void *)f, NULL, 1, count, values);                                               \
  }                                                                                                                    \
  static void relay_##name##_work(struct member *member) {                                                             \
    struct crew *crew = member->crew;                                                                                  \
    type *values = crew->memory;                                                                                       \
    for (int32_t i = 0; i < crew->count; i++) values[i] = ((type (*)(type))crew->functions[0])(values[i]);             \
  }                                                                                                                    \
  EXPORT struct crew *start_relay_##name(type (*f)(type), type *values, int32_t count) {                               \
    return start(relay_##name##_work, (void *)f, NULL, 1, count, values);                                              \
  }

ON_THREAD(i8, int8_t)
ON_THREAD(u8, uint8_t)
ON_THREAD(i16, int16_t)
ON_THREAD(u16, uint16_t)
ON_THREAD(i32, int32_t)
ON_THREAD(u32, uint32_t)
ON_THREAD(i64, int64_t)
ON_THREAD(u64, uint64_t)
ON_THREAD(isize, intptr_t)
ON_THREAD(usize, uintptr_t)
ON_THREAD(f32, float)
ON_THREAD(f64, double)
ON_THREAD(bool, bool)
ON_THREAD(pointer, void *)

#define EACH_8(of, from) of(from), of(from + 1), of(from + 2), of(from + 3), of(from + 4), of(from + 5), of(from + 6), of(from + 7)
#define INTEGER(n) ((int64_t)(n) * 0x100000001LL)
#define FLOAT(n) ((double)(n) + 0.5)
#define TYPES_8(type) type, type, type, type, type, type, type, type
typedef double (*wide_function)(TYPES_8(int64_t), TYPES_8(double), TYPES_8(int64_t), TYPES_8(double), TYPES_8(int64_t),
                                TYPES_8(double));
/* 24 integers and 24 floats, by eights in turn. */
EXPORT double call_wide(wide_function f) {
  return f(EACH_8(INTEGER, 0), EACH_8(FLOAT, 0), EACH_8(INTEGER, 8), EACH_8(FLOAT, 8), EACH_8(INTEGER, 16),
           EACH_8(FLOAT, 16));
}

/* What calls a function with some arguments: those of `testlib.c`, and the one above. */
#define CALLER(name) extern double name(void *);
#define EACH_CALLER(of)                                                                                                \
  of(mix_0) of(mix_1) of(mix_2) of(mix_3) of(mix_4) of(mix_5) of(mix_6) of(mix_7) of(mix_8) of(mix_9) of(mix_10)       \
      of(mix_11) of(mix_12) of(mix_13) of(mix_14) of(mix_15) of(mix_16) of(call_many)
EACH_CALLER(CALLER)
#define ADDRESS(name) (void *)name,
static void *const callers[] = {EACH_CALLER(ADDRESS)(void *) call_wide};
static void through_work(struct member *member) {
  struct crew *crew = member->crew;
  ((double *)crew->memory)[member->id] = ((double (*)(void *))callers[crew->count])(crew->functions[0]);
}
/* Each thread has it called by one of those, and stores what comes back. */
EXPORT struct crew *start_through(void *f, int32_t caller, double *results, int32_t threads) {
  return start(through_work, f, NULL, threads, caller, results);
}

/* Strings that are overwritten and freed as soon as the call has returned: in a register, on the stack, and none. */
typedef void (*text_function)(const char *first, int32_t thread, int32_t index, double, int32_t, int32_t, int32_t, int32_t,
                              int32_t, const char *on_stack, const char *none, int8_t last);
static char *text_of(int32_t thread, int32_t index, size_t length) {
  char *text = malloc(length + 64);
  const int start = snprintf(text, 64, "gr\xc3\xbc\xc3\x9f %d/%d ", thread, index);
  memset(text + start, 'x', length);
  text[(size_t)start + length] = 0;
  return text;
}
static void wipe(char *text) {
  memset(text, 'Z', strlen(text));
  free(text);
}
static void text_work(struct member *member) {
  struct crew *crew = member->crew;
  for (int32_t i = 0; i < crew->count; i++) {
    char *first = text_of(member->id, i, (size_t)(i % 300));
    char *on_stack = text_of(-member->id, -i, (size_t)(i % 7 == 0 ? 100000 : 0));
    ((text_function)crew->functions[0])(first, member->id, i, 0.5, 1, 2, 3, 4, 5, on_stack, NULL, -6);
    wipe(first);
    wipe(on_stack);
  }
}
EXPORT struct crew *start_texts(text_function f, int32_t threads, int32_t count) {
  return start(text_work, (void *)f, NULL, threads, count, NULL);
}

/* Calls with user data, and answers the sum. */
static void user_data_work(struct member *member) {
  struct crew *crew = member->crew;
  for (int32_t i = 0; i < crew->count; i++) {
    member->sum += ((int32_t (*)(void *, int32_t))crew->functions[0])(crew->memory, i);
  }
}
EXPORT struct crew *start_user_data(int32_t (*f)(void *, int32_t), void *user_data, int32_t threads, int32_t count) {
  return start(user_data_work, (void *)f, NULL, threads, count, user_data);
}

/* One thread calls with each of its user data, and destroys it then, 0 to 30 microseconds later. */
static void owned_work(struct member *member) {
  struct crew *crew = member->crew;
  void (*f)(void *, int32_t) = (void (*)(void *, int32_t))crew->functions[0];
  void (*destroy)(void *) = (void (*)(void *))crew->functions[1];
  const uint64_t *ids = crew->memory;
  for (int32_t i = 0; i < crew->count; i++) {
    f((void *)(uintptr_t)ids[i], i);
    double end_ms = milliseconds() + i % 31 * 1e-3;
    while (milliseconds() < end_ms) {
    }
    destroy((void *)(uintptr_t)ids[i]);
  }
}
EXPORT struct crew *start_owned(void (*f)(void *, int32_t), void (*destroy)(void *), const uint64_t *ids, int32_t count) {
  return start(owned_work, (void *)f, (void *)destroy, 1, count, (void *)ids);
}

/* A pool of threads that take jobs, and tell when each is done. */
struct job {
  struct job *next;
  void (*done)(void *user_data, int32_t number, int64_t result);
  void *user_data;
  int32_t number;
};
struct pool {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  struct job *first, **last;
  bool ends;
  int32_t threads;
  pthread_t members[];
};
static void *pool_main(void *argument) {
  struct pool *pool = argument;
  while (true) {
    pthread_mutex_lock(&pool->mutex);
    while (pool->first == NULL && !pool->ends) pthread_cond_wait(&pool->changed, &pool->mutex);
    struct job *job = pool->first;
    if (job != NULL) {
      pool->first = job->next;
      if (pool->first == NULL) pool->last = &pool->first;
    }
    pthread_mutex_unlock(&pool->mutex);
    if (job == NULL) return NULL;
    job->done(job->user_data, job->number, (int64_t)job->number * job->number);
    free(job);
  }
}
EXPORT struct pool *pool_create(int32_t threads) {
  struct pool *pool = calloc(1, sizeof *pool + (size_t)threads * sizeof(pthread_t));
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->changed, NULL);
  pool->last = &pool->first;
  pool->threads = threads;
  for (int32_t i = 0; i < threads; i++) {
    if (pthread_create(&pool->members[i], NULL, pool_main, pool) != 0) abort();
  }
  return pool;
}
EXPORT void pool_submit(struct pool *pool, int32_t number, void (*done)(void *, int32_t, int64_t), void *user_data) {
  struct job *job = malloc(sizeof *job);
  *job = (struct job){NULL, done, user_data, number};
  pthread_mutex_lock(&pool->mutex);
  *pool->last = job;
  pool->last = &job->next;
  pthread_cond_signal(&pool->changed);
  pthread_mutex_unlock(&pool->mutex);
}
/* Waits until every job is done and every thread has ended. */
EXPORT void pool_destroy(struct pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  pool->ends = true;
  pthread_cond_broadcast(&pool->changed);
  pthread_mutex_unlock(&pool->mutex);
  for (int32_t i = 0; i < pool->threads; i++) pthread_join(pool->members[i], NULL);
  pthread_cond_destroy(&pool->changed);
  pthread_mutex_destroy(&pool->mutex);
  free(pool);
}

/* SQLite, the system's, as a C program with threads uses it. */
static struct {
  int (*config)(int, ...);
  int (*open)(const char *, void **, int, const char *);
  int (*create_function)(void *, const char *, int, int, void *, void (*)(void *, int, void **), void *, void *, void *);
  int (*exec)(void *, const char *, int (*)(void *, int, char **, char **), void *, char **);
  int (*close)(void *);
  void (*log)(int, const char *, ...);
} sqlite;

enum { sqlite_serialized = 3, sqlite_log = 16, sqlite_read_write_create = 6, sqlite_full_mutex = 0x10000, sqlite_utf8 = 1 };

/* Configures it, before anything else of it is used: answers its code, or -1 when it isn't installed. */
EXPORT int32_t sqlite_prepare(const char *path, void (*log)(void *user_data, int code, const char *message), void *user_data) {
  void *library = OPEN_LIBRARY(path);
  if (library == NULL) return -1;
  *(void **)&sqlite.config = FIND_SYMBOL(library, "sqlite3_config");
  *(void **)&sqlite.open = FIND_SYMBOL(library, "sqlite3_open_v2");
  *(void **)&sqlite.create_function = FIND_SYMBOL(library, "sqlite3_create_function_v2");
  *(void **)&sqlite.exec = FIND_SYMBOL(library, "sqlite3_exec");
  *(void **)&sqlite.close = FIND_SYMBOL(library, "sqlite3_close");
  *(void **)&sqlite.log = FIND_SYMBOL(library, "sqlite3_log");
  const int code = sqlite.config(sqlite_serialized);
  return code != 0 ? code : sqlite.config(sqlite_log, log, user_data);
}

static int add_row(void *argument, int columns, char **values, char **names) {
  (void)columns;
  (void)names;
  *(int64_t *)argument += values[0] == NULL ? 0 : strtoll(values[0], NULL, 10);
  return 0;
}
/* Each thread runs a query on the one connection: the rows' sum is its answer, and a failure a negative number. Then it
 * makes a mistake, of which SQLite tells its log. */
static void sqlite_work(struct member *member) {
  struct crew *crew = member->crew;
  for (int32_t i = 0; i < crew->count; i++) {
    char sql[200];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) SELECT f(i, %d) FROM n",
             (int)member->id);
    int64_t sum = 0;
    const int code = sqlite.exec(crew->memory, sql, add_row, &sum, NULL);
    member->sum += code == 0 ? sum : -1000000000;
    sqlite.log(1000 + member->id, "thread %d, round %d", (int)member->id, (int)i);
    snprintf(sql, sizeof sql, "SELECT * FROM missing_%d_%d", (int)member->id, (int)i);
    if (sqlite.exec(crew->memory, sql, add_row, &sum, NULL) != 1) member->sum -= 1000000000;
  }
}
/* A connection in memory that all share, with `f` as a function of two arguments. */
EXPORT void *sqlite_open(void (*f)(void *, int, void **)) {
  void *database = NULL;
  if (sqlite.open(":memory:", &database, sqlite_read_write_create | sqlite_full_mutex, NULL) != 0) return NULL;
  if (sqlite.create_function(database, "f", 2, sqlite_utf8, NULL, f, NULL, NULL, NULL) != 0) return NULL;
  return database;
}
EXPORT struct crew *start_sqlite(void *database, int32_t threads, int32_t count) {
  return start(sqlite_work, NULL, NULL, threads, count, database);
}
EXPORT int32_t sqlite_close(void *database) { return sqlite.close(database); }
/* An event loop: calls its functions in turn, until loop_quit or for so many turns; answers how many there were. */
static _Atomic bool loop_ends;
EXPORT void loop_quit(void) { loop_ends = true; }
EXPORT int32_t loop_run(int32_t (*one)(int32_t), int32_t (*other)(int32_t), int32_t turns, int32_t pause_ms) {
  int32_t turn = 0;
  for (loop_ends = false; turn < turns && !loop_ends; turn++) {
    one(turn);
    other(turn);
    if (pause_ms > 0) sleep_ms(pause_ms);
  }
  return turn;
}

/* Makes something of `use`, and gives it back by `destroy`, whatever that did. */
EXPORT int32_t use_and_destroy(int32_t (*use)(int32_t), int32_t (*destroy)(int32_t), int32_t count) {
  int32_t destroyed = 0;
  for (int32_t i = 0; i < count; i++) use(i);
  for (int32_t i = 0; i < count; i++) destroyed += destroy(i);
  return destroyed;
}
/* Calls `there` on another thread, which it waits for, and then `here`, so many times; answers the sum of both. */
struct errand {
  int32_t (*function)(int32_t);
  int32_t argument, answer;
};
static void *errand_main(void *argument) {
  struct errand *errand = argument;
  errand->answer = errand->function(errand->argument);
  return NULL;
}
EXPORT int32_t there_and_here(int32_t (*there)(int32_t), int32_t (*here)(int32_t), int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i++) {
    struct errand errand = {there, i, 0};
    pthread_t thread;
    pthread_create(&thread, NULL, errand_main, &errand);
    pthread_join(thread, NULL);
    sum += errand.answer + here(i);
  }
  return sum;
}
