#include "cli/lease_body.h"

static void put_name(struct buf *body, const char *name)
{
    buf_printf(body, "%s\"%s\":", body->data[body->len - 1] == '{' ? "" : ",", name);
}

bool lease_body_asked(const struct cli_args *args)
{
    const char *gate;
    return cli_args_text(args, "vram") != NULL || cli_args_texts(args, "gate", &gate, 1) > 0;
}

void lease_body_text(struct buf *body, const char *name, const char *value)
{
    if (!value)
        return;
    put_name(body, name);
    buf_json_text(body, value);
}

void lease_body_put(struct buf *body, const struct cli_args *args)
{
    const char *gates[LEASE_BODY_GATES_MAX];
    uint32_t count = cli_args_texts(args, "gate", gates, LEASE_BODY_GATES_MAX);
    uint64_t gpus;
    lease_body_text(body, "vram", cli_args_text(args, "vram"));
    lease_body_text(body, "class", cli_args_text(args, "class"));
    if (cli_args_number(args, "gpus", &gpus)) {
        put_name(body, "gpus");
        buf_printf(body, "%llu", (unsigned long long)gpus);
    }
    if (!count)
        return;
    put_name(body, "gates");
    for (uint32_t i = 0; i < count; i++) {
        buf_text(body, i ? "," : "[");
        buf_json_text(body, gates[i]);
    }
    buf_char(body, ']');
}
