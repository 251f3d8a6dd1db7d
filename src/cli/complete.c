#include "complete.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"

/* Stand where the word being typed stands: how the command's own parser takes them says what that
 * word may be. The first is a value of any kind, the second an option wherever there may be one. */
static char as_value[] = "0", as_option[] = "--" CLI_HELP_OPTION;

/* What the word that is being typed can be. */
struct place {
    struct cli_args args;           /* of the words before it, up to the first that is wrong */
    const struct cli_option *value; /* whose value it is, or NULL */
    bool may_be_option;
    bool is_operand;
    uint32_t operand; /* its index, where it is one */
};

static void offer_word(const struct offers *to, const char *prefix, const char *text,
                       const char *about)
{
    auto_free char *whole = alloc_printf("%s%s", prefix, text);
    const struct offer offer = {.kind = OFFER_WORD, .text = whole, .about = about};
    to->take(to->arg, &offer);
}

static void offer_kind(const struct offers *to, enum offer_kind kind)
{
    const struct offer offer = {.kind = kind};
    to->take(to->arg, &offer);
}

/* words: parted by spaces. */
static void offer_list(const struct offers *to, const char *prefix, const char *words)
{
    for (const char *w = words + strspn(words, " "); *w; w += strspn(w, " ")) {
        size_t n = strcspn(w, " ");
        auto_free char *word = alloc_text_n(w, n);
        offer_word(to, prefix, word, NULL);
        w += n;
    }
}

static void offer_commands(const struct offers *to)
{
    for (uint32_t i = 0; i < cli_command_count; i++)
        offer_word(to, "", cli_commands[i]->name, cli_commands[i]->summary);
}

/* --- where the word stands --- */

/* The words with another one in place of the last. What is wrong with them is no concern: the line
 * is not finished. */
static void parse_with(const struct cli_command *c, char *const *words, uint32_t count, char *last,
                       struct cli_args *ret)
{
    struct err e = {.set = false};
    char **argv = alloc_zeroed(count, sizeof(*argv));
    for (uint32_t i = 0; i + 1 < count; i++)
        argv[i] = words[i];
    argv[count - 1] = last;
    (void)!cli_args_parse(c, (int)count, argv, ret, &e);
    free(argv);
}

/* words: behind the command's name. Give *ret's args to cli_args_fini. */
static void find_place(const struct cli_command *c, char *const *words, uint32_t count,
                       struct place *ret)
{
    struct place p = {.value = NULL};
    struct cli_args with_option;
    parse_with(c, words, count, as_option, &with_option);
    parse_with(c, words, count, as_value, &p.args);
    p.may_be_option = with_option.wants_help && !p.args.wants_help;
    cli_args_fini(&with_option);
    for (uint32_t i = 0; i < p.args.value_count; i++)
        if (p.args.values[i].text == as_value)
            p.value = p.args.values[i].option;
    for (uint32_t i = 0; i < p.args.operand_count; i++) {
        if (p.args.operands[i] != as_value)
            continue;
        p.is_operand = true;
        p.operand = i;
    }
    *ret = p;
}

/* --- what there is for it --- */

/* before: the operand before, or NULL. */
static void offer_values(const struct place *p, enum cli_takes takes, const char *words,
                         const char *prefix, const struct offers *to)
{
    bool has_before = p->is_operand && p->operand > 0;
    switch (takes) {
    case CLI_A_TEXT:
    case CLI_A_SIZE:
    case CLI_A_TIME:
    case CLI_A_PROGRAM:
        return;
    case CLI_A_WORD:
        offer_list(to, prefix, words);
        return;
    case CLI_A_FILE:
        offer_kind(to, OFFER_FILE);
        return;
    case CLI_A_FOLDER:
        offer_kind(to, OFFER_FOLDER);
        return;
    case CLI_A_COMMAND:
        offer_commands(to);
        return;
    case CLI_A_JOB:
    case CLI_A_MODEL:
    case CLI_A_PLACE:
    case CLI_A_DEVICE:
    case CLI_A_GATE:
    case CLI_A_MODE:
    case CLI_A_LEASE:
        complete_names(&p->args, takes, has_before ? p->args.operands[p->operand - 1] : NULL,
                       prefix, to);
        return;
    }
}

static bool was_given(const struct cli_args *args, const struct cli_option *o)
{
    for (uint32_t i = 0; i < args->value_count; i++)
        if (args->values[i].option == o)
            return true;
    return false;
}

/* typed: what there is of the word, by which it is known how many dashes its writer uses. */
static void offer_options(const struct place *p, const char *typed, const struct offers *to)
{
    const struct cli_option *o;
    const struct cli_command *c = p->args.command;
    bool is_short = c->style != CLI_LETTERS && typed[0] == '-' && typed[1] != '-' && typed[1];
    for (uint32_t i = 0; (o = cli_option_at(c, i)) != NULL; i++)
        if (o->repeats || !was_given(&p->args, o))
            offer_word(to, is_short ? "-" : "--", o->name, o->help);
}

/* "--option=value": the value of one that is named before the sign. False: it is no such word. */
static bool offer_joined(const struct place *p, const char *typed, const struct offers *to)
{
    const struct cli_command *c = p->args.command;
    const char *sign = strchr(typed, '=');
    const char *name = typed + (typed[1] == '-' ? 2 : 1);
    if (!sign || (typed[1] != '-' && c->style == CLI_LETTERS))
        return false;
    auto_free char *prefix = alloc_text_n(typed, (size_t)(sign + 1 - typed));
    const struct cli_option *o = cli_option_find(c, name, (size_t)(sign - name));
    if (o && o->kind != CLI_FLAG)
        offer_values(p, o->takes, o->words, prefix, to);
    else if (o && c->style != CLI_LETTERS)
        offer_list(to, prefix, "true false");
    return true;
}

static void offer_operand(const struct place *p, const struct offers *to)
{
    const struct cli_command *c = p->args.command;
    if (p->operand >= CLI_OPERANDS_TOLD)
        return;
    if (p->operand == 1 && c->second_after && strcmp(p->args.operands[0], c->second_after) != 0)
        return;
    offer_values(p, c->operand_takes[p->operand], c->operand_words, "", to);
}

/* The command of the user's begins where the parser saw the first operand. True if there is one. */
static bool offer_program(const struct place *p, char *const *words, uint32_t count,
                          const struct offers *to)
{
    const struct cli_args *args = &p->args;
    if (!p->is_operand || args->command->operand_takes[0] != CLI_A_PROGRAM)
        return false;
    struct offer offer = {.kind = OFFER_PROGRAM, .word = count - 1};
    for (uint32_t i = 0; p->operand > 0 && i < count; i++)
        if (words[i] == args->operands[0])
            offer.word = i;
    offer.word++; /* the command of wharf's */
    to->take(to->arg, &offer);
    return true;
}

static void complete_arguments(const struct cli_command *c, char *const *words, uint32_t count,
                               const struct offers *to)
{
    struct place p;
    const char *typed = words[count - 1];
    find_place(c, words, count, &p);
    bool is_option = p.may_be_option && typed[0] == '-';
    bool has_operand = p.is_operand && c->operand;
    if (p.value)
        offer_values(&p, p.value->takes, p.value->words, "", to);
    else if (is_option ? !offer_joined(&p, typed, to) : !has_operand && p.may_be_option && !*typed)
        offer_options(&p, typed, to);
    else if (!is_option && has_operand && !offer_program(&p, words, count, to))
        offer_operand(&p, to);
    cli_args_fini(&p.args);
}

void complete_words(char *const *words, uint32_t count, const struct offers *to)
{
    must(count > 0);
    const struct cli_command *c = count > 1 ? cli_command_find(words[0]) : NULL;
    if (count == 1)
        offer_commands(to);
    else if (c)
        complete_arguments(c, words + 1, count - 1, to);
}
