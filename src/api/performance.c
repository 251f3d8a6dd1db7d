/* What the machine does and what it is, as llama-swap answers it. */
#include "api/handlers.h"
#include "base/date.h"
#include "base/pure/errors.h"
#include "http/url.h"
#include "server/gpus/monitor.h"
#include "server/record/metrics.h"

void api_performance(struct server *s, struct exchange *ex)
{
    struct buf json = {0};
    char text[64];
    uint64_t after_ns = 0;
    struct http_span q = ex->head->query;
    if (!monitor_enabled(s)) {
        exchange_reply(ex, 503, "application/json", NULL, "{\"enabled\":false}\n", 18);
        return;
    }
    int found = url_query_find(ex->bytes + q.off, q.len, "after", text, sizeof(text));
    if (found != 0 && !(found > 0 && text[0] == '\0') &&
        (found < 0 || !date_parse(text, &after_ns))) {
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

void api_metrics(struct server *s, struct exchange *ex)
{
    static const char none[] = "# performance.disabled is set: nothing is measured\n";
    struct buf text = {0};
    if (monitor_enabled(s))
        metrics_write(s, &text);
    else
        buf_text(&text, none);
    buf_append(&text, "", 0);
    exchange_reply(ex, monitor_enabled(s) ? 200 : 503, "text/plain; version=0.0.4; charset=utf-8",
                   NULL, text.data, text.len);
    buf_fini(&text);
}
