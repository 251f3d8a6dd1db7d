/* Logs, history, captures and measurements, as YAML. */
#include <string.h>

#include "base/pure/units.h"
#include "config/print/print.h"

static void print_patterns(struct buf *out, const struct config_observe *o)
{
    buf_text(out, "upstream:\n  ignorePaths:\n");
    for (uint32_t i = 0; i < o->ignored_count; i++) {
        buf_text(out, "    - ");
        buf_json_text(out, o->ignored[i].text);
        buf_char(out, '\n');
    }
}

void print_observe(struct buf *out, const struct config *c)
{
    const struct config_observe *o = &c->observe;
    if (o->log_time_given) {
        buf_text(out, "logTimeFormat: ");
        buf_json_text(out, config_log_time_words[o->log_time]);
        buf_char(out, '\n');
    }
    buf_text(out, "log:\n");
    print_scope(out, 1, SCOPE_LOG, c);
    if (*o->store_path) {
        buf_text(out, "store:\n");
        print_scope(out, 1, SCOPE_STORE, c);
    }
    buf_text(out, "history:\n");
    print_scope(out, 1, SCOPE_HISTORY, c);
    buf_text(out, "ui:\n  activity:\n");
    if (o->session_headers.count)
        print_texts(out, 2, "session_id", &o->session_headers);
    else
        buf_text(out, "    session_id: []\n");
    buf_text(out, "performance:\n");
    print_scope(out, 1, SCOPE_PERFORMANCE, c);
    print_patterns(out, o);
}
