/* GET /wharf/status. */
#include "api/json.h"
#include "config/config.h"
#include "server/devices.h"

static void put_degradations(const struct server *s, struct buf *b)
{
    buf_text(b, ",\"degradations\":[");
    for (uint32_t i = 0; i < s->degraded.count; i++) {
        const struct degradation *it = &s->degraded.items[i];
        buf_printf(b, "%s{\"what\":\"%s\",\"name\":", i ? "," : "", degraded_words[it->what]);
        api_put_text(b, it->name);
        buf_text(b, ",\"reason\":");
        buf_json_text(b, it->reason);
        buf_text(b, ",\"since_s\":");
        api_put_age(b, it->since_ns);
        buf_text(b, ",\"models\":[");
        for (uint32_t k = 0; k < it->model_count; k++) {
            buf_text(b, k ? "," : "");
            api_put_model(b, s, it->models[k]);
        }
        buf_text(b, "]}");
    }
    buf_char(b, ']');
}

void api_status(struct server *s, struct exchange *ex)
{
    const struct config *c = s->roster.current->config;
    struct core_view v;
    struct buf json = {0};
    core_view(s->runner.core, &v);
    buf_text(&json, "{\"version\":\"" WHARF_VERSION "\",\"uptime_s\":");
    api_put_seconds(&json, uv_hrtime() - s->started_ns);
    buf_printf(&json,
               ",\"state\":\"%s\",\"scheduler\":\"%s\",\"planner\":\"%s\",\"models\":%u,"
               "\"loaded\":%u,\"in_flight\":%u,\"waiting\":%u,\"connections\":%u,\"mode\":",
               s->stopping ? "stopping" : "serving", config_scheduler_words[c->scheduler],
               roster_planner(c), c->model_count, v.loaded, v.running, v.waiting, s->clients.count);
    buf_json_text(&json, s->modes.name);
    buf_text(&json, ",\"degraded\":");
    api_put_text(&json, devices_problem(s->devices));
    put_degradations(s, &json);
    buf_char(&json, ',');
    api_put_device_list(s, &json);
    buf_text(&json, "}\n");
    api_send_json(ex, 200, &json);
}
