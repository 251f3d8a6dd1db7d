/* Any bytes as a configuration: no crash, no leak; what loads can be printed, and what is printed
 * loads again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/pure/check.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_wish(const struct config *c, const struct config_wish *w)
{
    must(w->model < c->model_count);
    must(w->gpu == CONFIG_GPU_ANY || w->gpu < c->gpu_count);
    must(w->placement == CONFIG_PLACEMENT_ANY ||
         w->placement < c->models[w->model].placement_count);
    must(w->gpu == CONFIG_GPU_ANY || w->placement != CONFIG_PLACEMENT_ANY);
}

/* Whatever was read, the numbers in it are within the bounds that config.h names. */
static void check_policies(const struct config *c)
{
    const struct config_matrix *m = &c->matrix;
    uint32_t at = 0;
    must(m->set_count <= CONFIG_MATRIX_SETS_MAX);
    must((m->set_count > 0) == (c->planner == CONFIG_PLAN_MATRIX));
    for (uint32_t i = 0; i < m->set_count; i++) {
        must(m->ends[i] > at && m->ends[i] <= CONFIG_MATRIX_MEMBERS_MAX && m->names[i]);
        for (uint32_t start = at; at < m->ends[i]; at++)
            must(m->members[at] < c->model_count &&
                 (at == start || m->members[at - 1] < m->members[at]));
    }
    must(c->start_mode < c->mode_count && c->mode_count <= CONFIG_MODES_MAX + 1);
    for (uint32_t i = 0; i < c->mode_count; i++)
        for (uint32_t k = 0; k < c->modes[i].wish_count; k++)
            check_wish(c, &c->modes[i].wishes[k]);
    must(c->gate_count <= CONFIG_GATES_MAX);
    for (uint32_t i = 0; i < c->gate_count; i++)
        must(c->gates[i].limit >= 1);
    for (uint32_t i = 0; i < c->hook_count; i++)
        must(c->hooks[i].argv.count >= 1);
}

static void check_placements(const struct config *c, const struct config_model *m)
{
    must(m->placement_count <= CONFIG_PLACEMENTS_MAX);
    for (uint32_t i = 0; i < m->placement_count; i++) {
        const struct config_placement *p = &m->placements[i];
        must(p->gpu_count >= 1 && config_model_find_placement(m, p->id) == i);
        must(p->host == (strcmp(p->id, CONFIG_HOST_ID) == 0));
    }
    must((m->backend == CONFIG_BACKEND_OLLAMA) == (m->endpoint_number > 0));
    must(m->endpoint_number <= CONFIG_ENDPOINTS_MAX && c->model_count > 0);
}

static void check_names(const struct config *c)
{
    for (uint32_t i = 0; i < c->name_count; i++) {
        const struct config_name *name = &c->names[i];
        must(i == 0 || strcmp(name[-1].name, name->name) < 0);
        must(config_find_name(c, name->name) == name);
        must(name->kind != CONFIG_NAME_MODEL || name->index < c->model_count);
        must(name->kind != CONFIG_NAME_SELECTOR || name->index < c->selector_count);
        must(
            name->kind != CONFIG_NAME_PEER ||
            (name->index < c->peer_count && name->peer_model < c->peers[name->index].models.count));
    }
    for (uint32_t i = 0; i < c->selector_count; i++)
        must(c->selectors[i].target_count >= 1 && c->selectors[i].spillover >= 1);
    for (uint32_t i = 0; i < c->profile_count; i++)
        for (uint32_t k = 0; k < c->profiles[i].pin_count; k++)
            must(!*c->profiles[i].pins[k].target ||
                 config_find_name(c, c->profiles[i].pins[k].target));
    for (uint32_t i = 0; i < c->peer_count; i++)
        must(c->peers[i].models.count == c->peers[i].names.count && *c->peers[i].proxy);
    for (uint32_t i = 0; i < c->key_count; i++)
        must(*c->keys[i].key ? !*c->keys[i].user : *c->keys[i].user);
    must(c->observe.ignored_count >= 1);
    (void)config_ignores_path(c, "/aaaaaaaaaaaaaaaaaaaaaaaaaaaa/app.js", 36);
}

static void use(const struct config *c)
{
    check_names(c);
    check_policies(c);
    struct buf printed = {0};
    struct config_report report = {0};
    const char *near[3];
    for (uint32_t i = 0; i < c->model_count; i++) {
        must(c->models[i].group < c->group_count);
        must(c->models[i].evict_cost >= 1);
        check_placements(c, &c->models[i]);
        must(c->models[i].class < CONFIG_CLASS__COUNT);
        must(config_find_model(c, c->models[i].id) == &c->models[i]);
        must(config_nearest_models(c, c->models[i].id, near, countof(near)) <= countof(near));
    }
    config_print(c, &printed);
    struct config *again = config_load_text("printed", printed.data, printed.len, &report);
    must(again && again->model_count == c->model_count && again->planner == c->planner);
    must(again->matrix.set_count == c->matrix.set_count && again->mode_count == c->mode_count);
    must(again->peer_count == c->peer_count && again->name_count == c->name_count);
    for (uint32_t i = 0; i < c->model_count; i++)
        must(strcmp(again->models[i].id, c->models[i].id) == 0);
    must(again->gate_count == c->gate_count && again->hook_count == c->hook_count);
    config_free(again);
    config_report_fini(&report);
    buf_fini(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_report report = {0};
    struct config *c = config_load_text("fuzz", (const char *)data, size, &report);
    must((c == NULL) == (report.errors > 0));
    must(report.errors + report.warnings == 0 || report.text.len > 0);
    if (c)
        use(c);
    config_free(c);
    config_report_fini(&report);
    return 0;
}
