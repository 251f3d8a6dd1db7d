#include "flags.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/units.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_SIZE, KIND_SPAN, KIND_SWITCH, KIND_EXIT };

struct row {
    const char *name, *fallback, *operand, *help;
    enum kind kind;
    size_t offset;
};

static const struct row rows[] = {
#define FLAG(field, kind, name, fallback, operand, help)                                           \
    {name, fallback, operand, help, KIND_##kind, offsetof(struct flags, field)},
#include "flags.def"
#undef FLAG
};

static bool parse_number(const char *text, uint64_t *ret)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0' &&
           units_parse_bytes(text, ret);
}

/* "0" needs no unit; any other bare number would be a guess between seconds and milliseconds. */
static bool parse_span(const char *text, uint64_t *ret)
{
    if (strcmp(text, "0") != 0)
        return units_parse_duration(text, 0, ret);
    *ret = 0;
    return true;
}

static bool parse_exit(const char *text, uint64_t *ret)
{
    uint64_t code;
    if (strcmp(text, "off") == 0) {
        *ret = FLAGS_EXIT_OFF;
        return true;
    }
    if (!parse_number(text, &code) || code > 255)
        return false;
    *ret = FLAGS_EXIT_CODE + code;
    return true;
}

/* text: NULL for a switch, or for EXIT without a code. */
static bool set_value(struct flags *f, const struct row *row, const char *text)
{
    void *at = (char *)f + row->offset;
    switch (row->kind) {
    case KIND_TEXT:
        *(const char **)at = text;
        return true;
    case KIND_NUMBER:
        return parse_number(text, at);
    case KIND_SIZE:
        return units_parse_bytes(text, at);
    case KIND_SPAN:
        return parse_span(text, at);
    case KIND_SWITCH:
        *(bool *)at = true;
        return true;
    case KIND_EXIT:
        if (text)
            return parse_exit(text, at);
        *(uint64_t *)at = FLAGS_EXIT_ABORT;
        return true;
    }
    never("kind of flag");
}

static const struct row *find_row(const char *name, size_t n)
{
    for (size_t i = 0; i < countof(rows); i++)
        if (strlen(rows[i].name) == n && memcmp(rows[i].name, name, n) == 0)
            return &rows[i];
    return NULL;
}

static void set_defaults(struct flags *f)
{
    for (size_t i = 0; i < countof(rows); i++)
        if (rows[i].fallback)
            must(set_value(f, &rows[i], rows[i].fallback));
    const char *folder = getenv("WHARF_SIM_FOLDER");
    if (folder)
        f->gpu_folder = folder;
}

/* Sets the flag at argv[*i] and leaves *i at its last word. */
static int parse_one(struct flags *f, const struct row **ret_row, char **argv, int *i,
                     struct err *err)
{
    const char *word = argv[*i];
    size_t n = strcspn(word, "=");
    const struct row *row = strncmp(word, "--", 2) == 0 ? find_row(word + 2, n - 2) : NULL;
    if (!row)
        return err_set(err, "unknown argument '%s'; --help lists the flags", word);
    const char *value = word[n] == '=' ? word + n + 1 : NULL;
    bool optional = row->kind == KIND_SWITCH || row->kind == KIND_EXIT;
    if (row->kind == KIND_SWITCH && value)
        return err_set(err, "--%s takes no value", row->name);
    if (!optional && !value)
        value = argv[++*i];
    if (!optional && !value)
        return err_set(err, "--%s needs a value: %s", row->name, row->operand);
    if (!set_value(f, row, value))
        return err_set(err, "--%s: '%s' is no %s", row->name, value, row->operand);
    *ret_row = row;
    return 0;
}

int flags_parse(struct flags *ret, int argc, char **argv, struct err *err)
{
    struct flags f = {0};
    bool port_given = false;
    set_defaults(&f);
    for (int i = 1; i < argc; i++) {
        const struct row *row = NULL;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            ret->help = true;
            return 0;
        }
        if (parse_one(&f, &row, argv, &i, err) != 0)
            return -1;
        must(row);
        port_given = port_given || row->offset == offsetof(struct flags, port);
    }
    if (!port_given && !f.worker[0])
        return err_set(err, "--port is needed");
    if (f.port > 65535)
        return err_set(err, "--port: at most 65535");
    if (f.connections == 0 || f.connections > 65536)
        return err_set(err, "--connections: between 1 and 65536");
    *ret = f;
    return 0;
}

void flags_print_help(FILE *out)
{
    fputs(
        "usage: wharf-demo-model --port N [flag ...]\n\n"
        "Stands in for an inference engine: loads, claims memory on a simulated GPU, answers the\n"
        "usual endpoints with echoes of the prompt, and misbehaves as told.\n\n",
        out);
    for (size_t i = 0; i < countof(rows); i++) {
        const struct row *row = &rows[i];
        char head[48];
        snprintf(head, sizeof(head), "--%s%s%s%s", row->name,
                 row->kind == KIND_EXIT ? "[="
                 : row->operand         ? " "
                                        : "",
                 row->operand ? row->operand : "", row->kind == KIND_EXIT ? "]" : "");
        bool shown = row->fallback && row->fallback[0] && strcmp(row->fallback, "0") != 0 &&
                     row->kind != KIND_EXIT;
        fprintf(out, "  %-26s %s%s%s%s\n", head, row->help, shown ? " [" : "",
                shown ? row->fallback : "", shown ? "]" : "");
    }
}
