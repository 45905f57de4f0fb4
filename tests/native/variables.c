/* Variables of C's that a program may have a copy of, as a linked library's code sees them. */

#if defined(__linux__)
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern char **environ;

EXPORT void *seen_variable(const char *name) {
  if (strcmp(name, "environ") == 0) return environ;
  if (strcmp(name, "stdin") == 0) return stdin;
  if (strcmp(name, "stdout") == 0) return stdout;
  if (strcmp(name, "stderr") == 0) return stderr;
  return optarg;
}
/* Has C set a variable of the environment, for which it may move it all. */
EXPORT void change_environment(const char *name, const char *value) { setenv(name, value, 1); }
/* Has `getopt` set its variables. */
EXPORT int32_t parse_option(char *value) {
  static char name[] = "program", option[] = "-x";
  char *arguments[] = {name, option, value, NULL};
  optind = 1;
  return getopt(3, arguments, "x:");
}

/* A variable that another library of the process may define, too; and one that this library's code has for itself. */
EXPORT int32_t interposable = 1;
EXPORT int32_t interposable_set(int32_t value) { return interposable = value; }
__attribute__((visibility("protected"))) int32_t kept_to_itself = 1;
EXPORT int32_t kept_set(int32_t value) { return kept_to_itself = value; }
#endif
