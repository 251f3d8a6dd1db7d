#include "config/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/command.h"
#include "config/nearest.h"
#include "config/settings.h"
#include "config/text.h"

#define DEVICES "devices"
#define MACRO_NAME_MAX 63
#define ENV_PREFIX strlen("${env.")

struct macro {
    const char *name;
    const char *text;
    bool plain; /* a value that is exactly the macro takes its type, too */
};

struct macros {
    struct macro *items;
    uint32_t count;
};

struct expander {
    struct arena *arena;
    struct diag *diag;
    size_t bytes;
    const struct macros *macros; /* in force */
    struct macros *model_macros; /* by the order of the models mapping */
};

/* Where the walk stands, for messages: models.qwen.env[1]. */
struct step {
    const struct step *up;
    const char *name; /* NULL: an item of a list */
    uint32_t index;
};

typedef void (*scalar_cb)(struct expander *x, struct node *n, const struct step *at);

static void walk(struct expander *x, struct node *n, const struct step *at, scalar_cb visit)
{
    must(n);
    if (n->kind == NODE_SCALAR) {
        visit(x, n, at);
        return;
    }
    for (uint32_t i = 0; i < n->count; i++) {
        const struct node *key = n->items[i].key;
        struct step next = {.up = at, .name = key ? key->text : NULL, .index = i};
        walk(x, n->items[i].value, &next, visit);
    }
}

static void write_path(struct buf *out, const struct step *at)
{
    if (!at)
        return;
    write_path(out, at->up);
    if (at->name)
        buf_printf(out, "%s%s", out->len ? "." : "", at->name);
    else
        buf_printf(out, "[%u]", at->index);
}

static const char *path_text(struct expander *x, const struct step *at)
{
    struct buf out = {.max = 200};
    write_path(&out, at);
    const char *text = arena_text(x->arena, out.data ? out.data : "");
    buf_fini(&out);
    return text;
}

/* Takes the text of an expansion over into the node, within the budget. */
static void set_text(struct expander *x, struct node *n, const struct buf *text)
{
    if (x->bytes + text->len > EXPAND_BYTES_MAX) {
        diag_error(x->diag, n->at, "macros grow too large here (more than 4 MiB in all)");
        n->broken = true;
        return;
    }
    x->bytes += text->len;
    n->text = arena_text_n(x->arena, text->data ? text->data : "", text->len);
}

/* A number, with or without a unit: what else would not do where one is wanted. */
static bool is_number(const char *text)
{
    size_t digits = strspn(text, "0123456789."), n = strlen(text);
    return digits > 0 && digits <= 12 && n - digits <= 3;
}

/* The variable's value, or NULL after an error. */
static const char *env_value(struct expander *x, struct node *n, const char *name)
{
    const char *value = getenv(name);
    if (!value)
        diag_error(x->diag, n->at, "environment variable '%s' is not set", name);
    else if (strpbrk(value, "\r\n"))
        diag_error(x->diag, n->at, "environment variable '%s' holds a line break", name);
    else if (text_invalid_at(value, strlen(value)))
        diag_error(x->diag, n->at, "environment variable '%s' is not valid text (UTF-8)", name);
    else if (x->diag->hides_env && !is_number(value))
        return arena_printf(x->arena, "env-%s", name); /* one's own for each: keys must differ */
    else
        return value;
    n->broken = true;
    return NULL;
}

static bool expand_env_once(struct expander *x, struct node *n)
{
    struct buf out = {.max = EXPAND_BYTES_MAX};
    const char *p = n->text;
    bool found = false;
    for (const char *at = text_reference(p); at; at = text_reference(at)) {
        size_t len = text_env_at(at);
        if (len == 0) {
            at += 2;
            continue;
        }
        const char *value = env_value(x, n, arena_text_n(x->arena, at + ENV_PREFIX, len));
        buf_append(&out, p, (size_t)(at - p));
        buf_text(&out, value ? value : "");
        found = true;
        at += ENV_PREFIX + len + 1;
        p = at;
    }
    if (found) {
        buf_text(&out, p);
        set_text(x, n, &out);
    }
    buf_fini(&out);
    return found;
}

static void expand_env_scalar(struct expander *x, struct node *n, const struct step *at)
{
    (void)at;
    /* A value may name another variable, once: llama-swap runs over the text twice. */
    if (!n->broken && expand_env_once(x, n) && !n->broken)
        (void)expand_env_once(x, n);
}

static void expand_env_tree(struct expander *x, struct node *n)
{
    if (n->kind == NODE_SCALAR)
        expand_env_scalar(x, n, NULL);
    for (uint32_t i = 0; i < n->count; i++) {
        if (n->items[i].key)
            expand_env_tree(x, n->items[i].key);
        expand_env_tree(x, n->items[i].value);
    }
}

void expand_env(struct arena *a, struct diag *d, struct node *root)
{
    struct expander x = {.arena = a, .diag = d};
    expand_env_tree(&x, root);
}

static uint32_t find_macro(const struct macros *macros, const char *name, size_t len)
{
    for (uint32_t i = 0; i < macros->count; i++)
        if (strncmp(macros->items[i].name, name, len) == 0 && macros->items[i].name[len] == '\0')
            return i;
    return macros->count;
}

/* The last macro before `limit` that the text refers to; `limit` when there is none. */
static uint32_t last_reference(const struct macros *macros, const char *text, uint32_t limit)
{
    uint32_t last = limit;
    for (const char *p = text_reference(text); p; p = text_reference(p + 2)) {
        size_t len = text_macro_at(p);
        uint32_t i = len ? find_macro(macros, p + 2, len) : macros->count;
        if (i < limit && (last == limit || i > last))
            last = i;
    }
    return last;
}

static void substitute(struct expander *x, struct node *n, const struct macro *macro)
{
    size_t name_len = strlen(macro->name);
    size_t left = EXPAND_BYTES_MAX - x->bytes + 1;
    struct buf out = {.max = left};
    const char *p = n->text;
    bool whole = false;
    for (const char *at = text_reference(p); at; at = text_reference(at)) {
        if (text_macro_at(at) != name_len || strncmp(at + 2, macro->name, name_len) != 0) {
            at += 2;
            continue;
        }
        whole = at == n->text && at[name_len + 3] == '\0';
        buf_append(&out, p, (size_t)(at - p));
        buf_text(&out, macro->text);
        at += name_len + 3;
        p = at;
    }
    buf_text(&out, p);
    if (out.overflow) {
        out.len = 0;
        x->bytes = EXPAND_BYTES_MAX;
        buf_char(&out, ' ');
    }
    set_text(x, n, &out);
    n->plain = whole && macro->plain;
    buf_fini(&out);
}

/* One pass per macro, from the last to the first. */
static void expand_scalar(struct expander *x, struct node *n, const struct step *at)
{
    (void)at;
    uint32_t limit = x->macros->count;
    while (limit && !n->broken) {
        uint32_t i = last_reference(x->macros, n->text, limit);
        if (i == limit)
            break;
        substitute(x, n, &x->macros->items[i]);
        limit = i;
    }
}

static bool name_is_usable(struct expander *x, const struct node *key)
{
    static const char *const reserved[] = {"PID", "PORT", "MODEL_ID"};
    const char *wrapped = arena_printf(x->arena, "${%s}", key->text);
    size_t len = strlen(key->text);
    const char *quoted = diag_quote(x->diag, key->text);
    for (size_t i = 0; i < countof(reserved); i++) {
        if (strcmp(key->text, reserved[i]) == 0) {
            diag_error(x->diag, key->at, "macro name %s is reserved", quoted);
            return false;
        }
    }
    if (len > MACRO_NAME_MAX)
        diag_error(x->diag, key->at, "macro name %s is longer than %d characters", quoted,
                   MACRO_NAME_MAX);
    else if (text_macro_at(wrapped) != len || len == 0)
        diag_error(x->diag, key->at, "macro name %s may only have letters, digits, '_' and '-'",
                   quoted);
    else
        return true;
    return false;
}

static bool value_is_usable(struct expander *x, const struct node *key, const struct node *value)
{
    const char *quoted = diag_quote(x->diag, key->text);
    if (value->broken)
        return false;
    if (value->kind != NODE_SCALAR || node_is_null(value)) {
        diag_error(x->diag, value->at, "macro %s must be a text, a number, true or false, not %s",
                   quoted,
                   value->kind == NODE_MAP    ? "a mapping"
                   : value->kind == NODE_LIST ? "a list"
                                              : "empty");
        return false;
    }
    if (strstr(value->text, arena_printf(x->arena, "${%s}", key->text))) {
        diag_error(x->diag, value->at, "macro %s contains itself", quoted);
        return false;
    }
    return true;
}

/* Adds the declared macros to the list: one of the same name is replaced where it stands. */
static void declare(struct expander *x, const struct node *block, struct macros *macros)
{
    if (node_is_null(block))
        return;
    if (block->kind != NODE_MAP) {
        diag_error(x->diag, block->at, "macros must be a mapping of names to values");
        return;
    }
    if (macros->count + block->count > EXPAND_MACROS_MAX) {
        diag_error(x->diag, block->at, "more than %u macros", EXPAND_MACROS_MAX);
        return;
    }
    struct macro *items = arena_alloc(x->arena, macros->count + block->count, sizeof(*items));
    if (macros->count)
        memcpy(items, macros->items, macros->count * sizeof(*items));
    macros->items = items;
    for (uint32_t i = 0; i < block->count; i++) {
        const struct node *key = block->items[i].key, *value = block->items[i].value;
        bool usable = name_is_usable(x, key);
        if (!usable || !value_is_usable(x, key, value))
            continue;
        uint32_t at = find_macro(macros, key->text, strlen(key->text));
        if (at == macros->count)
            macros->count++;
        macros->items[at] = (struct macro){
            .name = key->text, .text = scalar_format(x->arena, value), .plain = value->plain};
    }
}

static void strip_comments(struct expander *x, struct node *model, const char *key)
{
    struct node *n = node_find(model, key);
    if (n && n->kind == NODE_SCALAR) {
        struct buf out = {0};
        command_strip_comments(n->text, &out);
        n->text = arena_text_n(x->arena, out.data ? out.data : "", out.len);
        buf_fini(&out);
    }
}

static int by_key(const void *pa, const void *pb)
{
    const struct node_item *a = pa, *b = pb;
    int order = strcmp(a->key->text, b->key->text);
    return order != 0 ? order : strcmp(a->value->text, b->value->text);
}

/* Keys that differ as they are written. */
static void report_same_keys(struct expander *x, const struct node *map, const char **written)
{
    struct node_item *sorted = arena_alloc(x->arena, map->count, sizeof(*sorted));
    for (uint32_t i = 0; i < map->count; i++) {
        sorted[i].key = map->items[i].key;
        sorted[i].value = node_new(x->arena, NODE_SCALAR, map->items[i].key->at);
        sorted[i].value->text = written[i];
    }
    qsort(sorted, map->count, sizeof(*sorted), by_key);
    for (uint32_t i = 1; i < map->count; i++)
        if (strcmp(sorted[i - 1].key->text, sorted[i].key->text) == 0)
            diag_error(x->diag, sorted[i].key->at, "setParamsByID: keys %s and %s both become %s",
                       diag_quote(x->diag, sorted[i - 1].value->text),
                       diag_quote(x->diag, sorted[i].value->text),
                       diag_quote(x->diag, sorted[i].key->text));
}

/* filters.setParamsByID, or NULL: the only mapping whose keys may have macros. */
/* The variants of the model by device. */
static const struct node *devices_of(const struct node *model)
{
    const struct node *devices = node_find(model, DEVICES);
    return devices && devices->kind == NODE_MAP ? devices : NULL;
}

static struct node *variants_of(const struct node *model)
{
    struct node *filters = node_find(model, "filters");
    struct node *variants = node_find(filters, "setParamsByID");
    return variants && variants->kind == NODE_MAP ? variants : NULL;
}

static void expand_variants(struct expander *x, const struct node *model)
{
    const struct node *map = variants_of(model);
    uint32_t changed = 0;
    if (!map || map->count == 0)
        return;
    const char **written = arena_alloc(x->arena, map->count, sizeof(*written));
    for (uint32_t i = 0; i < map->count; i++) {
        written[i] = map->items[i].key->text;
        expand_scalar(x, map->items[i].key, NULL);
        changed += map->items[i].key->text != written[i];
    }
    if (changed && map->count > 1)
        report_same_keys(x, map, written);
}

static void expand_model(struct expander *x, struct node_item *item, const struct macros *globals,
                         struct macros *ret_list)
{
    *ret_list = *globals;
    struct node *model = item->value;
    if (model->kind != NODE_MAP)
        return;
    struct macros list = {.items = arena_alloc(x->arena, globals->count + 1, sizeof(struct macro)),
                          .count = globals->count + 1};
    list.items[0] = (struct macro){.name = "MODEL_ID", .text = item->key->text};
    if (globals->count)
        memcpy(list.items + 1, globals->items, globals->count * sizeof(struct macro));
    declare(x, node_remove(model, "macros"), &list);
    strip_comments(x, model, "cmd");
    strip_comments(x, model, "cmdStop");
    const struct node *devices = devices_of(model);
    for (uint32_t i = 0; devices && i < devices->count; i++)
        strip_comments(x, devices->items[i].value, "cmd");
    x->macros = &list;
    walk(x, model, NULL, expand_scalar);
    expand_variants(x, model);
    x->macros = NULL;
    *ret_list = list;
}

static int by_id(const void *pa, const void *pb)
{
    const struct node_item *a = pa, *b = pb;
    return strcmp(a->key->text, b->key->text);
}

struct node_item *expand_sorted_models(struct arena *a, const struct node *models)
{
    if (!models || models->kind != NODE_MAP || models->count == 0)
        return NULL;
    struct node_item *sorted = arena_alloc(a, models->count, sizeof(*sorted));
    memcpy(sorted, models->items, models->count * sizeof(*sorted));
    qsort(sorted, models->count, sizeof(*sorted), by_id);
    return sorted;
}

static bool keeps_port(const char *key)
{
    return strcmp(key, "cmd") == 0 || strcmp(key, "cmdStop") == 0 || strcmp(key, "env") == 0 ||
           strcmp(key, "proxy") == 0 || strcmp(key, DEVICES) == 0;
}

/* Fields that are fixed at load get the preferred port, which is the one in use unless somebody
 * else has taken it. */
static void expand_port(struct expander *x, struct node *model, uint16_t port)
{
    const char *text = arena_printf(x->arena, "%u", port);
    struct macro macro = {.name = "PORT", .text = text, .plain = true};
    struct macros list = {.items = &macro, .count = 1};
    x->macros = &list;
    for (uint32_t i = 0; i < model->count; i++)
        if (!keeps_port(model->items[i].key->text))
            walk(x, model->items[i].value, NULL, expand_scalar);
    expand_variants(x, model);
    x->macros = NULL;
}

static bool mentions_port(const struct node *commands)
{
    const struct node *cmd = node_find(commands, "cmd");
    return cmd && cmd->kind == NODE_SCALAR && strstr(cmd->text, "${PORT}");
}

/* Its own command or that of one of its variants. */
static bool wants_port(const struct node *model)
{
    const struct node *devices = devices_of(model);
    bool wants = mentions_port(model);
    for (uint32_t i = 0; devices && i < devices->count; i++)
        wants |= mentions_port(devices->items[i].value);
    return wants;
}

static void assign_ports(struct expander *x, const struct node *root, struct expand_ports *ports)
{
    const struct node *models = node_find(root, "models"), *start = node_find(root, "startPort");
    struct node_item *sorted = expand_sorted_models(x->arena, models);
    if (!sorted)
        return;
    struct scalar first = start ? scalar_read(start) : (struct scalar){0};
    int64_t next = first.type == SCALAR_INT && first.number > 0
                       ? first.number
                       : strtol(settings[SET_ROOT_startPort].def, NULL, 10);
    ports->numbers = arena_alloc(x->arena, models->count, sizeof(ports->numbers[0]));
    ports->count = models->count;
    for (uint32_t i = 0; i < models->count; i++) {
        if (!wants_port(sorted[i].value))
            continue;
        if (next > UINT16_MAX)
            diag_error(x->diag, sorted[i].key->at,
                       "no port is left for this model; write a lower startPort");
        else
            ports->numbers[i] = (uint16_t)next++;
        if (ports->numbers[i] == 0)
            ports->numbers[i] = UINT16_MAX;
        expand_port(x, sorted[i].value, ports->numbers[i]);
    }
}

/* Reports `${PID}` and `${PORT}` where they mean nothing; false: it is all right here. */
static bool report_reserved(struct expander *x, struct node *n, const struct step *at,
                            const char *name)
{
    const struct step *field = at;
    while (field && field->up && field->up->up && field->up->up->up)
        field = field->up;
    bool in_model = field && field->up && field->up->up && field->up->up->name &&
                    strcmp(field->up->up->name, "models") == 0;
    const char *key = in_model && field->name ? field->name : "";
    const char *path = path_text(x, at);
    if (strcmp(name, "PID") == 0) {
        if (strcmp(key, "cmdStop") == 0)
            return false;
        diag_error(x->diag, n->at, "%s: ${PID} can only stand in cmdStop", path);
    } else if (strcmp(name, "PORT") == 0) {
        if (keeps_port(key))
            return false;
        diag_error(x->diag, n->at,
                   in_model ? "%s: ${PORT} is only known to models that have it in cmd"
                            : "%s: ${PORT} can only stand in a model",
                   path);
    } else {
        diag_error(x->diag, n->at, "%s: ${MODEL_ID} can only stand in a model", path);
    }
    return true;
}

static const char *macro_hint(struct expander *x, const char *name)
{
    struct nearest near = nearest_to(name);
    if (find_macro(x->macros, name, strlen(name)) < x->macros->count)
        return "; it stands below the macro that uses it, move it up";
    for (uint32_t i = 0; i < x->macros->count && !diag_full(x->diag); i++)
        nearest_offer(&near, x->macros->items[i].name);
    return diag_hint(x->diag, near.best);
}

static void report_leftover(struct expander *x, struct node *n, const struct step *at)
{
    for (const char *p = n->broken ? NULL : text_reference(n->text); p; p = text_reference(p + 2)) {
        size_t len = text_macro_at(p), env = text_env_at(p);
        const char *name = arena_text_n(x->arena, p + (env ? ENV_PREFIX : 2), env ? env : len);
        if (env) {
            diag_error(x->diag, n->at, "%s: environment variable '%s' stands in another's value",
                       path_text(x, at), name);
        } else if (len == 0) {
            continue;
        } else if (strcmp(name, "PID") == 0 || strcmp(name, "PORT") == 0 ||
                   strcmp(name, "MODEL_ID") == 0) {
            if (!report_reserved(x, n, at, name))
                continue;
        } else {
            diag_error(x->diag, n->at, "%s: unknown macro ${%s}%s", path_text(x, at), name,
                       macro_hint(x, name));
        }
        n->broken = true;
        return;
    }
}

static void report_variants(struct expander *x, const struct node *model, const struct step *at)
{
    const struct node *map = variants_of(model);
    struct step filters = {.up = at, .name = "filters"};
    struct step variants = {.up = &filters, .name = "setParamsByID"};
    for (uint32_t i = 0; map && i < map->count; i++)
        report_leftover(x, map->items[i].key, &variants);
}

static void report_leftovers(struct expander *x, const struct node *root,
                             const struct macros *globals)
{
    for (uint32_t i = 0; i < root->count; i++) {
        struct node *value = root->items[i].value;
        struct step at = {.name = root->items[i].key->text};
        bool models = x->model_macros && value == node_find(root, "models");
        for (uint32_t k = 0; models && k < value->count; k++) {
            struct step model = {.up = &at, .name = value->items[k].key->text};
            x->macros = &x->model_macros[k];
            walk(x, value->items[k].value, &model, report_leftover);
            report_variants(x, value->items[k].value, &model);
        }
        x->macros = globals;
        if (!models && setting_find(SCOPE_ROOT, at.name))
            walk(x, value, &at, report_leftover);
    }
}

void expand_macros(struct arena *a, struct diag *d, struct node *root,
                   struct expand_ports *ret_ports)
{
    struct expander x = {.arena = a, .diag = d};
    struct macros globals = {0};
    struct node *models = node_find(root, "models");
    declare(&x, node_remove(root, "macros"), &globals);
    if (models && models->kind == NODE_MAP) {
        x.model_macros = arena_alloc(a, models->count, sizeof(*x.model_macros));
        for (uint32_t i = 0; i < models->count; i++)
            expand_model(&x, &models->items[i], &globals, &x.model_macros[i]);
    }
    x.macros = &globals;
    for (uint32_t i = 0; i < root->count; i++)
        if (root->items[i].value != models || !x.model_macros)
            walk(&x, root->items[i].value, NULL, expand_scalar);
    assign_ports(&x, root, ret_ports);
    report_leftovers(&x, root, &globals);
}
