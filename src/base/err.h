/* err.h: an error with a message, for configuration and commands.
 *
 * Context is added as the error travels up: err_wrap(e, "load '%s'", path) gives
 * "load 'x': no such file". Nothing is allocated; long messages are cut. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#define ERR_TEXT_MAX 512

struct err {
    bool set;
    char text[ERR_TEXT_MAX];
};

/* Both return -1, so that a failing function can end with `return err_set(...)`. */
int err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
