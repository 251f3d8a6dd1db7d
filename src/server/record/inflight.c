#include "server/record/inflight.h"

#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "server/proxy/exchange.h"
#include "server/proxy/head_copy.h"
#include "server/record/recording.h"
#include "server/record/redact.h"
#include "server/server.h"

#define GROWN_NS (250 * NS_PER_MS)

static void put_span(struct buf *out, const char *name, const char *bytes, struct http_span s)
{
    buf_printf(out, ",\"%s\":", name);
    buf_json(out, bytes + s.off, s.len);
}

/* Whom a proxy in front of wharf says that it comes from, else the connection's other end. */
static void put_remote(const struct recording *t, const struct http_head *h, const char *bytes,
                       struct buf *out)
{
    const struct http_field *f = http_head_find(h, HTTP_FIELD_X_FORWARDED_FOR);
    if (!f)
        f = http_head_find_text(h, bytes, "x-real-ip");
    const char *text = f ? bytes + f->value.off : t->peer;
    size_t n = f ? f->value.len : strlen(text);
    const char *comma = memchr(text, ',', n);
    buf_text(out, ",\"remote_ip\":");
    buf_json(out, text, comma ? (size_t)(comma - text) : n);
}

static void put_one(const struct recording *t, struct buf *out)
{
    const char *bytes;
    const struct http_head *h = recording_request(t, &bytes);
    struct buf metadata = {0};
    char time[DATE_TEXT_MAX], trace[TRACE_ID_MAX];
    size_t path_len;
    const char *path = recording_path(t, &path_len);
    buf_printf(out, "{\"id\":\"%llu\",\"timestamp\":\"%s\",\"model\":", (unsigned long long)t->id,
               date_format_seconds(t->started_s, time));
    buf_json_text(out, t->model);
    buf_text(out, ",\"req_path\":");
    buf_json(out, path, path_len);
    put_span(out, "method", bytes, h->method);
    buf_text(out, ",\"req_headers\":");
    redact_fields(h, bytes, out);
    put_remote(t, h, bytes, out);
    buf_text(out, ",\"resp_headers\":");
    if (t->answer)
        redact_fields(t->answer, head_copy_bytes(t->answer), out);
    else
        buf_text(out, "{}");
    buf_printf(out, ",\"resp_bytes\":%llu,\"elapsed_ms\":%llu", (unsigned long long)t->answer_bytes,
               (unsigned long long)(uv_now(t->ex->server->loop) - t->started_ms));
    buf_printf(out, ",\"waited_ms\":%lld,\"first_ms\":%lld", (long long)t->waited_ms,
               (long long)t->first_ms);
    recording_trace(t, trace);
    if (*trace)
        buf_printf(out, ",\"trace\":\"%s\"", trace);
    recording_put_metadata(t, &metadata);
    if (metadata.len)
        buf_printf(out, ",\"metadata\":%s", metadata.data);
    buf_fini(&metadata);
    buf_char(out, '}');
}

void inflight_put_all(const struct server *s, struct buf *out)
{
    struct link *pos;
    const char *sep = "";
    buf_char(out, '[');
    list_each(pos, &s->in_flight) {
        buf_text(out, sep);
        put_one(list_entry(pos, struct recording, link), out);
        sep = ",";
    }
    buf_char(out, ']');
}

void inflight_put_snapshot(struct server *s, struct buf *out)
{
    buf_text(out, "{\"operation\":\"snapshot\"");
    if (s->in_flight.count) {
        buf_text(out, ",\"requests\":");
        inflight_put_all(s, out);
    }
    buf_char(out, '}');
}

/* At the end of the daemon nobody is told: its followers are being let go. */
static bool is_followed(const struct server *s)
{
    return s->changes.feed.followers.count > 0 && !s->stopping;
}

void inflight_changed(struct recording *t)
{
    struct server *s = t->ex->server;
    struct buf json = {0};
    if (!is_followed(s))
        return;
    t->told_ns = uv_hrtime();
    buf_text(&json, "{\"operation\":\"upsert\",\"request\":");
    put_one(t, &json);
    buf_char(&json, '}');
    changes_tell_soon(s, CHANGE_INFLIGHT, json.data);
    buf_fini(&json);
}

void inflight_grown(struct recording *t)
{
    if (is_followed(t->ex->server) && uv_hrtime() - t->told_ns >= GROWN_NS)
        inflight_changed(t);
}

void inflight_gone(struct server *s, uint64_t id)
{
    char json[64];
    if (!is_followed(s))
        return;
    snprintf(json, sizeof(json), "{\"operation\":\"remove\",\"id\":\"%llu\"}",
             (unsigned long long)id);
    changes_tell_soon(s, CHANGE_INFLIGHT, json);
}
