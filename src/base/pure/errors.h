/* errors.h: operating errors as integers; the list is errors.def.
 *
 * A function that can fail returns 0 or a negative error: -ERR_JSON_INVALID. */
#ifndef BASE_PURE_ERRORS_H
#define BASE_PURE_ERRORS_H

#include <stdbool.h>

enum error_code {
    ERR_NONE,
#define ERROR(name, code, theirs, status, retryable, text) ERR_##name,
#include "errors.def"
#undef ERROR
    ERR__COUNT
};

struct error_info {
    const char *code;            /* stable, machine-readable */
    const char *llama_swap_code; /* llama-swap's word for such an answer */
    const char *text;            /* one clause, for people */
    int http_status;
    bool retryable;
};

/* error: an enum error_code, or its negative. Never NULL. */
const struct error_info *error_info(int error);
/* The enum error_code of that code; ERR_NONE: there is none. */
int error_find(const char *code);

#endif
