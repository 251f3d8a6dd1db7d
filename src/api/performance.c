/* What the machine does and what it is, as llama-swap answers it. */
#include "api/handlers.h"
#include "api/query.h"
#include "base/date.h"
#include "base/pure/errors.h"
#include "server/gpus/monitor.h"
#include "server/metrics/metrics.h"

void api_performance(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    char text[64];
    uint64_t after_ns = 0;
    if (!monitor_enabled(s)) {
        exchange_reply(ex, 503, "application/json", NULL, "{\"enabled\":false}\n", 18);
        return;
    }
    if (api_query_value(ex, "after", text, sizeof(text)) && !date_parse(text, &after_ns)) {
        exchange_fail_error(ex, ERR_BODY_INVALID, "invalid 'after' timestamp, use RFC3339 format");
        return;
    }
    monitor_write(s, after_ns, &json);
    api_send_json(ex, 200, &json);
}

void api_hardware(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    if (monitor_write_hardware(s, &json))
        api_send_json(ex, 200, &json);
    else
        exchange_fail_error(ex, ERR_BUSY, "hardware detection unavailable");
}

static const char metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";

void api_metrics(struct server *s, struct exchange *ex)
{
    static const char none[] = "# performance.disabled is set: nothing is measured\n";
    if (monitor_enabled(s))
        metrics_tell(ex, metrics_type);
    else
        exchange_reply(ex, 503, metrics_type, NULL, none, sizeof(none) - 1);
}
