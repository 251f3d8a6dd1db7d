#include "server/record/archive_request.h"

#include "server/proxy/exchange.h"
#include "server/record/recording.h"
#include "server/server.h"

/* -1 is not known. */
static int64_t known(int64_t number)
{
    return number < 0 ? ARCHIVE_UNKNOWN : number;
}

void archive_request(const struct recording *t, const struct store_row *row)
{
    struct server *s = t->ex->server;
    const struct config_key *key = t->ex->ask.auth.key;
    struct archive_draft d;
    char trace[TRACE_ID_MAX];
    if (!archiving_is_on(s))
        return;
    archive_draft_init(&d, ARCHIVE_REQUESTS);
    archive_set_number(&d, ARCHIVE_REQUESTS_arrived,
                       archiving_now_ms() - (int64_t)(uv_now(s->loop) - t->started_ms));
    archive_set_text(&d, ARCHIVE_REQUESTS_model, row->model);
    archive_set_text(&d, ARCHIVE_REQUESTS_class, recording_class(t));
    archive_set_text(&d, ARCHIVE_REQUESTS_path, row->path);
    archive_set_number(&d, ARCHIVE_REQUESTS_status, t->status ? t->status : ARCHIVE_UNKNOWN);
    archive_set_text(&d, ARCHIVE_REQUESTS_ended, row->ended);
    archive_set_text(&d, ARCHIVE_REQUESTS_key, key ? key->name : NULL);
    recording_trace(t, trace);
    archive_set_text(&d, ARCHIVE_REQUESTS_trace, trace);
    archive_set_number(&d, ARCHIVE_REQUESTS_waited_ms, known(t->waited_ms));
    archive_set_number(&d, ARCHIVE_REQUESTS_load_ms,
                       t->waited_ms < 0 ? ARCHIVE_UNKNOWN : t->loading_ms);
    archive_set_number(&d, ARCHIVE_REQUESTS_first_byte_ms, known(t->first_ms));
    archive_set_number(&d, ARCHIVE_REQUESTS_total_ms, row->duration_ms);
    if (t->tap) {
        archive_set_number(&d, ARCHIVE_REQUESTS_input_tokens, known(row->input));
        archive_set_number(&d, ARCHIVE_REQUESTS_output_tokens, known(row->output));
        archive_set_number(&d, ARCHIVE_REQUESTS_cached_tokens, known(row->cached));
        archive_set_number(&d, ARCHIVE_REQUESTS_bytes, (int64_t)t->answer_bytes);
    }
    archiving_put(s, &d);
}
