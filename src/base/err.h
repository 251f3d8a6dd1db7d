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

/* err_set and err_wrap are -1, so that a failing function can end with `return err_set(...)`; here,
 * where static analysis sees it in every caller. */
#define err_set(...) (err_format(__VA_ARGS__), err_failed())
#define err_wrap(...) (err_format_around(__VA_ARGS__), err_failed())

static inline int err_failed(void)
{
    return -1;
}

void err_format(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_format_around(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
