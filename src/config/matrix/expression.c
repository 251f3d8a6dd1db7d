#include "config/matrix/expression.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

/* Parentheses are read by recursion. */
#define DEPTH_MAX 100
/* What a token costs of the budget: it is memory. */
#define TOKEN_STEPS 128
#define TOO_LONG "the expressions are too long"

enum token_kind { TOKEN_NAME, TOKEN_REF, TOKEN_AND, TOKEN_OR, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END };

struct token {
    enum token_kind kind;
    uint32_t length;
    const char *text; /* of NAME and REF: the name */
};

struct parser {
    struct arena *arena;
    struct family_budget *budget;
    struct token *tokens; /* owned; an END follows the last */
    uint32_t count, room, at, depth;
    struct expression *out;
    const char *problem; /* the first one */
};

uint32_t expression_next_rune(const char **p)
{
    static const uint8_t masks[] = {0x7f, 0x1f, 0x0f, 0x07};
    unsigned char first = (unsigned char)**p;
    uint32_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    uint32_t rune = first & (first < 0x80 ? 0x7f : masks[more]);
    if (first == 0)
        return 0;
    (*p)++;
    for (; more && ((unsigned char)**p & 0xc0) == 0x80; more--)
        rune = rune << 6 | ((unsigned char)*(*p)++ & 0x3f);
    return rune;
}

struct range {
    uint32_t first, last;
};

static bool within(uint32_t rune, const struct range *ranges, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rune >= ranges[i].first && rune <= ranges[i].last)
            return true;
    return false;
}

/* Unicode's White_Space, as Go's unicode.IsSpace. */
static bool is_space(uint32_t rune)
{
    static const struct range spaces[] = {
        {0x09, 0x0d},     {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},     {0x1680, 0x1680},
        {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
    };
    return within(rune, spaces, countof(spaces));
}

bool expression_is_name_char(uint32_t rune)
{
    /* Controls, punctuation, symbols, pictures and what is for private use. */
    static const struct range others[] = {
        {0x80, 0xa9},          {0xab, 0xb4},     {0xb6, 0xb9},     {0xbb, 0xbf},
        {0xd7, 0xd7},          {0xf7, 0xf7},     {0x1680, 0x1680}, {0x2000, 0x206f},
        {0x20a0, 0x20cf},      {0x2190, 0x2bff}, {0x3000, 0x3004}, {0x3008, 0x3020},
        {0xd800, 0xf8ff},      {0xfe10, 0xfe6f}, {0xfeff, 0xff0f}, {0xff1a, 0xff20},
        {0xff3b, 0xff40},      {0xff5b, 0xff65}, {0xffe0, 0xffff}, {0x1f000, 0x1faff},
        {0xe0000, 0x7fffffff},
    };
    if (rune >= 0x80)
        return !within(rune, others, countof(others));
    return (rune >= '0' && rune <= '9') || (rune >= 'A' && rune <= 'Z') ||
           (rune >= 'a' && rune <= 'z') || rune == '_' || rune == '-' || rune == '.';
}

static void complain(struct parser *p, const char *problem)
{
    if (!p->problem)
        p->problem = problem;
}

static void add_token(struct parser *p, enum token_kind kind, const char *text, size_t length)
{
    if (!family_spend(p->budget, TOKEN_STEPS)) {
        complain(p, TOO_LONG);
        return;
    }
    if (p->count == p->room) {
        p->room = p->room ? p->room * 2 : 16;
        p->tokens = alloc_grow(p->tokens, p->room, sizeof(*p->tokens));
    }
    p->tokens[p->count++] = (struct token){.kind = kind, .length = (uint32_t)length, .text = text};
}

/* The end of the name that starts here; *position counts its characters. */
static const char *name_end(const char *text, uint32_t *position)
{
    const char *next = text;
    while (expression_is_name_char(expression_next_rune(&next))) {
        text = next;
        *position += 1;
    }
    return text;
}

/* One token; blanks are none. Returns what stands behind it. */
static const char *read_token(struct parser *p, const char *text, uint32_t *position)
{
    static const char marks[] = "&|()";
    static const enum token_kind kinds[] = {TOKEN_AND, TOKEN_OR, TOKEN_OPEN, TOKEN_CLOSE};
    const char *next = text;
    uint32_t rune = expression_next_rune(&next), start = *position;
    const char *mark = rune < 0x80 ? strchr(marks, (int)rune) : NULL;
    if (is_space(rune) || mark || rune == '+')
        *position += 1;
    if (mark)
        add_token(p, kinds[mark - marks], text, 1);
    if (is_space(rune) || mark)
        return next;
    const char *name = rune == '+' ? next : text, *end = name_end(name, position);
    if (end > name)
        add_token(p, rune == '+' ? TOKEN_REF : TOKEN_NAME, name, (size_t)(end - name));
    else if (rune == '+')
        complain(p, arena_printf(p->arena, "tokenize: expected set name after '+' at position %u",
                                 *position));
    else
        complain(p, arena_printf(p->arena, "tokenize: unexpected character '%s%.*s' at position %u",
                                 rune == '\'' || rune == '\\' ? "\\" : "", (int)(next - text), text,
                                 start));
    return end;
}

static void add_step(struct parser *p, enum term term, const struct token *t)
{
    struct expression *e = p->out;
    if (e->count == e->room) {
        e->room = e->room ? e->room * 2 : 8;
        e->steps = alloc_grow(e->steps, e->room, sizeof(*e->steps));
    }
    e->steps[e->count++] = (struct expression_step){
        .term = term, .length = t ? t->length : 0, .name = t ? t->text : NULL};
}

static void unexpected(struct parser *p, const struct token *t, const char *behind)
{
    struct buf quoted = {0};
    buf_json(&quoted, t->text, t->length);
    complain(p, arena_printf(p->arena, "parse: unexpected token %s%s", quoted.data, behind));
    buf_fini(&quoted);
}

static bool accept(struct parser *p, enum token_kind kind)
{
    bool there = !p->problem && p->tokens[p->at].kind == kind;
    p->at += there;
    return there;
}

static void parse_either(struct parser *p);

static void parse_term(struct parser *p)
{
    const struct token *t = &p->tokens[p->at];
    if (accept(p, TOKEN_NAME)) {
        add_step(p, TERM_MODEL, t);
    } else if (accept(p, TOKEN_REF)) {
        add_step(p, TERM_SET, t);
    } else if (!accept(p, TOKEN_OPEN)) {
        unexpected(p, t, "");
    } else if (p->depth == DEPTH_MAX) {
        complain(p, "parse: parentheses are nested too deeply");
    } else {
        p->depth++;
        parse_either(p);
        p->depth--;
        if (!accept(p, TOKEN_CLOSE))
            complain(p, "parse: missing closing parenthesis");
    }
}

static void parse_together(struct parser *p)
{
    parse_term(p);
    while (accept(p, TOKEN_AND)) {
        parse_term(p);
        add_step(p, TERM_AND, NULL);
    }
}

static void parse_either(struct parser *p)
{
    parse_together(p);
    while (accept(p, TOKEN_OR)) {
        parse_together(p);
        add_step(p, TERM_OR, NULL);
    }
}

const char *expression_parse(struct arena *a, struct family_budget *budget, const char *text,
                             struct expression *ret)
{
    struct parser p = {.arena = a, .budget = budget, .out = ret};
    uint32_t position = 0;
    if (!family_spend(budget, strlen(text)))
        return TOO_LONG;
    /* Positions count from the first character that is no blank. */
    for (const char *next = text; is_space(expression_next_rune(&next));)
        text = next;
    if (*text == '\0')
        return "empty DSL expression";
    while (*text && !p.problem)
        text = read_token(&p, text, &position);
    if (!p.problem)
        add_token(&p, TOKEN_END, "", 0);
    if (!p.problem)
        parse_either(&p);
    if (!p.problem && p.tokens[p.at].kind != TOKEN_END)
        unexpected(&p, &p.tokens[p.at], " after expression");
    free(p.tokens);
    return p.problem;
}

void expression_fini(struct expression *e)
{
    free(e->steps);
    *e = (struct expression){0};
}
