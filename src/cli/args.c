#include "args.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/nearest.h"

static const struct cli_option shared_options[] = {
    {.name = "json", .help = "Print JSON, for programs, instead of text for people."},
    {.name = "json",
     .help = "Say what there is to say as JSON, a line each, on stderr: stdout is CMD's."},
    {.name = "url",
     .kind = CLI_TEXT,
     .value = "URL",
     .env = "WHARF_URL",
     .help = "Where the daemon is: http://HOST:PORT or unix:/PATH. Without it: the socket "
             "/run/wharf/wharf.sock if it exists, else $XDG_RUNTIME_DIR/wharf/wharf.sock if that "
             "exists, else http://127.0.0.1:8080."},
    {.name = "key",
     .kind = CLI_TEXT,
     .value = "KEY",
     .env = "WHARF_KEY",
     .help = "The API key, where the daemon asks for one. Others on the machine can read a "
             "command line: the variable is the better place."},
    {.name = CLI_HELP_OPTION, .letter = 'h', .help = "Show this help."},
};

/* Which shared options a command has, by the same index; 0: all commands have it. */
static const uint32_t shared_by[] = {CLI_WITH_JSON, CLI_WITH_JSON_STDERR, CLI_WITH_DAEMON,
                                     CLI_WITH_DAEMON, 0};
_Static_assert(countof(shared_by) == countof(shared_options), "one entry an option");

const struct cli_option *cli_option_at(const struct cli_command *c, uint32_t i)
{
    if (i < c->option_count)
        return &c->options[i];
    i -= c->option_count;
    for (size_t s = 0; s < countof(shared_options); s++) {
        if (shared_by[s] && !(c->shared & shared_by[s]))
            continue;
        if (i-- == 0)
            return &shared_options[s];
    }
    return NULL;
}

const struct cli_option *cli_option_find(const struct cli_command *c, const char *name, size_t n)
{
    const struct cli_option *o;
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static const struct cli_option *find_letter(const struct cli_command *c, char letter)
{
    const struct cli_option *o;
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (o->letter && o->letter == letter)
            return o;
    return NULL;
}

/* word: with its dashes, up to its n-th byte. */
static int unknown_option(const struct cli_command *c, const char *word, size_t n, struct err *e)
{
    int dashes = word[1] == '-' ? 2 : 1;
    auto_free char *copy = alloc_text_n(word, n);
    struct nearest nearest = nearest_to(copy + dashes);
    const struct cli_option *o;
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        nearest_offer(&nearest, o->name);
    if (nearest.best)
        return err_set(e, "unknown option '%.80s'; did you mean '%.*s%s'?", copy, dashes, word,
                       nearest.best);
    return err_set(e, "unknown option '%.80s'", copy);
}

static int parse_number(const struct cli_option *o, struct cli_value *v, struct err *e)
{
    uint64_t number = 0;
    const char *p = v->text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (number > (UINT64_MAX >> 1) / 10)
            return err_set(e, "--%s: '%.40s' is too large", o->name, v->text);
        number = number * 10 + (uint64_t)(*p - '0');
    }
    if (*p || p == v->text)
        return err_set(e, "--%s: '%.40s' is not a whole number", o->name, v->text);
    v->number = number;
    return 0;
}

/* The words that Go's strconv.ParseBool takes. */
static int parse_flag(const struct cli_option *o, struct cli_value *v, struct err *e)
{
    static const char *const words[2][6] = {{"0", "f", "F", "false", "False", "FALSE"},
                                            {"1", "t", "T", "true", "True", "TRUE"}};
    v->number = 1;
    if (!v->text)
        return 0;
    for (size_t i = 0; i < countof(words[0]); i++) {
        v->number = strcmp(v->text, words[1][i]) == 0;
        if (v->number || strcmp(v->text, words[0][i]) == 0)
            return 0;
    }
    return err_set(e, "--%s: '%.40s' is neither true nor false", o->name, v->text);
}

/* text: the value, or NULL when there is none. */
static int add_value(struct cli_args *a, const struct cli_option *o, const char *text,
                     struct err *e)
{
    struct cli_value v = {.option = o, .text = text};
    enum cli_style style = a->command->style;
    if (o->kind == CLI_FLAG && text && style == CLI_LETTERS)
        return err_set(e, "--%s takes no value", o->name);
    if (o->kind != CLI_FLAG && (!text || (!*text && style != CLI_GO)))
        return err_set(e, "--%s needs a value: --%s %s", o->name, o->name, o->value);
    if (o->kind == CLI_NUMBER && parse_number(o, &v, e) < 0)
        return -1;
    if (o->kind == CLI_FLAG && parse_flag(o, &v, e) < 0)
        return -1;
    if (strcmp(o->name, CLI_HELP_OPTION) == 0)
        a->wants_help = v.number;
    a->values[a->value_count++] = v;
    return 0;
}

/* The bytes of an option's name, behind its dashes. */
static size_t name_length(const char *name)
{
    return strcspn(name, "=");
}

/* What one dash stands before: a letter or a long option. */
static const struct cli_option *find_word(const struct cli_command *c, const char *name)
{
    size_t n = name_length(name);
    return n == 1 ? find_letter(c, *name) : cli_option_find(c, name, n);
}

/* One that looks like an option is a value forgotten, which a value that really looks so can say by
 * "--opt=--value". */
static bool is_option(const struct cli_command *c, const char *arg)
{
    return strncmp(arg, "--", 2) == 0 ||
           (c->style != CLI_LETTERS && arg[0] == '-' && find_word(c, arg + 1) != NULL);
}

/* The next argument as a value. */
static const char *next_value(const struct cli_command *c, const struct cli_option *o, int argc,
                              char *const *argv, int *at)
{
    if (o->kind == CLI_FLAG || *at + 1 >= argc || is_option(c, argv[*at + 1]))
        return NULL;
    return argv[++*at];
}

/* "--opt", and "-opt" and "-o" where one dash is as good as two. */
static int parse_long(struct cli_args *a, int argc, char *const *argv, int *at, struct err *e)
{
    const char *word = argv[*at];
    const char *name = word + (word[1] == '-' ? 2 : 1);
    size_t n = name_length(name);
    const struct cli_option *o =
        word[1] == '-' ? cli_option_find(a->command, name, n) : find_word(a->command, name);
    if (!o)
        return unknown_option(a->command, word, (size_t)(name - word) + n, e);
    const char *value = name[n] == '=' ? name + n + 1 : next_value(a->command, o, argc, argv, at);
    return add_value(a, o, value, e);
}

/* "-f", "-fx" (f a flag), "-n5" and "-n 5" (n with a value). */
static int parse_letters(struct cli_args *a, int argc, char *const *argv, int *at, struct err *e)
{
    const char *word = argv[*at] + 1;
    size_t n = name_length(word);
    if (n > 1 && cli_option_find(a->command, word, n))
        return err_set(e, "'-%.*s' needs two dashes: --%.*s", (int)n, word, (int)n, word);
    for (const char *p = word; *p && !a->wants_help; p++) {
        const struct cli_option *o = find_letter(a->command, *p);
        if (!o)
            return err_set(e, "unknown option '-%c'", *p);
        if (o->kind != CLI_FLAG)
            return add_value(a, o, p[1] ? p + 1 : next_value(a->command, o, argc, argv, at), e);
        if (add_value(a, o, NULL, e) < 0)
            return -1;
    }
    return 0;
}

static int add_operand(struct cli_args *a, const char *text, struct err *e)
{
    const struct cli_command *c = a->command;
    if (a->operand_count >= c->operands_max && !c->operand)
        return err_set(e, "unexpected '%.80s': it takes options only", text);
    if (a->operand_count >= c->operands_max)
        return err_set(e, "unexpected '%.80s': it takes %s%s", text,
                       c->operands_max == 1 ? "one " : "", c->operand);
    a->operands[a->operand_count++] = text;
    return 0;
}

static int check_complete(const struct cli_args *a, struct err *e)
{
    const struct cli_command *c = a->command;
    const struct cli_option *o;
    if (a->operand_count < c->operands_min)
        return err_set(e, "%s is missing, as in `%s`", c->operand, c->examples[0].command);
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (o->is_required && !cli_args_text(a, o->name))
            return err_set(e, "--%s %s is missing, as in `%s`", o->name, o->value,
                           c->examples[0].command);
    return 0;
}

int cli_args_parse(const struct cli_command *c, int argc, char *const *argv, struct cli_args *ret,
                   struct err *e)
{
    bool options_ended = false;
    /* A cluster of letters can hold more flags than there are arguments. */
    size_t values_max = 0;
    for (int i = 0; i < argc; i++)
        values_max += strlen(argv[i]);
    *ret = (struct cli_args){.command = c};
    ret->values = alloc_zeroed(values_max + 1, sizeof(*ret->values));
    ret->operands = alloc_zeroed((size_t)argc + 1, sizeof(*ret->operands));
    for (int i = 0; i < argc && !ret->wants_help; i++) {
        const char *arg = argv[i];
        bool operand = options_ended || arg[0] != '-' || arg[1] == '\0';
        int rc = 0;
        if (operand && c->style == CLI_GO)
            break;
        options_ended = options_ended || (operand && c->first_operand_ends);
        if (operand)
            rc = add_operand(ret, arg, e);
        else if (strcmp(arg, "--") == 0)
            options_ended = true;
        else if (arg[1] == '-' || c->style != CLI_LETTERS)
            rc = parse_long(ret, argc, argv, &i, e);
        else
            rc = parse_letters(ret, argc, argv, &i, e);
        if (rc < 0)
            return -1;
    }
    return ret->wants_help ? 0 : check_complete(ret, e);
}

void cli_args_fini(struct cli_args *args)
{
    free(args->values);
    free(args->operands);
    *args = (struct cli_args){.command = NULL};
}

/* The last value given, or NULL. */
static const struct cli_value *find_value(const struct cli_args *args, const char *name,
                                          const struct cli_option **ret_option)
{
    const struct cli_option *o = cli_option_find(args->command, name, strlen(name));
    must(o);
    *ret_option = o;
    for (uint32_t i = args->value_count; i > 0; i--)
        if (args->values[i - 1].option == o)
            return &args->values[i - 1];
    return NULL;
}

bool cli_args_flag(const struct cli_args *args, const char *name)
{
    const struct cli_option *o;
    const struct cli_value *v = find_value(args, name, &o);
    return v && v->number;
}

const char *cli_args_text(const struct cli_args *args, const char *name)
{
    const struct cli_option *o;
    const struct cli_value *v = find_value(args, name, &o);
    const char *text = v ? v->text : o->env ? getenv(o->env) : NULL;
    return text && *text ? text : NULL;
}

bool cli_args_number(const struct cli_args *args, const char *name, uint64_t *ret)
{
    const struct cli_option *o;
    const struct cli_value *v = find_value(args, name, &o);
    if (v)
        *ret = v->number;
    return v != NULL;
}

uint32_t cli_args_texts(const struct cli_args *args, const char *name, const char **out,
                        uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < args->value_count && count < max; i++) {
        const struct cli_value *v = &args->values[i];
        if (strcmp(v->option->name, name) != 0)
            continue;
        if (!v->option->repeats)
            count = 0;
        if (*v->text)
            out[count++] = v->text;
    }
    return count;
}

bool cli_args_wants_json(const struct cli_command *c, const struct cli_args *args, int argc,
                         char *const *argv)
{
    if (c && !(c->shared & (CLI_WITH_JSON | CLI_WITH_JSON_STDERR)))
        return false;
    if (c && (cli_args_flag(args, "json") || args->operand_count > 0))
        return cli_args_flag(args, "json");
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}
