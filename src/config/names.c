/* What clients may ask for: models, aliases, peers' models, selectors. Who has a name, and who
 * would have it as well. */
#include <stdlib.h>
#include <string.h>

#include "config/resolve.h"

/* In the order in which they come first. */
enum claim_kind { CLAIM_ID, CLAIM_ALIAS, CLAIM_VARIANT, CLAIM_FULL, CLAIM_SELECTOR, CLAIM_BARE };

struct claim {
    const char *name;
    enum claim_kind kind;
    uint32_t index, peer_model;
    struct place at;
};

struct claims {
    struct claim *items;
    uint32_t count;
};

static int by_name(const void *pa, const void *pb)
{
    const struct claim *a = pa, *b = pb;
    int order = strcmp(a->name, b->name);
    if (order != 0)
        return order;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->at.line != b->at.line)
        return a->at.line < b->at.line ? -1 : 1;
    if (a->at.column != b->at.column)
        return a->at.column < b->at.column ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static void add(struct claims *claims, enum claim_kind kind, const char *name, uint32_t index,
                struct place at)
{
    claims->items[claims->count++] =
        (struct claim){.name = name, .kind = kind, .index = index, .at = at};
}

static void claim_of_model(struct resolver *r, struct claims *claims, uint32_t i)
{
    const struct config_model *m = &r->config->models[i];
    const struct value *aliases = bound_value(r->models[i], SET_MODEL_aliases);
    const struct bound *filters = bound_child(r->models[i], SET_MODEL_filters);
    const struct value *variants = bound_value(filters, SET_FILTERS_setParamsByID);
    add(claims, CLAIM_ID, m->id, i, r->models[i]->at);
    for (uint32_t k = 0; k < aliases->count; k++) {
        if (*aliases->texts[k].text == '\0')
            diag_warn(r->diag, aliases->texts[k].at, "an alias is empty, ignored");
        else
            add(claims, CLAIM_ALIAS, aliases->texts[k].text, i, aliases->texts[k].at);
    }
    for (uint32_t k = 0; variants->node && k < variants->node->count; k++) {
        const struct node *key = variants->node->items[k].key;
        if (strcmp(key->text, m->id) != 0)
            add(claims, CLAIM_VARIANT, key->text, i, key->at);
    }
}

static void claim_of_peer(struct resolver *r, struct claims *claims, uint32_t i)
{
    const struct config_peer *peer = &r->config->peers[i];
    for (uint32_t k = 0; k < peer->models.count; k++) {
        add(claims, CLAIM_FULL, peer->names.items[k], i, r->peers[i]->at);
        claims->items[claims->count - 1].peer_model = k;
        add(claims, CLAIM_BARE, peer->models.items[k], i, r->peers[i]->at);
        claims->items[claims->count - 1].peer_model = k;
    }
}

static uint32_t claims_max(const struct resolver *r)
{
    const struct config *c = r->config;
    uint32_t room = c->model_count + c->selector_count;
    for (uint32_t i = 0; i < c->model_count; i++)
        room += bound_value(r->models[i], SET_MODEL_aliases)->count +
                c->models[i].filters.variant_count;
    for (uint32_t i = 0; i < c->peer_count; i++)
        room += 2 * c->peers[i].models.count;
    return room;
}

/* Such as "model 'a'" or "alias 'b' of model 'a'". */
static const char *words(struct resolver *r, const struct claim *claim)
{
    const struct config *c = r->config;
    const char *name = diag_quote(r->diag, claim->name);
    switch (claim->kind) {
    case CLAIM_ID:
        return arena_printf(r->scratch, "model %s", name);
    case CLAIM_ALIAS:
        return arena_printf(r->scratch, "alias %s of model %s", name,
                            diag_quote(r->diag, c->models[claim->index].id));
    case CLAIM_VARIANT:
        return arena_printf(r->scratch, "%s in setParamsByID of model %s", name,
                            diag_quote(r->diag, c->models[claim->index].id));
    case CLAIM_FULL:
    case CLAIM_BARE:
        return arena_printf(
            r->scratch, "model %s of peer %s",
            diag_quote(r->diag, c->peers[claim->index].models.items[claim->peer_model]),
            diag_quote(r->diag, c->peers[claim->index].id));
    case CLAIM_SELECTOR:
        break;
    }
    return arena_printf(r->scratch, "selector %s", name);
}

/* Two want the same name; `first` comes first. */
static void report_clash(struct resolver *r, const struct claim *first, const struct claim *now)
{
    const char *name = diag_quote(r->diag, now->name);
    bool same_model = first->kind <= CLAIM_VARIANT && first->index == now->index;
    if (now->kind == CLAIM_ALIAS && first->kind == CLAIM_ID)
        diag_warn(r->diag, now->at, "alias %s is also the id of a model, which comes first", name);
    else if (now->kind == CLAIM_ALIAS)
        diag_error(r->diag, now->at, "alias %s already belongs to model %s", name,
                   diag_quote(r->diag, r->config->models[first->index].id));
    else if (now->kind == CLAIM_VARIANT && first->kind == CLAIM_ID)
        diag_error(r->diag, now->at, "setParamsByID: %s is the id of another model", name);
    else if (now->kind == CLAIM_VARIANT && !same_model)
        diag_error(r->diag, now->at, "setParamsByID: %s already belongs to model %s", name,
                   diag_quote(r->diag, r->config->models[first->index].id));
    else if (now->kind == CLAIM_FULL && first->kind == CLAIM_FULL)
        diag_error(r->diag, now->at, "the name %s could mean both %s and %s", name, words(r, first),
                   words(r, now));
    else if (now->kind == CLAIM_FULL)
        diag_error(r->diag, first->at, "%s has the full name of %s", words(r, first),
                   words(r, now));
    else if (now->kind == CLAIM_SELECTOR && first->kind == CLAIM_FULL)
        diag_error(r->diag, now->at, "%s has the full name of %s", words(r, now), words(r, first));
    else if (now->kind == CLAIM_SELECTOR)
        diag_error(r->diag, now->at, "%s has the same name as %s", words(r, now), words(r, first));
}

static struct config_name name_of(const struct claim *claim)
{
    static const enum config_name_kind kinds[] = {
        [CLAIM_ID] = CONFIG_NAME_MODEL,          [CLAIM_ALIAS] = CONFIG_NAME_MODEL,
        [CLAIM_VARIANT] = CONFIG_NAME_MODEL,     [CLAIM_FULL] = CONFIG_NAME_PEER,
        [CLAIM_SELECTOR] = CONFIG_NAME_SELECTOR, [CLAIM_BARE] = CONFIG_NAME_PEER,
    };
    return (struct config_name){
        .kind = kinds[claim->kind], .index = claim->index, .peer_model = claim->peer_model};
}

/* The claims from first up to end are for one name. What several peers call by the same name means
 * none of them. */
static bool is_taken(const struct claim *first, const struct claim *end)
{
    return first->kind != CLAIM_BARE || end - first == 1;
}

void resolve_names(struct resolver *r)
{
    struct config *c = r->config;
    struct claims claims = {.items = arena_alloc(r->scratch, claims_max(r), sizeof(struct claim))};
    for (uint32_t i = 0; i < c->model_count; i++)
        claim_of_model(r, &claims, i);
    for (uint32_t i = 0; i < c->peer_count; i++)
        claim_of_peer(r, &claims, i);
    for (uint32_t i = 0; i < c->selector_count; i++)
        add(&claims, CLAIM_SELECTOR, c->selectors[i].id, i, r->selectors[i]->at);
    if (claims.count)
        qsort(claims.items, claims.count, sizeof(struct claim), by_name);
    c->names = arena_alloc(r->arena, claims.count, sizeof(*c->names));
    for (uint32_t i = 0, end; i < claims.count; i = end) {
        const struct claim *first = &claims.items[i];
        for (end = i + 1; end < claims.count; end++) {
            if (strcmp(claims.items[end].name, first->name) != 0)
                break;
            report_clash(r, first, &claims.items[end]);
        }
        if (!is_taken(first, claims.items + end))
            continue;
        c->names[c->name_count] = name_of(first);
        c->names[c->name_count++].name = arena_text(r->arena, first->name);
    }
}

static int compare_name(const void *key, const void *member)
{
    return strcmp(key, ((const struct config_name *)member)->name);
}

const struct config_name *config_find_name(const struct config *c, const char *name)
{
    if (c->name_count == 0)
        return NULL;
    return bsearch(name, c->names, c->name_count, sizeof(c->names[0]), compare_name);
}

const struct config_model *config_find_model(const struct config *c, const char *name)
{
    const struct config_name *found = config_find_name(c, name);
    return found && found->kind == CONFIG_NAME_MODEL ? &c->models[found->index] : NULL;
}
