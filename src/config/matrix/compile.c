/* The matrix: which models may be loaded together, as combinations that are written out. Messages
 * are those of llama-swap, since people search for them.
 *
 * llama-swap solves the expressions anew each time, for the models that run then, which can take
 * exponential time. What is chosen is the same, but for ties between combinations of one set that
 * differ only in models that do not run. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "config/matrix/expression.h"
#include "config/matrix/family.h"
#include "config/matrix/natural.h"
#include "config/nearest.h"
#include "config/resolve.h"

#define QUOTE_MAX 80
#define VAR_NAME_MAX 32
#define NONE UINT32_MAX
/* About a quarter of a second, for all expressions together. */
#define BUDGET_STEPS (UINT64_C(1) << 27)

enum visit { VISIT_NEW, VISIT_OPEN, VISIT_DONE };

struct named_set {
    const struct bound_text *source; /* name and expression */
    struct expression expression;
    struct family family;
    enum visit visit;
    bool broken; /* an error has been reported for it, or for one that it refers to */
};

struct compiler {
    struct resolver *resolver;
    struct family_budget budget;
    const struct value *vars;
    const struct bound_text **vars_by_name;
    struct named_set *sets; /* in llama-swap's order of names */
    uint32_t count;
    struct named_set **by_name; /* in byte order */
    struct named_set **order;   /* those that a set refers to before it */
    uint32_t ordered;
};

/* As Go's %q. */
static const char *quote(struct compiler *c, const char *text, size_t n)
{
    struct buf out = {0};
    buf_json(&out, text, n < QUOTE_MAX ? n : QUOTE_MAX);
    const char *quoted = arena_text(c->resolver->scratch, out.data);
    buf_fini(&out);
    return quoted;
}

static const char *quote_text(struct compiler *c, const char *text)
{
    return quote(c, text, strlen(text));
}

static void complain_of(struct compiler *c, struct named_set *s, const char *problem)
{
    diag_error(c->resolver->diag, s->source->word_at, "matrix: set %s%s",
               quote_text(c, s->source->text), problem);
    s->broken = true;
}

/* Ids only, no aliases. */
static uint32_t find_id(const struct compiler *c, const char *name)
{
    uint32_t model = resolve_find(c->resolver, name);
    bool is_id = model != NONE && strcmp(c->resolver->config->models[model].id, name) == 0;
    return is_id ? model : NONE;
}

static int by_key(const void *pa, const void *pb)
{
    const struct bound_text *const *a = pa, *const *b = pb;
    return strcmp((*a)->text, (*b)->text);
}

static int key_of_var(const void *key, const void *member)
{
    const struct bound_text *const *var = member;
    return strcmp(key, (*var)->text);
}

static const struct bound_text *find_var(const struct compiler *c, const char *name)
{
    const struct bound_text *const *var = NULL;
    if (c->vars->count)
        var = bsearch(name, c->vars_by_name, c->vars->count, sizeof(*c->vars_by_name), key_of_var);
    return var ? *var : NULL;
}

/* The model of a variable, else of an id. */
static uint32_t find_name(const struct compiler *c, const char *name)
{
    const struct bound_text *var = find_var(c, name);
    return find_id(c, var ? var->word : name);
}

/* Of ids, and of variables where these may stand as well. An alias is no name here, but tells which
 * model was meant. */
static const char *hint(struct compiler *c, const char *name, bool or_var)
{
    const struct config *config = c->resolver->config;
    struct nearest near = nearest_to(name);
    uint32_t model = resolve_find(c->resolver, name);
    if (diag_full(c->resolver->diag))
        return "";
    for (uint32_t i = 0; or_var && i < c->vars->count; i++)
        nearest_offer(&near, c->vars->texts[i].text);
    for (uint32_t i = 0; i < config->model_count; i++)
        nearest_offer(&near, config->models[i].id);
    return diag_hint(c->resolver->diag, model == NONE ? near.best : config->models[model].id);
}

static void read_vars(struct compiler *c)
{
    struct diag *d = c->resolver->diag;
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";
    c->vars_by_name = arena_alloc(c->resolver->scratch, c->vars->count, sizeof(*c->vars_by_name));
    for (uint32_t i = 0; i < c->vars->count; i++) {
        const struct bound_text *t = &c->vars->texts[i];
        size_t n = strlen(t->text);
        c->vars_by_name[i] = t;
        if (n == 0 || n > VAR_NAME_MAX || strspn(t->text, allowed) != n)
            diag_error(d, t->at,
                       "matrix: var key %s must contain only alphanumeric, '-' or '.' characters "
                       "and be 1-32 characters long",
                       quote_text(c, t->text));
        if (find_id(c, t->word) == NONE)
            diag_error(d, t->word_at, "matrix: var key %s references unknown model %s%s",
                       quote_text(c, t->text), quote_text(c, t->word), hint(c, t->word, false));
    }
    if (c->vars->count)
        qsort(c->vars_by_name, c->vars->count, sizeof(*c->vars_by_name), by_key);
}

static void read_costs(struct compiler *c, const struct value *costs)
{
    struct diag *d = c->resolver->diag;
    bool *has_cost =
        arena_alloc(c->resolver->scratch, c->resolver->config->model_count, sizeof(*has_cost));
    for (uint32_t i = 0; i < costs->count; i++) {
        const struct bound_text *t = &costs->texts[i];
        uint32_t model = find_name(c, t->text);
        if (t->number <= 0 && !costs->broken)
            diag_error(d, t->at, "matrix: evict_cost for %s must be a positive integer, got %lld",
                       quote_text(c, t->text), (long long)t->number);
        if (model == NONE && !find_var(c, t->text))
            diag_error(d, t->at, "matrix: evict_costs: unknown var or model %s%s",
                       quote_text(c, t->text), hint(c, t->text, true));
        if (model == NONE)
            continue;
        if (has_cost[model])
            diag_warn(d, t->at, "matrix: model %s has another evict_cost already; the last counts",
                      quote_text(c, c->resolver->config->models[model].id));
        has_cost[model] = true;
        c->resolver->config->models[model].evict_cost = (uint32_t)t->number;
    }
}

static int by_natural_name(const void *pa, const void *pb)
{
    const struct named_set *a = pa, *b = pb;
    return natural_compare(a->source->text, b->source->text);
}

static int by_set_name(const void *pa, const void *pb)
{
    const struct named_set *const *a = pa, *const *b = pb;
    return strcmp((*a)->source->text, (*b)->source->text);
}

static int name_of_set(const void *key, const void *member)
{
    const struct named_set *const *s = member;
    return strcmp(key, (*s)->source->text);
}

static void list_sets(struct compiler *c, const struct value *sets)
{
    struct arena *scratch = c->resolver->scratch;
    c->count = sets->count;
    c->sets = arena_alloc(scratch, c->count, sizeof(*c->sets));
    c->by_name = arena_alloc(scratch, c->count, sizeof(struct named_set *));
    c->order = arena_alloc(scratch, c->count, sizeof(struct named_set *));
    for (uint32_t i = 0; i < c->count; i++)
        c->sets[i].source = &sets->texts[i];
    qsort(c->sets, c->count, sizeof(*c->sets), by_natural_name);
    for (uint32_t i = 0; i < c->count; i++)
        c->by_name[i] = &c->sets[i];
    qsort(c->by_name, c->count, sizeof(struct named_set *), by_set_name);
}

/* What the names of an expression stand for. */
static void link_set(struct compiler *c, struct named_set *s)
{
    struct resolver *r = c->resolver;
    for (uint32_t i = 0; i < s->expression.count; i++) {
        struct expression_step *step = &s->expression.steps[i];
        if (step->term != TERM_MODEL && step->term != TERM_SET)
            continue;
        const char *name = arena_text_n(r->scratch, step->name, step->length);
        if (step->term == TERM_MODEL) {
            step->index = find_name(c, name);
            s->broken |= step->index == NONE;
            if (step->index == NONE && !find_var(c, name))
                complain_of(c, s,
                            arena_printf(r->scratch, ": unknown var or model %s%s",
                                         quote_text(c, name), hint(c, name, true)));
            continue;
        }
        struct named_set **found =
            bsearch(name, c->by_name, c->count, sizeof(*c->by_name), name_of_set);
        step->index = found ? (uint32_t)(*found - c->sets) : NONE;
        if (!found)
            complain_of(
                c, s,
                arena_printf(r->scratch, " references undefined set %s", quote_text(c, name)));
    }
}

static void read_set(struct compiler *c, struct named_set *s)
{
    struct arena *scratch = c->resolver->scratch;
    const char *problem = expression_parse(scratch, &c->budget, s->source->word, &s->expression);
    if (problem)
        complain_of(c, s, arena_printf(scratch, ": %s", problem));
    else
        link_set(c, s);
}

/* Depth first, what is referred to before what refers to it; as deep as there are sets. */
static void put_in_order(struct compiler *c, struct named_set *s)
{
    s->visit = VISIT_OPEN;
    for (uint32_t i = 0; i < s->expression.count; i++) {
        const struct expression_step *step = &s->expression.steps[i];
        if (step->term != TERM_SET || step->index == NONE)
            continue;
        struct named_set *other = &c->sets[step->index];
        if (other->visit == VISIT_NEW)
            put_in_order(c, other);
        else if (other->visit == VISIT_OPEN)
            diag_error(c->resolver->diag, other->source->word_at,
                       "matrix: circular reference detected involving set %s",
                       quote_text(c, other->source->text));
        s->broken |= other->broken || other->visit == VISIT_OPEN;
    }
    s->visit = VISIT_DONE;
    c->order[c->ordered++] = s;
}

/* Runs the expression on a stack of families, which starts at `stack` and is as high as the
 * parentheses are deep. */
static enum family_limit expand(struct compiler *c, struct named_set *s, struct family *stack)
{
    enum family_limit met = FAMILY_FITS;
    uint32_t top = 0;
    for (uint32_t i = 0; i < s->expression.count && met == FAMILY_FITS; i++) {
        const struct expression_step *step = &s->expression.steps[i];
        switch (step->term) {
        case TERM_MODEL:
            family_one(&stack[top++], step->index);
            break;
        case TERM_SET:
            met = family_or(&stack[top++], &c->sets[step->index].family, &c->budget);
            break;
        case TERM_AND:
        case TERM_OR:
            must(top >= 2);
            top--;
            met = step->term == TERM_AND ? family_and(&stack[top - 1], &stack[top], &c->budget)
                                         : family_or(&stack[top - 1], &stack[top], &c->budget);
            family_fini(&stack[top]);
            break;
        }
    }
    must(met != FAMILY_FITS || top == 1);
    s->family = stack[0];
    stack[0] = (struct family){0};
    while (top > 1)
        family_fini(&stack[--top]);
    return met;
}

static const char *limit_text(struct arena *a, enum family_limit met)
{
    switch (met) {
    case FAMILY_SETS:
        return arena_printf(a, "more than %d combinations of models", CONFIG_MATRIX_SETS_MAX);
    case FAMILY_MEMBERS:
        return arena_printf(a, "more than %d models in all of its combinations",
                            CONFIG_MATRIX_MEMBERS_MAX);
    case FAMILY_WORK:
        return "more than can be written out in a short time";
    case FAMILY_FITS:
        break;
    }
    never("no limit was met");
}

static uint32_t stack_height(const struct expression *e)
{
    uint32_t height = 0, most = 1;
    for (uint32_t i = 0; i < e->count; i++) {
        bool operand = e->steps[i].term == TERM_MODEL || e->steps[i].term == TERM_SET;
        height = operand ? height + 1 : height - 1;
        most = height > most ? height : most;
    }
    return most;
}

/* Stops at the first limit: what follows would meet it, too. */
static bool expand_all(struct compiler *c)
{
    struct arena *scratch = c->resolver->scratch;
    uint32_t sets = 0, members = 0;
    for (uint32_t i = 0; i < c->ordered; i++) {
        struct named_set *s = c->order[i];
        if (s->broken)
            continue;
        uint32_t height = stack_height(&s->expression);
        enum family_limit met = expand(c, s, arena_alloc(scratch, height, sizeof(struct family)));
        const char *subject = " expands to ";
        sets += s->family.count;
        members += s->family.members;
        if (met == FAMILY_FITS &&
            (sets > CONFIG_MATRIX_SETS_MAX || members > CONFIG_MATRIX_MEMBERS_MAX)) {
            met = sets > CONFIG_MATRIX_SETS_MAX ? FAMILY_SETS : FAMILY_MEMBERS;
            subject = ", together with those before it, expands to ";
        }
        if (met == FAMILY_FITS)
            continue;
        complain_of(c, s, arena_printf(scratch, "%s%s", subject, limit_text(scratch, met)));
        return false;
    }
    return true;
}

/* Whether one that is part of an earlier one can be left out: where the two cost the same, they let
 * the same models stay, and the earlier one is found first. */
static bool is_within_earlier(const struct config_matrix *m, const struct family_set *earlier,
                              const struct family_set *set)
{
    uint64_t steps = 0;
    for (uint32_t i = 0; i < m->set_count; i++)
        if (family_set_within(set, &earlier[i], &steps))
            return true;
    return false;
}

static void write_out(struct compiler *c, struct config_matrix *m)
{
    struct resolver *r = c->resolver;
    uint32_t sets = 0, members = 0, end = 0;
    for (uint32_t i = 0; i < c->ordered; i++) {
        sets += c->order[i]->family.count;
        members += c->order[i]->family.members;
    }
    struct family_set *taken = arena_alloc(r->scratch, sets, sizeof(*taken));
    m->members = arena_alloc(r->arena, members, sizeof(*m->members));
    m->ends = arena_alloc(r->arena, sets, sizeof(*m->ends));
    m->names = arena_alloc(r->arena, sets, sizeof(*m->names));
    for (uint32_t i = 0; i < c->ordered; i++) {
        const struct named_set *s = c->order[i];
        char *name = arena_text(r->arena, s->source->text);
        for (uint32_t k = 0; k < s->family.count; k++) {
            const struct family_set *set = &s->family.sets[k];
            if (is_within_earlier(m, taken, set))
                continue;
            memcpy(m->members + end, set->members, set->count * sizeof(*set->members));
            end += set->count;
            taken[m->set_count] = *set;
            m->names[m->set_count] = name;
            m->ends[m->set_count++] = end;
        }
    }
}

static void compile(struct compiler *c, struct config_matrix *m)
{
    for (uint32_t i = 0; i < c->count; i++)
        read_set(c, &c->sets[i]);
    for (uint32_t i = 0; i < c->count; i++)
        if (c->sets[i].visit == VISIT_NEW)
            put_in_order(c, &c->sets[i]);
    if (expand_all(c))
        write_out(c, m);
    for (uint32_t i = 0; i < c->count; i++) {
        expression_fini(&c->sets[i].expression);
        family_fini(&c->sets[i].family);
    }
}

void resolve_matrix(struct resolver *r, const struct bound *matrix)
{
    const struct value *sets = bound_value(matrix, SET_MATRIX_sets);
    const struct value *costs = bound_value(matrix, SET_MATRIX_evict_costs);
    struct config_matrix *m = &r->config->matrix;
    struct compiler c = {.resolver = r,
                         .budget = {.steps = BUDGET_STEPS},
                         .vars = bound_value(matrix, SET_MATRIX_vars)};
    read_vars(&c);
    read_costs(&c, costs);
    if (sets->count == 0 && !sets->broken)
        diag_error(r->diag, matrix->at, "matrix: matrix must define at least one set");
    else if (sets->count > CONFIG_MATRIX_SETS_MAX)
        diag_error(r->diag, sets->at, "matrix: more than %d sets", CONFIG_MATRIX_SETS_MAX);
    if (sets->count == 0 || sets->count > CONFIG_MATRIX_SETS_MAX)
        return;
    list_sets(&c, sets);
    compile(&c, m);
    /* Aliases can make these texts very long together; those that are too long are errors by now.
     */
    if (r->diag->errors)
        return;
    m->vars = resolve_pairs(r, c.vars);
    m->costs = resolve_pairs(r, costs);
    m->sets = resolve_pairs(r, sets);
}
