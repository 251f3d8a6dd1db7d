/* The body of a request as it comes in, and the model that is named in it. */
#include <stdio.h>

#include "base/pure/errors.h"
#include "http/url.h"
#include "server/handover/drainer.h"
#include "server/models/naming.h"
#include "server/proxy/answer.h"
#include "server/proxy/client.h"
#include "server/proxy/request.h"
#include "server/proxy/rewrite.h"
#include "server/proxy/routing.h"
#include "server/proxy/scanner.h"
#include "server/proxy/upstream.h"
#include "server/record/traffic.h"
#include "server/server.h"

/* While the model's server takes a body more slowly than the client sends it, this much may be
 * ahead before the client has to wait. */
#define AHEAD_HIGH (1024 * 1024)

static void fail_scan(struct exchange *ex, int error)
{
    char text[96];
    const char *detail = NULL;
    if (error == -ERR_JSON_INVALID || error == -ERR_FORM_INVALID) {
        snprintf(text, sizeof(text), "%s, at byte offset %llu", error_info(error)->text,
                 (unsigned long long)scanner_offset(ex->scanner));
        detail = text;
    }
    exchange_fail_error(ex, error, detail);
}

void exchange_body(struct exchange *ex, const char *data, size_t n)
{
    int rc = ex->scanner ? scanner_feed(ex->scanner, data, n) : 0;
    if (rc < 0) {
        fail_scan(ex, rc);
        return;
    }
    uint64_t expected =
        ex->head && ex->head->framing == HTTP_BODY_LENGTH ? ex->head->content_length : 0;
    rc = body_append(&ex->body, data, n, expected);
    if (rc < 0) {
        (void)descriptors_short(ex->server, "for a request's body", ex->server->bodies.file_error);
        ex->server->bodies.file_error = 0;
        exchange_fail_error(ex, rc, NULL);
        return;
    }
    if (!ex->upstream || !ex->upstream->connected || ex->state == EXCHANGE_WAITING)
        return;
    if (ex->body.size - ex->body_sent > AHEAD_HIGH)
        client_pause(ex->client);
    exchange_send_body(ex);
}

/* Another name in place of the one that the client used: useModelName, for the model's own server,
 * or else what profile and selector have made of it. */
static void rename_model(struct exchange *ex, const struct scanner_result *found,
                         const struct naming *who)
{
    struct buf text = {0};
    const char *name = found->how != SCANNED_FORM ? who->write : NULL;
    if (!name && who->asked != found->model)
        name = who->asked;
    if (!name)
        return;
    if (found->how == SCANNED_JSON)
        buf_json_text(&text, name);
    else if (found->how == SCANNED_FORM)
        url_encode(&text, name);
    else
        buf_text(&text, name);
    body_edit(&ex->body, found->off, found->len, text.data, text.len);
    buf_fini(&text);
}

/* For engines that order their own work: they serve what has a lower number first. */
static const struct rewrite_fallback *priority_of(struct exchange *ex, const struct naming *who,
                                                  struct rewrite_fallback *ret)
{
    static const char *const ranks[CLASS__COUNT] = {
        [CLASS_FOREGROUND] = "0", [CLASS_NORMAL] = "50", [CLASS_BACKGROUND] = "100"};
    if (!who->model || !*who->model->priority_param)
        return NULL;
    exchange_settle(ex, who->model);
    *ret =
        (struct rewrite_fallback){.name = who->model->priority_param, .json = ranks[ex->ask.class]};
    return ret;
}

/* When a model leaves is wharf's business, which has noted what the client wants. */
static bool keeps_itself(const struct exchange *ex, const struct naming *who)
{
    return who->model && *who->model->backend_model && ex->route->face == FACE_OLLAMA &&
           !ex->ask.path;
}

bool exchange_filter(struct exchange *ex, const struct naming *who)
{
    struct buf why = {0};
    struct rewrite_fallback space, keep = {.name = "keep_alive", .json = "-1", .always = true};
    const struct rewrite_fallback *members = priority_of(ex, who, &space);
    if (keeps_itself(ex, who)) {
        keep.next = members;
        members = &keep;
    }
    if (!scanner_is_json(ex->scanner) || (!members && !rewrite_is_needed(who->filters, who->asked)))
        return true;
    int rc =
        rewrite_body(&ex->body, who->filters, who->asked, members, ex->server->spool_scratch, &why);
    if (rc < 0)
        exchange_fail_error(ex, rc, why.data);
    buf_fini(&why);
    return rc == 0;
}

/* name: what is asked for, where that is not what the body says. */
static void finish_scan(struct exchange *ex, const char *name)
{
    struct scanner_result found = {0};
    struct naming who;
    int rc = scanner_end(ex->scanner, &ex->body, &found);
    if (rc == -ERR_MODEL_MISSING && ex->head->query.len) {
        exchange_route_query(ex);
        return;
    }
    if (rc < 0) {
        fail_scan(ex, rc);
        return;
    }
    if (!exchange_name(ex, name ? name : found.model, &who))
        return;
    ex->ask.stream = found.stream;
    if (!exchange_filter(ex, &who))
        return;
    rename_model(ex, &found, &who);
    exchange_admit(ex, &who);
}

void exchange_translated(struct exchange *ex, const struct exchange_words *words)
{
    must(ex->body_complete);
    ex->body_asked = ex->body; /* another program may have to begin anew with it */
    body_init(&ex->body, &ex->server->bodies);
    ex->ask.path = words->path;
    ex->state = EXCHANGE_READING;
    ex->scanner = scanner_new(NULL, 0);
    int rc = body_append(&ex->body, words->body, words->body_len, words->body_len);
    if (rc < 0) {
        exchange_fail_error(ex, rc, NULL);
        return;
    }
    rc = scanner_feed(ex->scanner, words->body, words->body_len);
    if (rc < 0)
        fail_scan(ex, rc);
    else
        finish_scan(ex, words->model);
}

void exchange_untranslated(struct exchange *ex, const char *model)
{
    const char *data;
    size_t n = 1;
    int rc = 0;
    must(ex->body_complete);
    ex->state = EXCHANGE_READING;
    ex->scanner = scanner_new(NULL, 0);
    for (uint64_t at = 0; rc == 0 && n; at += n) {
        rc = body_peek(&ex->body, at, ex->server->spool_scratch, SERVER_SCRATCH_BYTES, &data, &n);
        if (rc == 0 && n)
            rc = scanner_feed(ex->scanner, data, n);
    }
    if (rc < 0)
        fail_scan(ex, rc);
    else
        finish_scan(ex, model);
}

void exchange_body_end(struct exchange *ex)
{
    ex->body_complete = true;
    if (ex->server->drainer && drainer_takes(ex))
        return;
    if (ex->state == EXCHANGE_READING && ex->route->kind == ROUTE_LOCAL) {
        ex->state = EXCHANGE_LOCAL;
        traffic_begin(ex);
        ex->route->handle(ex->server, ex);
    } else if (ex->state == EXCHANGE_READING && ex->route->translate) {
        ex->route->translate(ex->server, ex);
    } else if (ex->scanner) {
        finish_scan(ex, NULL);
    } else if (ex->upstream && ex->upstream->connected && ex->state != EXCHANGE_WAITING) {
        exchange_send_body(ex);
    }
}
