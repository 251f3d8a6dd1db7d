/* Who may come in, as YAML; never a key itself. */
#include <string.h>

#include "base/pure/units.h"
#include "config/print/print.h"

static void print_plain_keys(struct buf *out, const struct config *c)
{
    const char *sep = "apiKeys: [";
    for (uint32_t i = 0; i < c->key_count; i++) {
        if (c->keys[i].entry != CONFIG_KEY_PLAIN)
            continue;
        buf_printf(out, "%s\"" PRINT_MASK "\"", sep);
        sep = ", ";
    }
    buf_text(out, *sep == ',' ? "]\n" : "");
}

/* Each item begins with what one of them always has. */
static void print_source(struct buf *out, const struct config_key *key)
{
    buf_text(out, "  - ");
    if (*key->file)
        print_text(out, 0, "keyFile", key->file);
    else if (*key->user)
        print_text(out, 0, "user", key->user);
    else
        buf_text(out, "key: \"" PRINT_MASK "\"\n");
}

static void print_key_entry(struct buf *out, const struct config_key *key)
{
    print_source(out, key);
    print_text(out, 2, "name", key->name);
    if (key->has_class)
        buf_printf(out, "    class: %s\n", config_class_words[key->class]);
    buf_printf(out, "    maxClass: %s\n", config_class_words[key->class_max]);
    if (key->has_wait) {
        buf_text(out, "    wait: ");
        print_duration(out, key->wait_ns_max);
        buf_char(out, '\n');
    }
    if (key->models.count)
        print_texts(out, 2, "models", &key->models);
    if (key->admin_given)
        buf_printf(out, "    admin: %s\n", key->admin ? "true" : "false");
    buf_text(out, key->read_only ? "    readOnly: true\n" : "");
}

void print_access(struct buf *out, const struct config *c)
{
    const struct config_access *a = &c->access;
    uint32_t last = CONFIG_KEY_PLAIN; /* a file has several keys, but is one entry */
    print_plain_keys(out, c);
    for (uint32_t i = 0; i < c->key_count; i++) {
        if (c->keys[i].entry == CONFIG_KEY_PLAIN || c->keys[i].entry == last)
            continue;
        buf_text(out, last == CONFIG_KEY_PLAIN ? "keys:\n" : "");
        print_key_entry(out, &c->keys[i]);
        last = c->keys[i].entry;
    }
    if (a->hosts.count)
        print_texts(out, 0, "hosts", &a->hosts);
    if (a->origins_given && a->origins.count == 0)
        buf_text(out, "cors: []\n");
    else if (a->origins_given)
        print_texts(out, 0, "cors", &a->origins);
    buf_printf(out, "socket:\n  mode: \"%04o\"\n", a->socket_mode);
    if (a->has_group)
        buf_printf(out, "  group: \"%u\"\n", a->socket_gid);
}
