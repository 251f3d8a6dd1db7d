#include "form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* The value of name="..." in a part's head, into out; "" when it is missing. */
static void read_parameter(const char *head, size_t n, const char *name, char *out, size_t out_size)
{
    const char *at = memmem(head, n, name, strlen(name));
    out[0] = '\0';
    if (!at)
        return;
    at += strlen(name);
    const char *end = memchr(at, '"', n - (size_t)(at - head));
    if (end && (size_t)(end - at) < out_size) {
        memcpy(out, at, (size_t)(end - at));
        out[end - at] = '\0';
    }
}

/* Cuts the next part off (RFC 2046, section 5.1.1). */
static bool next_part(const char **at, const char *end, const char *boundary, struct form_part *ret)
{
    size_t n = strlen(boundary);
    const char *head = memmem(*at, (size_t)(end - *at), boundary, n);
    if (!head)
        return false;
    head += n;
    const char *data = memmem(head, (size_t)(end - head), "\r\n\r\n", 4);
    if (!data)
        return false;
    data += 4;
    const char *stop = memmem(data, (size_t)(end - data), boundary, n);
    if (!stop || stop - data < 2)
        return false;
    read_parameter(head, (size_t)(data - head), " name=\"", ret->name, sizeof(ret->name));
    read_parameter(head, (size_t)(data - head), "filename=\"", ret->file, sizeof(ret->file));
    ret->data = data;
    ret->data_bytes = (size_t)(stop - data) - 2;
    *at = stop;
    return true;
}

static bool is_named(const struct form_part *part, const char *name)
{
    size_t n = strlen(name);
    return strncmp(part->name, name, n) == 0 &&
           (part->name[n] == '\0' || strcmp(part->name + n, "[]") == 0);
}

/* The line before each part, or NULL; owned by the caller. */
static char *read_boundary(const struct http_request *r)
{
    static const char key[] = "boundary=";
    const char *type = http_find_header(r, "content-type");
    const char *found = type ? strcasestr(type, key) : NULL;
    if (!found)
        return NULL;
    found += sizeof(key) - 1;
    found += *found == '"';
    return alloc_printf("--%.*s", (int)strcspn(found, "\"; "), found);
}

bool form_find(const struct http_request *r, const char *name, struct form_part *ret)
{
    auto_free char *boundary = read_boundary(r);
    const char *at = r->body.data ? r->body.data : "", *end = at + r->body.len;
    struct form_part part;
    while (boundary && next_part(&at, end, boundary, &part))
        if (is_named(&part, name)) {
            *ret = part;
            return true;
        }
    return false;
}

void form_read_text(const struct http_request *r, const char *name, char *out, size_t out_size)
{
    struct form_part part = {.data = ""};
    form_find(r, name, &part);
    snprintf(out, out_size, "%.*s", (int)part.data_bytes, part.data);
}
