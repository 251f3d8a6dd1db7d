#include "config/bind.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/units.h"
#include "config/nearest.h"

struct binder {
    struct arena *arena;
    struct diag *diag;
};

static struct bound *bind_scope(struct binder *b, enum scope scope, const char *id,
                                const struct node *n, struct place at);

static const char *kind_name(const struct node *n)
{
    if (n->kind == NODE_MAP)
        return "a mapping";
    if (n->kind == NODE_LIST)
        return "a list";
    switch (scalar_read(n).type) {
    case SCALAR_BOOL:
        return "true or false";
    case SCALAR_INT:
    case SCALAR_FLOAT:
        return "a number";
    case SCALAR_NULL:
        return "nothing";
    case SCALAR_TEXT:
        break;
    }
    return "a text";
}

static void wrong_kind(struct binder *b, struct value *v, const struct node *n, const char *key,
                       const char *wanted)
{
    diag_error(b->diag, n->at, "%s must be %s, not %s", key, wanted, kind_name(n));
    v->broken = true;
}

static void bind_bool(struct binder *b, const struct setting *s, struct value *v,
                      const struct node *n)
{
    static const char *const yes[] = {"y", "Y", "yes", "on"};
    static const char *const no[] = {"n", "N", "no", "off"};
    struct scalar scalar = scalar_read(n);
    if (scalar.type == SCALAR_BOOL) {
        v->flag = scalar.flag;
        return;
    }
    for (size_t i = 0; n->kind == NODE_SCALAR && i < countof(yes); i++) {
        if (strcmp(n->text, yes[i]) == 0 || strcmp(n->text, no[i]) == 0) {
            v->flag = strcmp(n->text, yes[i]) == 0;
            return;
        }
    }
    if (n->kind == NODE_SCALAR && scalar.type == SCALAR_TEXT)
        diag_error(b->diag, n->at, "%s must be true or false%s, not %s", s->key,
                   n->plain ? "" : ", without quotes", diag_quote(b->diag, n->text));
    else
        wrong_kind(b, v, n, s->key, "true or false");
    v->broken = true;
}

/* A bound in the words of the table. */
static const char *limit_text(struct binder *b, const struct setting *s, int64_t limit)
{
    char text[UNITS_TEXT_MAX];
    if (s->type == TYPE_SIZE || s->type == TYPE_VRAM)
        return arena_text(b->arena, units_format_bytes((uint64_t)limit, text));
    if (s->type == TYPE_DURATION || s->type == TYPE_SECONDS || s->type == TYPE_WAIT)
        return arena_text(b->arena, units_format_duration((uint64_t)limit, text));
    if (s->type == TYPE_SHARE)
        return limit >= 1000 ? "1 (or 100%)" : "0.001 (or 0.1%)";
    return arena_printf(b->arena, "%lld", (long long)limit);
}

static void check_range(struct binder *b, const struct setting *s, struct value *v)
{
    v->written = v->number;
    if ((s->low == LOW_MINUS_1 && v->number == -1) || (s->low == LOW_UNSET && v->number < s->min) ||
        (s->low == LOW_ZERO_UNSET && v->number == 0)) {
        v->given = false;
    } else if (v->number < s->min && s->low == LOW_RAISED) {
        if (v->number < 0)
            diag_warn(b->diag, v->at, "%s is negative, and taken as %s", s->key,
                      s->min ? limit_text(b, s, s->min) : "0");
        v->number = s->min;
    } else if (v->number < s->min) {
        bool bytes = (s->type == TYPE_SIZE || s->type == TYPE_VRAM) && s->min > 1;
        diag_error(b->diag, v->at, "%s must be at least %s%s", s->key, limit_text(b, s, s->min),
                   bytes ? "; write a size with its unit, such as 24GiB" : "");
        v->broken = true;
    } else if (v->number > s->max) {
        diag_error(b->diag, v->at, "%s must be at most %s", s->key, limit_text(b, s, s->max));
        v->broken = true;
    }
}

static void quoted_number(struct binder *b, const struct setting *s, struct value *v,
                          const struct node *n)
{
    diag_error(b->diag, n->at, "%s must be a number; write %s: %s, without quotes", s->key, s->key,
               n->text);
    v->broken = true;
}

static bool is_quoted_number(const struct node *n)
{
    struct node plain = *n;
    plain.plain = true;
    enum scalar_type type = scalar_read(&plain).type;
    return n->kind == NODE_SCALAR && !n->plain && (type == SCALAR_INT || type == SCALAR_FLOAT);
}

static void bind_count(struct binder *b, const struct setting *s, struct value *v,
                       const struct node *n)
{
    struct scalar scalar = scalar_read(n);
    if (scalar.type == SCALAR_INT) {
        v->number = scalar.number;
    } else if (scalar.type == SCALAR_FLOAT && scalar.real > -1e15 && scalar.real < 1e15) {
        v->number = (int64_t)scalar.real;
        if ((double)v->number < scalar.real || (double)v->number > scalar.real)
            diag_warn(b->diag, n->at, "%s takes whole numbers; %s is taken as %lld", s->key,
                      n->text, (long long)v->number);
    } else if (is_quoted_number(n)) {
        quoted_number(b, s, v, n);
        return;
    } else {
        wrong_kind(b, v, n, s->key, "a whole number");
        return;
    }
    check_range(b, s, v);
}

static void bind_size(struct binder *b, const struct setting *s, struct value *v,
                      const struct node *n)
{
    uint64_t bytes = 0;
    struct scalar scalar = scalar_read(n);
    bool megabytes = s->type == TYPE_MEGABYTES && scalar.type == SCALAR_INT;
    if (megabytes && scalar.number <= INT64_MAX / (int64_t)MIB) {
        v->number = scalar.number < 0 ? 0 : scalar.number * (int64_t)MIB;
        return;
    }
    if (s->type == TYPE_VRAM && n->kind == NODE_SCALAR && strcmp(n->text, "auto") == 0) {
        v->number = BOUND_VRAM_AUTO;
        return;
    }
    if (n->kind != NODE_SCALAR || megabytes || !units_parse_bytes(n->text, &bytes) ||
        bytes > INT64_MAX) {
        diag_error(b->diag, n->at, "%s must be a size such as 512MiB or 10.5GiB%s%s%s", s->key,
                   s->type == TYPE_VRAM ? ", or auto" : "", n->kind == NODE_SCALAR ? ", not " : "",
                   n->kind == NODE_SCALAR ? diag_quote(b->diag, n->text) : "");
        v->broken = true;
        return;
    }
    v->number = (int64_t)bytes;
    if (s->type != TYPE_VRAM || bytes > 0) /* 0: it takes none */
        check_range(b, s, v);
}

static void bind_duration(struct binder *b, const struct setting *s, struct value *v,
                          const struct node *n)
{
    uint64_t bare = s->type == TYPE_SECONDS ? NS_PER_S : 0, ns = 0;
    struct scalar scalar = scalar_read(n);
    bool number = scalar.type == SCALAR_INT || scalar.type == SCALAR_FLOAT;
    if (s->type == TYPE_SECONDS && is_quoted_number(n)) {
        quoted_number(b, s, v, n);
        return;
    }
    if (scalar.type == SCALAR_INT && scalar.number <= 0) {
        v->number = scalar.number;
    } else if (n->kind == NODE_SCALAR && (!number || bare) &&
               units_parse_duration(n->text, bare, &ns) && ns <= INT64_MAX) {
        v->number = (int64_t)ns;
    } else if (bare && scalar.type == SCALAR_INT && scalar.number < INT64_MAX / (int64_t)bare) {
        v->number = scalar.number * (int64_t)bare;
    } else {
        const char *example = s->type == TYPE_SECONDS ? "a number of seconds, or such as 90s or 5m"
                                                      : "a time with its unit, such as 30s or 5m";
        diag_error(b->diag, n->at, "%s must be %s%s%s%s", s->key, example,
                   s->type == TYPE_WAIT ? ", or never" : "", n->kind == NODE_SCALAR ? ", not " : "",
                   n->kind == NODE_SCALAR ? diag_quote(b->diag, n->text) : "");
        v->broken = true;
        return;
    }
    if (v->number < 0 && s->low != LOW_RAISED && !(s->low == LOW_MINUS_1 && v->number == -1)) {
        diag_error(b->diag, n->at, "%s must be 0 or more%s, not %s", s->key,
                   s->low == LOW_MINUS_1 ? ", or -1 for the top-level value" : "", n->text);
        v->broken = true;
        return;
    }
    check_range(b, s, v);
}

/* Like a duration, with 0 and never for no bound. */
static void bind_wait(struct binder *b, const struct setting *s, struct value *v,
                      const struct node *n)
{
    if (n->kind == NODE_SCALAR && strcmp(n->text, "never") == 0)
        v->number = 0;
    else
        bind_duration(b, s, v, n);
}

/* "foreground, normal or background" */
static const char *choices(struct binder *b, const char *const *words)
{
    const char *list = words[0];
    for (uint32_t i = 1; words[i]; i++)
        list = arena_printf(b->arena, "%s%s%s", list, words[i + 1] ? ", " : " or ", words[i]);
    return list;
}

static void bind_choice(struct binder *b, const struct setting *s, struct value *v,
                        const struct node *n)
{
    if (n->kind != NODE_SCALAR) {
        wrong_kind(b, v, n, s->key, choices(b, s->words));
        return;
    }
    struct nearest near = nearest_to(n->text);
    for (uint32_t i = 0; s->words[i]; i++) {
        if (strcmp(n->text, s->words[i]) == 0) {
            v->number = i;
            return;
        }
        nearest_offer(&near, s->words[i]);
    }
    if (*n->text == '\0') {
        v->given = false; /* as in llama-swap */
        return;
    }
    diag_error(b->diag, n->at, "%s must be %s, not %s%s", s->key, choices(b, s->words),
               diag_quote(b->diag, n->text), diag_hint(b->diag, near.best));
    v->broken = true;
}

/* "0.95", "1" or "95%", in permille. */
static void bind_share(struct binder *b, const struct setting *s, struct value *v,
                       const struct node *n)
{
    char *end = NULL;
    double share = n->kind == NODE_SCALAR && n->text[0] ? strtod(n->text, &end) : -1;
    bool percent = end && *end == '%' && end[1] == '\0';
    if (!end || (*end && !percent) || !(share >= 0 && share <= 100)) {
        diag_error(b->diag, n->at, "%s must be a share such as 0.95 or 95%%", s->key);
        v->broken = true;
        return;
    }
    v->number = (int64_t)(share * (percent ? 10 : 1000) + 0.5);
    check_range(b, s, v);
}

static const char *trimmed(struct arena *a, const char *text)
{
    text += strspn(text, " \t\r\n");
    size_t n = strlen(text);
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    return arena_text_n(a, text, n);
}

static void bind_text(struct binder *b, const struct setting *s, struct value *v,
                      const struct node *n)
{
    if (n->kind != NODE_SCALAR) {
        wrong_kind(b, v, n, s->key, "a text");
        return;
    }
    v->text = s->type == TYPE_TRIMMED ? trimmed(b->arena, n->text) : n->text;
}

static void bind_texts(struct binder *b, const struct setting *s, struct value *v,
                       const struct node *n)
{
    struct node_item single = {.key = NULL, .value = NULL};
    struct node as_list = *n;
    if (s->type == TYPE_ONE_OR_MORE && n->kind == NODE_SCALAR) {
        struct node *copy = node_new(b->arena, NODE_SCALAR, n->at);
        *copy = *n;
        single.value = copy;
        as_list.kind = NODE_LIST;
        as_list.items = &single;
        as_list.count = 1;
    }
    if (as_list.kind != NODE_LIST) {
        wrong_kind(b, v, n, s->key, "a list, in [ ] or with a line '- ...' for each item");
        return;
    }
    v->texts = arena_alloc(b->arena, as_list.count, sizeof(*v->texts));
    for (uint32_t i = 0; i < as_list.count; i++) {
        const struct node *item = as_list.items[i].value;
        if (item->broken)
            continue;
        if (item->kind != NODE_SCALAR)
            wrong_kind(b, v, item, s->key, "a list of texts");
        else
            v->texts[v->count++] =
                (struct bound_text){.text = node_is_null(item) ? "" : item->text, .at = item->at};
    }
}

static void bind_counts(struct binder *b, const struct setting *s, struct value *v,
                        const struct node *n)
{
    if (n->kind != NODE_MAP) {
        wrong_kind(b, v, n, s->key, "a mapping of names to numbers");
        return;
    }
    v->texts = arena_alloc(b->arena, n->count, sizeof(*v->texts));
    for (uint32_t i = 0; i < n->count; i++) {
        const struct node *key = n->items[i].key, *value = n->items[i].value;
        struct value one = {.given = true, .at = value->at};
        if (!value->broken && !node_is_null(value))
            bind_count(b, s, &one, value);
        v->broken |= one.broken;
        v->texts[v->count++] =
            (struct bound_text){.text = key->text, .number = one.number, .at = key->at};
    }
}

/* The texts of a name: one, or with `lists` any number of them. */
static void bind_words(struct binder *b, const struct setting *s, struct value *v,
                       const struct node_item *item, bool lists)
{
    const struct node *value = item->value;
    bool list = lists && value->kind == NODE_LIST;
    if (value->broken)
        return;
    for (uint32_t i = 0; i < (list ? value->count : 1); i++) {
        const struct node *word = list ? value->items[i].value : value;
        if (word->broken)
            continue;
        if (word->kind != NODE_SCALAR) {
            const char *where =
                setting_takes_names(s->scope) ? setting_scope_path(s->scope) : s->key;
            diag_error(b->diag, word->at, "%s in %s must be a text%s, not %s",
                       diag_quote(b->diag, item->key->text), where,
                       lists && !list ? " or a list of texts" : "", kind_name(word));
            v->broken = true;
            continue;
        }
        v->texts[v->count++] = (struct bound_text){.text = item->key->text,
                                                   .at = item->key->at,
                                                   .word = node_is_null(word) ? "" : word->text,
                                                   .word_at = word->at};
    }
}

static void bind_pairs(struct binder *b, const struct setting *s, struct value *v,
                       const struct node *n)
{
    bool lists = s->type == TYPE_EACH_TEXTS;
    uint32_t room = 0;
    if (n->kind != NODE_MAP) {
        wrong_kind(b, v, n, s->key, "a mapping of names to texts");
        return;
    }
    for (uint32_t i = 0; i < n->count; i++)
        room += lists && n->items[i].value->kind == NODE_LIST ? n->items[i].value->count : 1;
    v->texts = arena_alloc(b->arena, room, sizeof(*v->texts));
    for (uint32_t i = 0; i < n->count; i++)
        bind_words(b, s, v, &n->items[i], lists);
}

/* Free data is kept as it stands; whoever resolves it makes JSON of it. */
static void bind_any(struct binder *b, const struct setting *s, struct value *v,
                     const struct node *n)
{
    if (n->kind != NODE_MAP) {
        wrong_kind(b, v, n, s->key, "a mapping");
        return;
    }
    v->node = n;
    for (uint32_t i = 0; s->type == TYPE_EACH_ANY && i < n->count; i++) {
        const struct node *value = n->items[i].value;
        if (value->kind == NODE_MAP || value->broken || node_is_null(value))
            continue;
        diag_error(b->diag, value->at, "%s in %s must be a mapping, not %s",
                   diag_quote(b->diag, n->items[i].key->text), s->key, kind_name(value));
        v->broken = true;
    }
}

/* What llama-swap took once, and its message for it. */
static bool is_list_of_profile(const struct setting *s, const struct node *value)
{
    return s == &settings[SET_ROOT_profiles] && value->kind == NODE_LIST;
}

static void bind_children(struct binder *b, const struct setting *s, struct value *v,
                          const struct node *n)
{
    if (s->words && n->kind == NODE_SCALAR) {
        bind_choice(b, s, v, n);
        return;
    }
    if (n->kind != (s->type == TYPE_LIST ? NODE_LIST : NODE_MAP)) {
        wrong_kind(b, v, n, s->key, s->type == TYPE_LIST ? "a list" : "a mapping");
        return;
    }
    v->children = arena_alloc(b->arena, n->count, sizeof(*v->children));
    for (uint32_t i = 0; i < n->count; i++) {
        const struct node *key = n->items[i].key, *value = n->items[i].value;
        struct place at = key ? key->at : value->at;
        const char *id = key ? key->text : "";
        bool broken = value->broken || (!node_is_null(value) && value->kind != NODE_MAP);
        if (is_list_of_profile(s, value))
            diag_error(b->diag, value->at,
                       "profile %s must be a mapping with description and pins; the older list of "
                       "models is no longer supported",
                       diag_quote(b->diag, id));
        else if (broken && !value->broken)
            diag_error(b->diag, value->at, "%s in %s must be a mapping, not %s",
                       key ? diag_quote(b->diag, id) : "each item", s->key, kind_name(value));
        v->children[v->count] = bind_scope(b, s->inner, id, value, at);
        v->children[v->count++]->broken = broken;
    }
}

static void bind_value(struct binder *b, const struct setting *s, struct value *v,
                       const struct node *n)
{
    switch (s->type) {
    case TYPE_BOOL:
        bind_bool(b, s, v, n);
        break;
    case TYPE_COUNT:
        bind_count(b, s, v, n);
        break;
    case TYPE_SIZE:
    case TYPE_VRAM:
    case TYPE_MEGABYTES:
        bind_size(b, s, v, n);
        break;
    case TYPE_DURATION:
    case TYPE_SECONDS:
        bind_duration(b, s, v, n);
        break;
    case TYPE_WAIT:
        bind_wait(b, s, v, n);
        break;
    case TYPE_SHARE:
        bind_share(b, s, v, n);
        break;
    case TYPE_CHOICE:
        bind_choice(b, s, v, n);
        break;
    case TYPE_TEXT:
    case TYPE_TRIMMED:
        bind_text(b, s, v, n);
        break;
    case TYPE_TEXTS:
    case TYPE_ONE_OR_MORE:
        bind_texts(b, s, v, n);
        break;
    case TYPE_COUNTS:
        bind_counts(b, s, v, n);
        break;
    case TYPE_PAIRS:
    case TYPE_EACH_TEXT:
    case TYPE_EACH_TEXTS:
        bind_pairs(b, s, v, n);
        break;
    case TYPE_ANY:
    case TYPE_EACH_ANY:
        bind_any(b, s, v, n);
        break;
    case TYPE_MAPS:
    case TYPE_LIST:
        bind_children(b, s, v, n);
        break;
    case TYPE_MAP:
    case TYPE_MACROS:
        break;
    }
}

/* The default of TEXTS: "a, b". */
static void bind_default_texts(struct binder *b, const struct setting *s, struct value *v)
{
    struct node list = {.kind = NODE_LIST, .at = v->at};
    for (const char *p = s->def; *p;) {
        size_t n = strcspn(p, ",");
        struct node *item = node_new(b->arena, NODE_SCALAR, v->at);
        item->text = arena_text_n(b->arena, p, n);
        node_append(b->arena, &list, NULL, item);
        p += n;
        p += strspn(p, ", ");
    }
    bind_texts(b, s, v, &list);
}

/* The default goes through the same reading as what people write. */
static void bind_default(struct binder *b, const struct setting *s, struct value *v)
{
    v->text = "";
    if (*s->def == '\0')
        return;
    struct node def = {.kind = NODE_SCALAR, .plain = true, .at = v->at, .text = s->def};
    if (s->type == TYPE_TEXTS)
        bind_default_texts(b, s, v);
    else
        bind_value(b, s, v, &def);
    must(!v->broken);
}

/* A mapping, or a word in its place where the row has some: then the mapping is empty. */
static void bind_map(struct binder *b, const struct setting *s, struct value *v,
                     const struct node *n)
{
    v->given = !node_is_null(n);
    if (v->given && n->broken) {
        v->broken = true;
    } else if (v->given && s->words && n->kind == NODE_SCALAR) {
        v->is_word = true;
        bind_choice(b, s, v, n);
    } else if (v->given && n->kind != NODE_MAP) {
        wrong_kind(b, v, n, s->key, s->words ? "a word or a mapping" : "a mapping");
    }
    v->children = arena_alloc(b->arena, 1, sizeof(*v->children));
    v->children[0] = bind_scope(b, s->inner, "", n, v->at);
    v->count = 1;
}

static void bind_setting(struct binder *b, const struct setting *s, struct value *v,
                         const struct node *n, struct place at)
{
    v->at = n ? n->at : at;
    if (s->type == TYPE_MAP) {
        bind_map(b, s, v, n);
        return;
    }
    bind_default(b, s, v);
    if (n && n->broken) {
        v->given = v->broken = true;
    } else if (n && node_is_null(n) && s->type == TYPE_TEXTS) {
        *v = (struct value){.given = true, .at = n->at, .text = ""}; /* as in yaml.v3 */
    } else if (n && !node_is_null(n)) {
        struct value given = {.given = true, .at = n->at, .text = ""};
        bind_value(b, s, &given, n);
        if (given.given)
            *v = given;
    }
}

static void report_unknown(struct binder *b, enum scope scope, const struct node_item *item)
{
    const char *key = item->key->text;
    /* Definitions that anchors are taken from, and x- keys, are nobody's business. */
    if (strncmp(key, "x-", 2) == 0 || (scope == SCOPE_ROOT && item->value->anchored))
        return;
    const char *where = setting_scope_path(scope);
    const char *near = diag_full(b->diag) ? NULL : setting_nearest(scope, key);
    const char *elsewhere = setting_elsewhere(scope, key);
    const char *hint = diag_hint(b->diag, near);
    if (elsewhere)
        hint = arena_printf(b->arena, "; it belongs to %s", elsewhere);
    diag_warn(b->diag, item->key->at, "unknown key %s%s%s, ignored%s", diag_quote(b->diag, key),
              *where ? " in " : "", where, hint);
}

static struct bound *bind_scope(struct binder *b, enum scope scope, const char *id,
                                const struct node *n, struct place at)
{
    uint32_t first = setting_first(scope), end = setting_end(scope);
    struct bound *bound = arena_alloc(b->arena, 1, sizeof(*bound));
    bound->scope = scope;
    bound->id = id;
    bound->at = at;
    bound->values = arena_alloc(b->arena, end - first, sizeof(*bound->values));
    if (setting_takes_names(scope)) {
        bound->values[0].at = at;
        if (n && n->kind == NODE_MAP)
            bind_pairs(b, &settings[first], &bound->values[0], n);
        return bound;
    }
    for (uint32_t i = first; i < end; i++)
        bind_setting(b, &settings[i], &bound->values[i - first], node_find(n, settings[i].key), at);
    for (uint32_t i = 0; n && n->kind == NODE_MAP && i < n->count; i++) {
        if (!setting_find(scope, n->items[i].key->text))
            report_unknown(b, scope, &n->items[i]);
    }
    return bound;
}

struct bound *bind_config(struct arena *a, struct diag *d, const struct node *root)
{
    struct binder b = {.arena = a, .diag = d};
    return bind_scope(&b, SCOPE_ROOT, "", root, root->at);
}

const struct value *bound_value(const struct bound *b, enum setting_id id)
{
    must(settings[id].scope == b->scope);
    return &b->values[id - setting_first(b->scope)];
}

const struct bound *bound_child(const struct bound *b, enum setting_id id)
{
    const struct value *v = bound_value(b, id);
    must(settings[id].type == TYPE_MAP && v->count == 1);
    return v->children[0];
}

static void store_number(void *to, size_t size, int64_t number)
{
    uint64_t bits = (uint64_t)number;
    uint32_t half = (uint32_t)bits;
    uint16_t quarter = (uint16_t)bits;
    if (size == sizeof(bits))
        memcpy(to, &bits, size);
    else if (size == sizeof(half))
        memcpy(to, &half, size);
    else if (size == sizeof(quarter))
        memcpy(to, &quarter, size);
    else
        never("a field of no known size");
}

void bound_project(const struct bound *b, struct arena *a, void *target)
{
    uint32_t first = setting_first(b->scope), end = setting_end(b->scope);
    for (uint32_t i = first; i < end; i++) {
        const struct setting *s = &settings[i];
        const struct value *v = &b->values[i - first];
        char *to = (char *)target + s->offset;
        if (!s->has_field)
            continue;
        if (s->type == TYPE_BOOL) {
            memcpy(to, &v->flag, sizeof(v->flag));
        } else if (s->type == TYPE_TEXT || s->type == TYPE_TRIMMED) {
            char *text = arena_text(a, v->text);
            memcpy(to, &text, sizeof(text));
        } else {
            store_number(to, s->size, v->number);
        }
    }
}
