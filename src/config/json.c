#include "config/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct writer {
    struct buf out;
    struct arena *arena;
    struct diag *diag;
};

/* The fewest digits that read back as the same number, as the format %e. */
static void shortest(double real, char *out, size_t room)
{
    for (int digits = 0; digits < 17; digits++) {
        snprintf(out, room, "%.*e", digits, real);
        double back = strtod(out, NULL);
        if (!(back < real) && !(back > real))
            return;
    }
}

/* encoding/json, floatEncoder: an exponent below 1e-6 and from 1e21 on, without a leading zero. */
static void write_real(struct writer *w, const struct node *n, double real)
{
    char text[64];
    if (isnan(real) || isinf(real)) {
        diag_error(w->diag, n->at, "%s cannot be said in JSON", n->text);
        buf_text(&w->out, "null");
        return;
    }
    shortest(real, text, sizeof(text));
    char *e = strchr(text, 'e');
    long exponent = strtol(e + 1, NULL, 10);
    size_t mantissa = (size_t)(e - text) - (text[0] == '-');
    int decimals = mantissa > 1 ? (int)mantissa - 2 : 0;
    if (exponent >= decimals && exponent < 21) {
        for (const char *p = text; p < e; p++)
            if (*p != '.')
                buf_char(&w->out, *p);
        for (long zeros = exponent - decimals; zeros > 0; zeros--)
            buf_char(&w->out, '0');
    } else if (exponent >= -6 && exponent < 21) {
        snprintf(text, sizeof(text), "%.*f", decimals - (int)exponent, real);
        buf_text(&w->out, text);
    } else {
        *e = '\0';
        buf_printf(&w->out, "%se%c%ld", text, exponent < 0 ? '-' : '+', labs(exponent));
    }
}

/* Whole numbers between 2^63 and 2^64 are still whole for Go. */
static bool is_uint64(const char *text)
{
    char *end;
    if (*text < '1' || *text > '9' || text[strspn(text, "0123456789")] || strlen(text) > 20)
        return false;
    return strtoull(text, &end, 10) < UINT64_MAX || strcmp(text, "18446744073709551615") == 0;
}

static void write_scalar(struct writer *w, const struct node *n)
{
    struct scalar s = scalar_read(n);
    switch (s.type) {
    case SCALAR_NULL:
        buf_text(&w->out, "null");
        break;
    case SCALAR_BOOL:
        buf_text(&w->out, s.flag ? "true" : "false");
        break;
    case SCALAR_INT:
        buf_printf(&w->out, "%lld", (long long)s.number);
        break;
    case SCALAR_FLOAT:
        if (is_uint64(n->text))
            buf_text(&w->out, n->text);
        else
            write_real(w, n, s.real);
        break;
    case SCALAR_TEXT:
        buf_json_text(&w->out, n->text);
        break;
    }
}

static int by_key(const void *pa, const void *pb)
{
    const struct node_item *a = pa, *b = pb;
    return strcmp(a->key->text, b->key->text);
}

static void write_node(struct writer *w, const struct node *n)
{
    if (n->kind == NODE_SCALAR) {
        write_scalar(w, n);
        return;
    }
    bool is_map = n->kind == NODE_MAP;
    struct node_item *items = arena_alloc(w->arena, n->count, sizeof(*items));
    if (n->count)
        memcpy(items, n->items, n->count * sizeof(*items));
    if (is_map && n->count)
        qsort(items, n->count, sizeof(*items), by_key);
    buf_char(&w->out, is_map ? '{' : '[');
    for (uint32_t i = 0; i < n->count; i++) {
        buf_text(&w->out, i ? "," : "");
        if (is_map) {
            buf_json_text(&w->out, items[i].key->text);
            buf_char(&w->out, ':');
        }
        write_node(w, items[i].value);
    }
    buf_char(&w->out, is_map ? '}' : ']');
}

char *json_from_node(struct arena *a, struct diag *d, const struct node *n)
{
    struct writer w = {.arena = d->arena, .diag = d};
    write_node(&w, n);
    char *text = arena_text_n(a, w.out.data, w.out.len);
    buf_fini(&w.out);
    return text;
}
