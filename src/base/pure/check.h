/* check.h: asserts that stay compiled in.
 *
 * must() guards what can only be false through a bug in wharf itself, never anything that arrives
 * from outside. A failed check ends the process: the supervisor restarts it, and the state is
 * rebuilt from what is really running. The hook is supplied by whoever links the code (base/check.c
 * in the daemon, the test runners in tests), which keeps the core free of I/O. */
#ifndef BASE_PURE_CHECK_H
#define BASE_PURE_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* Reports the failed expression and does not return. */
_Noreturn void check_failed(const char *expr, const char *file, int line);

#define must(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
#define never(text) check_failed(text, __FILE__, __LINE__)

#define countof(array) (sizeof(array) / sizeof((array)[0]))
#define container_of(ptr, type, member) ((type *)((uintptr_t)(ptr)-offsetof(type, member)))
#define warn_unused __attribute__((warn_unused_result))

#endif
