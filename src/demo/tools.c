#include "tools.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct message {
    const char *const *words;
    uint32_t count;
};

/* In OpenAI's chat completions, the function within the tool; elsewhere the tool itself. */
static const json_t *find_function(const json_t *tool)
{
    const json_t *function = json_object_get(tool, "function");
    return function ? function : tool;
}

static const char *name_of(const json_t *tool)
{
    return json_string_value(json_object_get(find_function(tool), "name"));
}

static const json_t *schema_of(const json_t *tool)
{
    const json_t *parameters = json_object_get(find_function(tool), "parameters");
    return parameters ? parameters : json_object_get(tool, "input_schema");
}

static bool says_word(const struct message *m, const char *name)
{
    size_t n = strlen(name);
    for (uint32_t i = 0; i < m->count; i++) {
        const char *word = m->words[i];
        if (strncmp(word, name, n) == 0 && !isalnum((unsigned char)word[n]) && word[n] != '_')
            return true;
    }
    return false;
}

static const char *type_of(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    const char *text = json_string_value(json_is_array(type) ? json_array_get(type, 0) : type);
    return text ? text : "string";
}

static json_t *make_value(const json_t *schema, const struct message *m);

static json_t *make_object(const json_t *schema, const struct message *m)
{
    json_t *made = json_object(), *properties = json_object_get(schema, "properties"), *property;
    const char *name;
    json_object_foreach(properties, name, property)
    {
        json_object_set_new(made, name, make_value(property, m));
    }
    return made;
}

static json_t *make_value(const json_t *schema, const struct message *m)
{
    const char *type = type_of(schema);
    const json_t *first = json_array_get(json_object_get(schema, "enum"), 0);
    if (first)
        return json_deep_copy(first);
    if (strcmp(type, "object") == 0)
        return make_object(schema, m);
    if (strcmp(type, "array") == 0)
        return json_pack("[o]", make_value(json_object_get(schema, "items"), m));
    if (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0)
        return json_integer(m->count);
    if (strcmp(type, "boolean") == 0)
        return json_true();
    return json_string(m->count ? m->words[m->count - 1] : "");
}

static void add_call(struct tool_calls *t, const json_t *tool, const struct message *m)
{
    json_t *arguments = make_object(schema_of(tool), m);
    t->calls = alloc_grow(t->calls, t->count + 1, sizeof(*t->calls));
    t->calls[t->count++] =
        (struct tool_call){.name = name_of(tool), .arguments = json_dumps(arguments, 0)};
    json_decref(arguments);
}

/* The choice as a word; ret_name: the tool that it names, or NULL. */
static const char *read_choice(const json_t *request, const char **ret_name)
{
    const json_t *choice = json_object_get(request, "tool_choice");
    const char *word =
        json_string_value(json_is_object(choice) ? json_object_get(choice, "type") : choice);
    *ret_name = json_is_object(choice) ? name_of(choice) : NULL;
    return word ? word : "auto";
}

void tools_plan(const json_t *request, const char *const *words, uint32_t word_count,
                struct tool_calls *ret)
{
    const struct message m = {words, word_count};
    const json_t *tool, *tools = json_object_get(request, "tools");
    const char *named, *choice = read_choice(request, &named);
    bool any = strcmp(choice, "required") == 0 || strcmp(choice, "any") == 0;
    size_t i;
    *ret = (struct tool_calls){0};
    if (strcmp(choice, "none") == 0)
        return;
    json_array_foreach(tools, i, tool)
    {
        const char *name = name_of(tool);
        if (name && (named ? strcmp(name, named) == 0 : says_word(&m, name)))
            add_call(ret, tool, &m);
    }
    if (any && ret->count == 0 && name_of(json_array_get(tools, 0)))
        add_call(ret, json_array_get(tools, 0), &m);
}

void tools_fini(struct tool_calls *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        free(t->calls[i].arguments);
        buf_fini(&t->calls[i].said);
    }
    free(t->calls);
}

/* A token ends behind a blank. */
static size_t token_bytes(const char *text)
{
    size_t n = strcspn(text, " ");
    return n + strspn(text + n, " ");
}

uint32_t tools_count_tokens(const struct tool_calls *t)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->count; i++)
        for (const char *at = t->calls[i].arguments; *at; at += token_bytes(at))
            count++;
    return count;
}

char *tools_say_token(struct tool_calls *t)
{
    struct tool_call *call = &t->calls[t->now];
    const char *at = call->arguments + call->said.len;
    char *token = alloc_text_n(at, token_bytes(at));
    buf_text(&call->said, token);
    t->now += tools_all_said(call);
    return token;
}

bool tools_all_said(const struct tool_call *call)
{
    return call->said.len == strlen(call->arguments);
}
