/* Keys, logs, history, captures and measurements, as YAML. */
#include <string.h>

#include "base/pure/units.h"
#include "config/print.h"

static void print_api_key(struct buf *out, const struct config_key *key)
{
    buf_text(out, "  - key: \"" PRINT_MASK "\"\n");
    print_indent(out, 2);
    buf_text(out, "name: ");
    buf_json_text(out, key->name);
    if (key->has_class)
        buf_printf(out, "\n    class: %s", config_class_words[key->class]);
    buf_printf(out, "\n    maxClass: %s\n", config_class_words[key->class_max]);
    if (!key->has_wait)
        return;
    buf_text(out, "    wait: ");
    print_duration(out, key->wait_ns_max);
    buf_char(out, '\n');
}

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
    buf_text(out, c->key_count ? "keys:\n" : "");
    for (uint32_t i = 0; i < c->key_count; i++)
        print_api_key(out, &c->keys[i]);
    if (o->log_time_given) {
        buf_text(out, "logTimeFormat: ");
        buf_json_text(out, config_log_time_words[o->log_time]);
        buf_char(out, '\n');
    }
    if (*o->store_path) {
        buf_text(out, "store:\n");
        print_scope(out, 1, SCOPE_STORE, c);
    }
    buf_text(out, "ui:\n  activity:\n");
    if (o->session_headers.count)
        print_texts(out, 2, "session_id", &o->session_headers);
    else
        buf_text(out, "    session_id: []\n");
    buf_text(out, "performance:\n");
    print_scope(out, 1, SCOPE_PERFORMANCE, c);
    print_patterns(out, o);
}
