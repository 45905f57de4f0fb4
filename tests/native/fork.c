/* C forks, and the children call what JavaScript gave it. POSIX systems only. */

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../native/include/belay.h"

#define EXPORT __attribute__((visibility("default")))

/* What the children call. */
typedef int32_t (*answering)(int32_t, int32_t);
static answering same, waits;
static void (*posts)(int32_t, int32_t);
static belay_channel_send_function *send_event;
static belay_channel *channel;
static void (*release)(void *);
static void *handle;

EXPORT void fork_will_call(answering a_same, answering a_waits, void (*a_posts)(int32_t, int32_t)) {
  same = a_same;
  waits = a_waits;
  posts = a_posts;
}
EXPORT void fork_will_use(belay_channel_send_function *a_send, belay_channel *a_channel, void (*a_release)(void *),
                          void *a_handle) {
  send_event = a_send;
  channel = a_channel;
  release = a_release;
  handle = a_handle;
}

/* What becomes of the children: those that ended by themselves with the code that they were to end with; that had to be
 * killed; how another one ended. */
struct ends {
  int32_t right, killed, other_status;
};
struct family {
  int32_t count;
  struct ends *ends;
};

enum { fallback = -7, deadline_s = 20 };

static bool all_are_refused(void) {
  posts(1, 2);
  release(handle);
  return same(1, 2) == fallback && waits(1, 2) == fallback && !send_event(channel, NULL, NULL, 0);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fork_one(const struct family *family, int32_t code) {
  struct ends *ends = family->ends;
  const pid_t child = fork();
  if (child == 0) {
    exit(all_are_refused() ? code : 99);
  }
  int status = 0;
  const double end_s = seconds() + deadline_s;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (seconds() > end_s) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      ends->killed++;
      return;
    }
    const struct timespec pause = {0, 500000};
    nanosleep(&pause, NULL);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == code) ends->right++;
  else ends->other_status = status;
}

static void *fork_all(void *argument) {
  const struct family *family = argument;
  for (int32_t i = 0; i < family->count && family->ends->killed == 0; i++) fork_one(family, 7 + i % 50);
  return NULL;
}

/* Forks children one after the other, here or on a thread of its own. */
EXPORT void fork_children(int32_t count, struct ends *ends, bool on_thread) {
  struct family family = {count, ends};
  pthread_t thread;
  if (!on_thread) fork_all(&family);
  else if (pthread_create(&thread, NULL, fork_all, &family) == 0) pthread_join(thread, NULL);
}
#endif
