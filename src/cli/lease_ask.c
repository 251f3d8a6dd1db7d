#include "cli/lease_ask.h"

#include <string.h>

#include "base/pure/units.h"
#include "cli/output.h"

/* A member that is no text; what follows is its value. */
static void put_key(struct buf *out, const char *name)
{
    buf_printf(out, "%s\"%s\":", out->data[out->len - 1] == '{' ? "" : ",", name);
}

void lease_ask_text(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    put_key(out, name);
    buf_json_text(out, value);
}

static bool has_option(const struct cli_args *args, const char *name)
{
    for (uint32_t i = 0; i < args->command->option_count; i++)
        if (strcmp(args->command->options[i].name, name) == 0)
            return true;
    return false;
}

static const char *text_of(const struct cli_args *args, const char *name)
{
    return has_option(args, name) ? cli_args_text(args, name) : NULL;
}

static int wrong(const struct cli_args *args, const char *option, const char *text,
                 const char *want)
{
    output_complain("%s: --%s: '%.80s' is %s", args->command->name, option, text, want);
    return CLI_USAGE;
}

/* CLI_DONE when it was not given either; then *ret_ns is untouched. */
static int read_time(const struct cli_args *args, const char *option, uint64_t *ret_ns)
{
    const char *text = text_of(args, option);
    if (!text || units_parse_duration(text, NS_PER_S, ret_ns))
        return CLI_DONE;
    return wrong(args, option, text, "no time: 90s, 10m, 1h30m or a number of seconds is");
}

static int read_times(const struct cli_args *args, struct lease_ask *ask)
{
    int status = read_time(args, "wait", &ask->wait_ns);
    ask->waits_for_ever = !text_of(args, "wait");
    ask->grace_ns = LEASE_ASK_GRACE_NS_DEFAULT;
    ask->is_revocable = text_of(args, "revocable") != NULL;
    if (status == CLI_DONE)
        status = read_time(args, "run", &ask->run_ns);
    if (status == CLI_DONE)
        status = read_time(args, "revocable", &ask->grace_ns);
    if (status == CLI_DONE)
        status = read_time(args, "ttl", &ask->ttl_ns);
    return status;
}

static int read_size(const struct cli_args *args, struct lease_ask *ask)
{
    const char *vram = cli_args_text(args, "vram");
    if (!vram || (units_parse_bytes(vram, &ask->vram_bytes) && ask->vram_bytes > 0))
        return CLI_DONE;
    return wrong(args, "vram", vram, "no size: 6GiB, 500MiB, 24GB or a number of bytes is");
}

/* One more than there may be is looked for, so that none is dropped in silence. */
static int read_names(const struct cli_args *args, const char *option,
                      const char *names[LEASE_ASK_NAMES_MAX], uint32_t *ret_count)
{
    const char *found[LEASE_ASK_NAMES_MAX + 1];
    *ret_count = cli_args_texts(args, option, found, LEASE_ASK_NAMES_MAX + 1);
    if (*ret_count > LEASE_ASK_NAMES_MAX)
        return wrong(args, option, found[LEASE_ASK_NAMES_MAX], "one too many: 8 can be named");
    for (uint32_t i = 0; i < *ret_count; i++)
        names[i] = found[i];
    return CLI_DONE;
}

bool lease_ask_given(const struct cli_args *args)
{
    static const char *const names[] = {"vram", "gpus", "device", "gate", "run"};
    for (uint32_t i = 0; i < args->value_count; i++)
        for (size_t k = 0; k < countof(names); k++)
            if (strcmp(args->values[i].option->name, names[k]) == 0)
                return true;
    return false;
}

static int check(const struct cli_args *args, const struct lease_ask *a)
{
    if (!a->vram_bytes && (a->gpus > 0 || a->device_count > 0)) {
        output_complain("%s: --gpus and --device belong to --vram", args->command->name);
        return CLI_USAGE;
    }
    if (!a->vram_bytes && a->gate_count == 0) {
        output_complain("%s: --vram SIZE is missing, or --gate NAME, as in `wharf %s --vram 6GiB`",
                        args->command->name, args->command->name);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

int lease_ask_read(const struct cli_args *args, struct lease_ask *ret)
{
    struct lease_ask a = {.name = text_of(args, "name"), .class = cli_args_text(args, "class")};
    int status = read_names(args, "device", a.devices, &a.device_count);
    if (status == CLI_DONE)
        status = read_names(args, "gate", a.gates, &a.gate_count);
    if (status == CLI_DONE)
        status = read_size(args, &a);
    if (status == CLI_DONE)
        status = read_times(args, &a);
    if (status == CLI_DONE && cli_args_number(args, "gpus", &a.gpus) && a.gpus == 0)
        status = wrong(args, "gpus", "0", "no number of GPUs: 1 or more is");
    if (status == CLI_DONE)
        status = check(args, &a);
    if (status == CLI_DONE)
        *ret = a;
    return status;
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
    if (!value)
        return;
    put_key(out, name);
    buf_printf(out, "%llu", (unsigned long long)value);
}

static void put_texts(struct buf *out, const char *name, const char *const *texts, uint32_t count)
{
    if (count == 0)
        return;
    put_key(out, name);
    for (uint32_t i = 0; i < count; i++) {
        buf_char(out, i ? ',' : '[');
        buf_json_text(out, texts[i]);
    }
    buf_char(out, ']');
}

/* Whole milliseconds, as text: the protocol's numbers are seconds. */
static void put_time(struct buf *out, const char *name, uint64_t ns)
{
    put_key(out, name);
    buf_printf(out, "\"%llums\"", (unsigned long long)(ns / NS_PER_MS));
}

void lease_ask_write(const struct lease_ask *ask, uint64_t waited_ns, struct buf *out)
{
    lease_ask_text(out, "name", ask->name);
    put_number(out, "vram", ask->vram_bytes);
    put_number(out, "gpus", ask->gpus);
    put_texts(out, "devices", ask->devices, ask->device_count);
    put_texts(out, "gates", ask->gates, ask->gate_count);
    lease_ask_text(out, "class", ask->class);
    if (!ask->waits_for_ever)
        put_time(out, "wait", ask->wait_ns > waited_ns ? ask->wait_ns - waited_ns : 0);
    if (ask->ttl_ns > 0)
        put_time(out, "ttl", ask->ttl_ns);
    if (ask->run_ns > 0)
        put_time(out, "run", ask->run_ns);
    if (ask->is_revocable) {
        put_key(out, "revocable");
        buf_text(out, "true");
        put_time(out, "grace", ask->grace_ns);
    }
}
