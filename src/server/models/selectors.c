#include "server/models/selectors.h"

#include "server/models/peers.h"
#include "server/server.h"

/* What a target is good for. */
enum fitness {
    FIT_ACTIVE,  /* it runs, or is about to */
    FIT_COLD,    /* it would have to be started */
    FIT_FAILING, /* its last start failed, and it is being left alone */
    FIT_LEAVING, /* it is being stopped */
};

struct standing {
    enum fitness fitness;
    uint32_t count; /* requests that it has */
};

static struct standing look(const struct server *s, const struct config_ref *config,
                            const struct config_target *t)
{
    static const enum fitness fitness[MODEL__COUNT] = {
        [MODEL_UNLOADED] = FIT_COLD, [MODEL_SUSPENDED] = FIT_COLD,    [MODEL_ERROR] = FIT_FAILING,
        [MODEL_STUCK] = FIT_LEAVING, [MODEL_UNLOADING] = FIT_LEAVING,
    };
    struct core_model_view v;
    if (t->model == CONFIG_NO_MODEL) {
        uint32_t count = peers_requests(config, t->peer, t->peer_model);
        return (struct standing){.fitness = count ? FIT_ACTIVE : FIT_COLD, .count = count};
    }
    core_view_model(s->runner.core, config->slots[t->model], &v);
    struct standing at = {.fitness = fitness[v.state], .count = v.running + v.waiting};
    if (at.count && at.fitness == FIT_COLD)
        at.fitness = FIT_ACTIVE;
    return at;
}

/* The first that is ready, else the first that will be soonest, else the first. */
static const char *choose_warm(const struct server *s, const struct config_ref *config,
                               const struct config_selector *sel)
{
    const char *starting = NULL;
    for (uint32_t i = 0; i < sel->target_count; i++) {
        struct core_model_view v;
        if (sel->targets[i].model == CONFIG_NO_MODEL)
            continue;
        core_view_model(s->runner.core, config->slots[sel->targets[i].model], &v);
        if (v.state == MODEL_LOADED)
            return sel->targets[i].name;
        if (v.state == MODEL_LOADING && !starting)
            starting = sel->targets[i].name;
    }
    return starting ? starting : sel->targets[0].name;
}

/* The active target with that many requests whose turn it is, among those that have as many. */
static const char *choose_equal(const struct server *s, struct config_ref *config,
                                uint32_t selector, uint32_t count)
{
    const struct config_selector *sel = &config->config->selectors[selector];
    uint32_t equal = 0, at = 0;
    for (uint32_t i = 0; i < sel->target_count; i++) {
        struct standing st = look(s, config, &sel->targets[i]);
        equal += st.fitness == FIT_ACTIVE && st.count == count;
    }
    /* The count is that of one of them, so that there is one. */
    uint32_t turn = equal ? config->turns[selector]++ % equal : 0;
    for (uint32_t i = 0; i < sel->target_count; i++) {
        struct standing st = look(s, config, &sel->targets[i]);
        if (st.fitness == FIT_ACTIVE && st.count == count && at++ == turn)
            return sel->targets[i].name;
    }
    return NULL;
}

/* One target is filled before the next is started, and those that run share what comes. */
static const char *choose_spillover(const struct server *s, struct config_ref *config,
                                    uint32_t selector)
{
    const struct config_selector *sel = &config->config->selectors[selector];
    const char *first[FIT_LEAVING + 1] = {NULL};
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < sel->target_count; i++) {
        struct standing st = look(s, config, &sel->targets[i]);
        if (st.fitness == FIT_ACTIVE && st.count < least)
            least = st.count;
        if (!first[st.fitness])
            first[st.fitness] = sel->targets[i].name;
    }
    if (first[FIT_ACTIVE] && (least < sel->spillover || !first[FIT_COLD]))
        return choose_equal(s, config, selector, least);
    return first[FIT_COLD] ? first[FIT_COLD] : first[FIT_FAILING];
}

const char *selectors_choose(struct server *s, struct config_ref *config, uint32_t selector)
{
    const struct config_selector *sel = &config->config->selectors[selector];
    switch (sel->strategy) {
    case CONFIG_STRATEGY_WARM:
        return choose_warm(s, config, sel);
    case CONFIG_STRATEGY_SPILLOVER:
        return choose_spillover(s, config, selector);
    case CONFIG_STRATEGY_PIN:
    case CONFIG_STRATEGY__COUNT:
        break;
    }
    return sel->targets[0].name;
}
