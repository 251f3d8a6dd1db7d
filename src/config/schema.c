#include "config/schema.h"

#include <stdlib.h>
#include <string.h>

#include "config/settings.h"

/* Beyond it, not every reader of JSON has whole numbers. */
#define EXACT_MAX (INT64_C(1) << 53)

/* Any scalar is a text; a macro may stand for any value. */
#define SCALAR "{\"type\":[\"string\",\"number\",\"boolean\",\"null\"]}"
#define MACRO "{\"type\":\"string\",\"pattern\":\"\\\\$\\\\{\"}"
#define NOTHING "{\"type\":\"null\"}"
#define SIZE "{\"type\":\"string\",\"pattern\":\"^[0-9.]+ *([kKmMgGtT]i?)?[bB]?$\"}"
#define DURATION "{\"type\":\"string\",\"pattern\":\"^[0-9.]+[a-z]+([0-9.]+[a-z]+)*$\"}"

/* A scope's name in references: its path, without what a URI would have to escape. */
static void write_name(struct buf *out, enum scope scope)
{
    for (const char *p = setting_scope_path(scope); *p; p++)
        if (!strchr("[]", *p))
            buf_char(out, *p);
}

static void write_reference(struct buf *out, enum scope scope)
{
    buf_text(out, "{\"$ref\":\"#/definitions/");
    write_name(out, scope);
    buf_text(out, "\"}");
}

/* The bounds of a whole number. */
static void write_number(struct buf *out, const struct setting *s)
{
    bool counts = s->type == TYPE_COUNT || s->type == TYPE_COUNTS;
    int64_t min = s->low == LOW_MINUS_1 ? -1 : s->type == TYPE_VRAM ? 0 : s->min;
    buf_text(out, "{\"type\":\"number\"");
    if ((s->low == LOW_REFUSED || s->low == LOW_MINUS_1) && min > -EXACT_MAX)
        buf_printf(out, ",\"minimum\":%lld", (long long)min);
    if (counts && s->max < EXACT_MAX)
        buf_printf(out, ",\"maximum\":%lld", (long long)s->max);
    buf_char(out, '}');
}

/* A time with a bare number that means seconds, or none but 0. */
static void write_duration(struct buf *out, const struct setting *s)
{
    static const char *const bare[] = {
        [LOW_REFUSED] = "{\"type\":\"number\",\"minimum\":0}",
        [LOW_RAISED] = "{\"type\":\"number\"}",
        [LOW_UNSET] = "{\"type\":\"number\",\"minimum\":0}",
        [LOW_ZERO_UNSET] = "{\"type\":\"number\",\"minimum\":0}",
        [LOW_MINUS_1] = "{\"type\":\"number\",\"minimum\":-1}",
    };
    buf_text(out, DURATION ",");
    buf_text(out, s->type == TYPE_SECONDS ? bare[s->low] : "{\"const\":0}");
    if (s->type == TYPE_WAIT)
        buf_text(out, ",{\"const\":\"never\"}");
}

static void write_choice(struct buf *out, const struct setting *s)
{
    buf_text(out, "{\"enum\":[\"\"");
    for (uint32_t i = 0; s->words[i]; i++) {
        buf_char(out, ',');
        buf_json_text(out, s->words[i]);
    }
    buf_text(out, "]}");
}

/* Mappings and lists of mappings. */
static void write_inner(struct buf *out, const struct setting *s)
{
    if (s->type == TYPE_MAPS)
        buf_text(out, "{\"type\":\"object\",\"additionalProperties\":");
    else if (s->type == TYPE_LIST)
        buf_text(out, "{\"type\":\"array\",\"items\":");
    write_reference(out, s->inner);
    if (s->type != TYPE_MAP)
        buf_char(out, '}');
}

/* In place of the mappings there may be one word. */
static void write_nested(struct buf *out, const struct setting *s)
{
    if (s->words) {
        write_choice(out, s);
        buf_char(out, ',');
    }
    write_inner(out, s);
}

static void write_amount(struct buf *out, const struct setting *s)
{
    if (s->type == TYPE_COUNTS)
        buf_text(out, "{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[" NOTHING "," MACRO
                      ",");
    write_number(out, s);
    if (s->type == TYPE_COUNTS)
        buf_text(out, "]}}");
    else if (s->type != TYPE_COUNT)
        buf_text(out, "," SIZE);
    if (s->type == TYPE_VRAM)
        buf_text(out, ",{\"const\":\"auto\"}");
}

/* The forms that a value may have, with commas between them; nothing and macros come on top. */
static void write_forms(struct buf *out, const struct setting *s)
{
    static const char *const fixed[] = {
        [TYPE_BOOL] = "{\"type\":\"boolean\"},"
                      "{\"enum\":[\"y\",\"Y\",\"yes\",\"on\",\"n\",\"N\",\"no\",\"off\"]}",
        [TYPE_SHARE] = "{\"type\":\"number\",\"exclusiveMinimum\":0,\"maximum\":1},"
                       "{\"type\":\"string\",\"pattern\":\"^[0-9.]+%?$\"}",
        [TYPE_TEXT] = SCALAR,
        [TYPE_TRIMMED] = SCALAR,
        [TYPE_EACH_TEXT] = SCALAR,
        [TYPE_ONE_OR_MORE] = SCALAR ",{\"type\":\"array\",\"items\":" SCALAR "}",
        [TYPE_EACH_TEXTS] = SCALAR ",{\"type\":\"array\",\"items\":" SCALAR "}",
        [TYPE_TEXTS] = "{\"type\":\"array\",\"items\":" SCALAR "}",
        [TYPE_PAIRS] = "{\"type\":\"object\",\"additionalProperties\":" SCALAR "}",
        [TYPE_MACROS] = "{\"type\":\"object\",\"additionalProperties\":{\"type\":[\"string\","
                        "\"number\",\"boolean\"]}}",
        [TYPE_ANY] = "{\"type\":\"object\"}",
        [TYPE_EACH_ANY] = "{\"type\":\"object\",\"additionalProperties\":{\"type\":[\"object\","
                          "\"null\"]}}",
    };
    if (fixed[s->type])
        buf_text(out, fixed[s->type]);
    else if (s->inner != SCOPE_NONE)
        write_nested(out, s);
    else if (s->type == TYPE_CHOICE)
        write_choice(out, s);
    else if (s->type == TYPE_DURATION || s->type == TYPE_SECONDS || s->type == TYPE_WAIT)
        write_duration(out, s);
    else
        write_amount(out, s);
}

static bool takes_macros(const struct setting *s)
{
    return s->type < TYPE_TEXT || s->type == TYPE_VRAM || s->type == TYPE_MEGABYTES;
}

static void write_default(struct buf *out, const struct setting *s)
{
    if (*s->def == '\0' || s->type == TYPE_TEXTS)
        return;
    buf_text(out, ",\"default\":");
    if (s->type == TYPE_BOOL || s->type == TYPE_COUNT)
        buf_text(out, s->def);
    else
        buf_json_text(out, s->def);
}

static void write_setting(struct buf *out, const struct setting *s)
{
    buf_text(out, "{\"description\":");
    buf_json_text(out, s->doc);
    write_default(out, s);
    buf_text(out, ",\"anyOf\":[" NOTHING ",");
    buf_text(out, takes_macros(s) ? MACRO "," : "");
    write_forms(out, s);
    buf_text(out, "]}");
}

static void write_scope(struct buf *out, enum scope scope)
{
    uint32_t first = setting_first(scope), end = setting_end(scope);
    buf_text(out, "\"type\":[\"object\",\"null\"],");
    if (setting_takes_names(scope)) {
        buf_text(out, "\"additionalProperties\":");
        write_setting(out, &settings[first]);
        return;
    }
    buf_text(out, "\"properties\":{");
    for (uint32_t i = first; i < end; i++) {
        buf_text(out, i > first ? ",\n" : "\n");
        buf_json_text(out, settings[i].key);
        buf_char(out, ':');
        write_setting(out, &settings[i]);
    }
    buf_char(out, '}');
}

void config_schema(struct buf *out)
{
    buf_text(out, "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\n"
                  "\"title\":\"The configuration of wharf\",\n\"definitions\":{");
    for (uint32_t scope = SCOPE_ROOT + 1; scope < SCOPE_COUNT; scope++) {
        buf_text(out, scope > SCOPE_ROOT + 1 ? ",\n\"" : "\n\"");
        write_name(out, (enum scope)scope);
        buf_text(out, "\":{");
        write_scope(out, (enum scope)scope);
        buf_char(out, '}');
    }
    buf_text(out, "},\n");
    write_scope(out, SCOPE_ROOT);
    buf_text(out, "}\n");
}
