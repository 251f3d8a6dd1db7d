#include "config/settings.h"

#include <string.h>

#include "base/pure/check.h"
#include "base/pure/units.h"
#include "config/config.h"
#include "config/nearest.h"

#define FIELD(type, member)                                                                        \
    true, offsetof(struct type, member), sizeof(((struct type *)NULL)->member)
#define NO_FIELD false, 0, 0

/* The field macro makes three members of one argument, hence the second round. */
#define ROW(...) ROW_FIELDS(__VA_ARGS__)
#define ROW_FIELDS(scope_, key_, type_, inner_, words_, def_, min_, max_, low_, unit_, has_,       \
                   offset_, size_, doc_)                                                           \
    [SET_##scope_##_##key_] = {.scope = SCOPE_##scope_,                                            \
                               .key = #key_,                                                       \
                               .type = TYPE_##type_,                                               \
                               .inner = SCOPE_##inner_,                                            \
                               .words = words_,                                                    \
                               .def = def_,                                                        \
                               .min = min_,                                                        \
                               .max = max_,                                                        \
                               .low = LOW_##low_,                                                  \
                               .unit = unit_,                                                      \
                               .has_field = has_,                                                  \
                               .offset = offset_,                                                  \
                               .size = size_,                                                      \
                               .doc = doc_},

const struct setting settings[SETTING_COUNT] = {
#define SETTING(scope, key, type, def, min, max, low, unit, field, doc)                            \
    ROW(scope, key, type, NONE, NULL, def, min, max, low, unit, field, doc)
#define NEST(scope, key, type, inner, doc)                                                         \
    ROW(scope, key, type, inner, NULL, "", 0, 0, REFUSED, "", NO_FIELD, doc)
#define NEST_OR(scope, key, type, inner, list, doc)                                                \
    ROW(scope, key, type, inner, config_##list##_words, "", 0, 0, REFUSED, "", NO_FIELD, doc)
#define CHOICE(scope, key, list, def, field, doc)                                                  \
    ROW(scope, key, CHOICE, NONE, config_##list##_words, def, 0, 0, REFUSED, "", field, doc)
#include "config/settings.def"
};

const char *setting_scope_path(enum scope scope)
{
    static const char *const paths[SCOPE_COUNT] = {
#define SCOPE(name, where) [SCOPE_##name] = where,
#include "config/settings.def"
    };
    must(scope < SCOPE_COUNT);
    return paths[scope];
}

bool setting_takes_names(enum scope scope)
{
    enum setting_type type = settings[setting_first(scope)].type;
    return type == TYPE_EACH_TEXT || type == TYPE_EACH_TEXTS;
}

uint32_t setting_first(enum scope scope)
{
    uint32_t i = 0;
    while (i < SETTING_COUNT && settings[i].scope != scope)
        i++;
    must(i < SETTING_COUNT);
    return i;
}

uint32_t setting_end(enum scope scope)
{
    uint32_t i = setting_first(scope);
    while (i < SETTING_COUNT && settings[i].scope == scope)
        i++;
    return i;
}

const struct setting *setting_find(enum scope scope, const char *key)
{
    for (uint32_t i = setting_first(scope), end = setting_end(scope); i < end; i++)
        if (strcmp(settings[i].key, key) == 0)
            return &settings[i];
    return NULL;
}

const char *setting_nearest(enum scope scope, const char *key)
{
    struct nearest near = nearest_to(key);
    for (uint32_t i = setting_first(scope), end = setting_end(scope); i < end; i++)
        nearest_offer(&near, settings[i].key);
    return near.best;
}

const char *setting_elsewhere(enum scope scope, const char *key)
{
    for (uint32_t i = 0; i < SETTING_COUNT; i++)
        if (settings[i].scope != scope && strcmp(settings[i].key, key) == 0 &&
            !setting_takes_names(settings[i].scope))
            return settings[i].scope == SCOPE_ROOT ? "the top level"
                                                   : setting_scope_path(settings[i].scope);
    return NULL;
}
