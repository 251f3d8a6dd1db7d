#include "server/record/traffic.h"

#include "server/metrics/metrics.h"
#include "server/proxy/exchange.h"
#include "server/record/access.h"
#include "server/record/recording.h"
#include "server/server.h"

void traffic_arrived(struct exchange *ex)
{
    ex->access = access_begin(ex);
    metrics_arrived(ex);
}

void traffic_begin(struct exchange *ex)
{
    recording_begin(ex);
    metrics_begun(ex);
}

void traffic_granted(struct exchange *ex)
{
    access_granted(ex->access);
    recording_granted(ex);
    metrics_granted(ex);
}

void traffic_head(struct exchange *ex, unsigned status, const struct http_head *head,
                  const char *bytes)
{
    ex->answer_status = status;
    ex->answer_own = head == NULL;
    access_status(ex->access, status);
    recording_head(ex, status, head, bytes);
}

void traffic_head_done(struct exchange *ex)
{
    recording_head_done(ex);
}

void traffic_bytes(struct exchange *ex, const char *data, size_t n)
{
    access_bytes(ex->access, n);
    recording_bytes(ex, data, n);
    if (n)
        metrics_content(ex);
}

/* What wharf itself answers well was no job, such as a model loaded in Ollama's words. */
static void count(const struct exchange *ex, enum ended how)
{
    struct traffic_totals *t = &ex->server->metrics.totals;
    bool for_model =
        ex->route && ex->route->kind != ROUTE_LOCAL && (ex->slot != CORE_SLOT_NONE || ex->peer);
    if (!for_model || (ex->answer_own && ex->answer_status < 400))
        return;
    if (ex->answer_status == 101 || (how == ENDED_DONE && ex->answer_status < 500))
        t->processed++;
    else if (how == ENDED_GONE)
        t->cancelled++;
    else
        t->failed++;
}

void traffic_over(struct exchange *ex, enum ended how)
{
    access_end(ex, ex->access);
    ex->access = NULL;
    recording_over(ex, how);
    metrics_over(ex, how);
    count(ex, how);
}

void traffic_forget(struct exchange *ex)
{
    access_forget(ex->access);
    ex->access = NULL;
    recording_forget(ex);
}
