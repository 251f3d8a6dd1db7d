/* Who may be loaded together and who is served first, as YAML. */
#include <string.h>

#include "config/print/print.h"

static void print_group(struct buf *out, const struct config *c, uint32_t group)
{
    print_key(out, 4, c->groups[group].id);
    buf_char(out, '\n');
    print_scope(out, 5, SCOPE_GROUP, &c->groups[group]);
    buf_text(out, "          members: [");
    bool first = true;
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (c->models[i].group != group)
            continue;
        buf_text(out, first ? "" : ", ");
        buf_json_text(out, c->models[i].id);
        first = false;
    }
    buf_text(out, "]\n");
}

static void print_groups(struct buf *out, const struct config *c)
{
    if (c->group_count)
        buf_text(out, "    settings:\n      groups:\n");
    for (uint32_t i = 0; i < c->group_count; i++) {
        /* The models in no group need no entry. */
        if (strcmp(c->groups[i].id, CONFIG_DEFAULT_GROUP) != 0)
            print_group(out, c, i);
    }
}

static void print_pairs(struct buf *out, const char *key, const struct config_pairs *pairs,
                        bool quoted)
{
    if (pairs->count)
        buf_printf(out, "        %s:\n", key);
    for (uint32_t i = 0; i < pairs->count; i++) {
        print_key(out, 5, pairs->items[i].key);
        buf_char(out, ' ');
        if (quoted)
            buf_json_text(out, pairs->items[i].text);
        else
            buf_text(out, pairs->items[i].text);
        buf_char(out, '\n');
    }
}

static void print_matrix(struct buf *out, const struct config_matrix *m)
{
    buf_text(out, "    settings:\n      matrix:\n");
    print_pairs(out, "vars", &m->vars, true);
    print_pairs(out, "evict_costs", &m->costs, false);
    print_pairs(out, "sets", &m->sets, true);
}

static void print_scheduler(struct buf *out, const struct config *c)
{
    bool fair = c->scheduler == CONFIG_SCHED_FAIR, first = true;
    buf_printf(out, "  scheduler: # %s\n", c->scheduler_why);
    print_scope(out, 2, SCOPE_SCHEDULER, c);
    if (fair) {
        buf_text(out, "    settings:\n      fair:\n");
        print_scope(out, 4, SCOPE_FAIR, c);
    }
    for (uint32_t i = 0; i < c->model_count; i++) {
        if (c->models[i].priority == 0)
            continue;
        if (first)
            buf_printf(out, "%s      fifo:\n        priority:\n", fair ? "" : "    settings:\n");
        print_key(out, 5, c->models[i].id);
        buf_printf(out, " %d\n", c->models[i].priority);
        first = false;
    }
}

void print_routing(struct buf *out, const struct config *c)
{
    buf_printf(out, "routing:\n  router: # %s\n    use: %s\n", c->planner_why,
               config_planner_words[c->planner]);
    if (c->planner == CONFIG_PLAN_GROUP)
        print_groups(out, c);
    else if (c->planner == CONFIG_PLAN_MATRIX)
        print_matrix(out, &c->matrix);
    print_scheduler(out, c);
}

static void print_classes(struct buf *out, const struct config *c)
{
    static const enum scope scopes[CONFIG_CLASS__COUNT] = {
        [CONFIG_CLASS_FOREGROUND] = SCOPE_CLASS_FOREGROUND,
        [CONFIG_CLASS_NORMAL] = SCOPE_CLASS_NORMAL,
        [CONFIG_CLASS_BACKGROUND] = SCOPE_CLASS_BACKGROUND,
    };
    buf_text(out, "classes:\n");
    for (uint32_t i = 0; i < CONFIG_CLASS__COUNT; i++) {
        buf_printf(out, "  %s:\n", config_class_words[i]);
        print_scope(out, 2, scopes[i], c);
    }
}

static void print_mode(struct buf *out, const struct config *c, const struct config_mode *mode)
{
    print_key(out, 1, mode->id);
    buf_text(out, mode->wish_count ? "\n" : " {}\n");
    for (uint32_t i = 0; i < mode->wish_count; i++) {
        const struct config_wish *wish = &mode->wishes[i];
        print_key(out, 2, c->models[wish->model].id);
        if (wish->gpu != CONFIG_GPU_ANY) {
            buf_printf(out, " \"%u\"\n", wish->gpu);
        } else if (wish->placement != CONFIG_PLACEMENT_ANY) {
            buf_char(out, ' ');
            buf_json_text(out, c->models[wish->model].placements[wish->placement].id);
            buf_char(out, '\n');
        } else {
            buf_text(out, wish->kind == CONFIG_WISH_LOADED ? " loaded\n" : " unloaded\n");
        }
    }
}

static void print_hooks(struct buf *out, const struct config *c)
{
    buf_text(out, "hooks:\n");
    print_scope(out, 1, SCOPE_HOOKS, c);
    if (c->preload.count)
        buf_text(out, "  on_startup:\n");
    print_texts(out, 2, "preload", &c->preload);
    if (c->hook_count)
        buf_text(out, "  on:\n");
    for (uint32_t i = 0; i < c->hook_count; i++) {
        /* Those of one event stand together. */
        if (i == 0 || strcmp(c->hooks[i - 1].event, c->hooks[i].event) != 0)
            buf_printf(out, "    %s:\n", c->hooks[i].event);
        buf_text(out, "      - ");
        print_command(out, c->hooks[i].command);
    }
}

void print_policies(struct buf *out, const struct config *c)
{
    print_classes(out, c);
    buf_text(out, c->gate_count ? "gates:\n" : "");
    for (uint32_t i = 0; i < c->gate_count; i++) {
        print_key(out, 1, c->gates[i].id);
        buf_char(out, '\n');
        print_scope(out, 2, SCOPE_GATE, &c->gates[i]);
    }
    buf_text(out, "modes:\n");
    for (uint32_t i = 0; i < c->mode_count; i++)
        print_mode(out, c, &c->modes[i]);
    buf_text(out, "startMode: ");
    buf_json_text(out, c->modes[c->start_mode].id);
    buf_text(out, "\nhost:\n");
    print_scope(out, 1, SCOPE_HOST, c);
    print_hooks(out, c);
}
