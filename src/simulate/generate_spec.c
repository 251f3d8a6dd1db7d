#include "simulate/generate_spec.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/units.h"
#include "config/nearest.h"

#define ROWS_DEFAULT 2000
#define CLIENTS_MAX 100000
#define NUMBER_MAX 1e9

enum type { NUMBER, DURATION, SIZE, COUNT, TEXT };

static const char *const kinds[] = {"poisson", "bursty", "every", "closed", "lease"};
_Static_assert(countof(kinds) == GENERATE__KINDS, "a name a kind");

static const struct key {
    const char *name;
    enum type type;
    size_t offset;
    const char *kinds;
} keys[] = {
#define KEY(name, type, field, value, kinds, doc)                                                  \
    {#name, type, offsetof(struct generate_spec, field), kinds},
    GENERATE_KEYS(KEY)
#undef KEY
};

/* A key's value, as text and with where it goes to. */
struct value {
    const struct key *key;
    const char *text;
    void *field;
};

static int set_number(const struct value *v, struct err *e)
{
    char *end;
    double number = strtod(v->text, &end);
    if (*end || end == v->text || !isfinite(number) || number < 0 || number > NUMBER_MAX)
        return err_set(e, "%s: '%.60s' is not a number from 0 to 1e9", v->key->name, v->text);
    *(double *)v->field = number;
    return 0;
}

static int set_duration(const struct value *v, struct err *e)
{
    if (!units_parse_duration(v->text, NS_PER_S, v->field))
        return err_set(e, "%s: '%.60s' is not a time such as 30s", v->key->name, v->text);
    return 0;
}

static int set_size(const struct value *v, struct err *e)
{
    if (!units_parse_bytes(v->text, v->field) || *(uint64_t *)v->field == 0)
        return err_set(e, "%s: '%.60s' is not a size such as 8GiB", v->key->name, v->text);
    return 0;
}

static int set_count(const struct value *v, struct err *e)
{
    uint64_t count = 0;
    const char *p = v->text;
    for (; *p >= '0' && *p <= '9' && count <= WORK_ROWS_MAX; p++)
        count = count * 10 + (uint64_t)(*p - '0');
    if (*p || p == v->text || count < 1 || count > WORK_ROWS_MAX)
        return err_set(e, "%s: '%.60s' is not a number from 1 to %d", v->key->name, v->text,
                       WORK_ROWS_MAX);
    *(uint32_t *)v->field = (uint32_t)count;
    return 0;
}

static int set_text(const struct value *v, struct err *e)
{
    size_t n = strlen(v->text);
    if (n >= GENERATE_TEXT_MAX)
        return err_set(e, "%s: '%.60s…' is too long", v->key->name, v->text);
    memcpy(v->field, v->text, n + 1);
    return 0;
}

static int unknown_key(const char *name, struct err *e)
{
    struct nearest nearest = nearest_to(name);
    for (size_t i = 0; i < countof(keys); i++)
        nearest_offer(&nearest, keys[i].name);
    if (nearest.best)
        return err_set(e, "no key '%.60s'; did you mean '%s'?", name, nearest.best);
    return err_set(e, "no key '%.60s'", name);
}

/* pair: "key=value", taken apart in place. */
static int set_pair(struct generate_spec *s, char *pair, struct err *e)
{
    static int (*const setters[])(const struct value *, struct err *) = {[NUMBER] = set_number,
                                                                         [DURATION] = set_duration,
                                                                         [SIZE] = set_size,
                                                                         [COUNT] = set_count,
                                                                         [TEXT] = set_text};
    char *equals = strchr(pair, '=');
    if (!equals || !equals[1])
        return err_set(e, "'%.60s' is not key=value", pair);
    *equals = '\0';
    for (size_t i = 0; i < countof(keys); i++) {
        if (strcmp(keys[i].name, pair) != 0)
            continue;
        if (!strchr(keys[i].kinds, kinds[s->kind][0]))
            return err_set(e, "%s has no key '%s'", kinds[s->kind], pair);
        struct value v = {&keys[i], equals + 1, (char *)s + keys[i].offset};
        return setters[keys[i].type](&v, e);
    }
    return unknown_key(pair, e);
}

static int check(struct generate_spec *s, struct err *e)
{
    bool is_timed = s->kind == GENERATE_POISSON || s->kind == GENERATE_BURSTY;
    if (is_timed && s->rate <= 0)
        return err_set(e, "%s needs a rate, in requests a second", kinds[s->kind]);
    if (s->kind == GENERATE_BURSTY && s->burst < 1)
        return err_set(e, "burst has to be 1 or more");
    if (s->daily > 1)
        return err_set(e, "daily is a share, from 0 to 1");
    if ((s->kind == GENERATE_EVERY || s->kind == GENERATE_LEASE) && s->period_ns == 0)
        return err_set(e, "%s needs a period", kinds[s->kind]);
    if (s->kind == GENERATE_LEASE && (s->size == 0 || s->hold_ns == 0))
        return err_set(e, "lease needs a size, and how long it is held");
    if (s->kind == GENERATE_CLOSED && s->for_ns == 0)
        return err_set(e, "closed needs `for`: how long requests come");
    if (s->clients > CLIENTS_MAX)
        return err_set(e, "more than %d clients", CLIENTS_MAX);
    if (s->lengths[0] && strcmp(s->lengths, "fixed") != 0 && strcmp(s->lengths, "exponential") != 0)
        return err_set(e, "lengths: '%.60s' is neither exponential nor fixed", s->lengths);
    if (s->rows == 0)
        s->rows = s->for_ns ? WORK_ROWS_MAX : ROWS_DEFAULT;
    if (s->for_ns == 0)
        s->for_ns = WORK_NEVER / 2;
    return 0;
}

/* n: the length of the kind's name. */
static int find_kind(const char *text, size_t n, enum generate_kind *ret, struct err *e)
{
    for (int i = 0; i < GENERATE__KINDS; i++)
        if (strlen(kinds[i]) == n && memcmp(kinds[i], text, n) == 0) {
            *ret = (enum generate_kind)i;
            return 0;
        }
    return err_set(e, "'%.*s' is neither poisson, bursty, every, closed nor lease",
                   n > 60 ? 60 : (int)n, text);
}

int generate_spec_parse(const char *text, struct generate_spec *ret, struct err *e)
{
    struct generate_spec s = {
#define KEY(name, type, field, value, kinds, doc) KEY_##type(field, value)
#define KEY_NUMBER(field, value) .field = value,
#define KEY_DURATION(field, value) .field = value,
#define KEY_SIZE(field, value) .field = value,
#define KEY_COUNT(field, value) .field = value,
#define KEY_TEXT(field, value) .field = {value},
        GENERATE_KEYS(KEY)
#undef KEY
    };
    size_t n = strcspn(text, ":");
    if (find_kind(text, n, &s.kind, e) < 0)
        return -1;
    char pair[2 * GENERATE_TEXT_MAX];
    for (const char *p = text + n; *p;) {
        p++;
        size_t size = strcspn(p, ",");
        if (size >= sizeof(pair))
            return err_set(e, "'%.60s…' is too long", p);
        memcpy(pair, p, size);
        pair[size] = '\0';
        if (set_pair(&s, pair, e) < 0)
            return -1;
        p += size;
    }
    if (check(&s, e) < 0)
        return -1;
    *ret = s;
    return 0;
}
