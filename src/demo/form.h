/* form.h: multipart/form-data (RFC 7578), as much of it as an upload needs. */
#ifndef DEMO_FORM_H
#define DEMO_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "http.h"

struct form_part {
    char name[64], file[256]; /* file: "" where it is no file */
    const char *data;         /* in the request's body */
    size_t data_bytes;
};

/* The first part of that name, which may stand there as a list's, with "[]" behind it. False where
 * there is none, or the body is no form. */
bool form_find(const struct http_request *r, const char *name, struct form_part *ret);
/* As text, cut to the size; "" where there is none. */
void form_read_text(const struct http_request *r, const char *name, char *out, size_t out_size);

#endif
