/* Any bytes as a configuration: no crash, no leak; what loads can be printed, and what is printed
 * loads again. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/pure/check.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct config *c)
{
    struct buf printed = {0};
    struct config_report report = {0};
    const char *near[3];
    for (uint32_t i = 0; i < c->model_count; i++) {
        must(c->models[i].group < c->group_count);
        must(config_find_model(c, c->models[i].id) == &c->models[i]);
        must(config_nearest_models(c, c->models[i].id, near, countof(near)) <= countof(near));
    }
    config_print(c, &printed);
    struct config *again = config_load_text("printed", printed.data, printed.len, &report);
    must(again && again->model_count == c->model_count && again->planner == c->planner);
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
