#include "http/json.h"

#include <string.h>

#include "base/pure/errors.h"
#include "http/chars.h"

/* Where the scanner stands between two bytes. The first ten are between tokens, the rest within
 * one. */
enum json_state {
    START,          /* before the object */
    NAME_OR_END,    /* after '{' */
    NAME,           /* after ',' in an object */
    COLON,          /* after a name */
    ELEMENT_OR_END, /* after '[' */
    ELEMENT,        /* after ',' in an array */
    VALUE,          /* after ':' */
    AFTER,          /* after a value */
    DONE,           /* after the object */
    FAILED,
    STRING,
    ESCAPE, /* after '\' */
    HEX,    /* within the four digits after "\u" */
    UTF8,   /* within a character of several bytes */
    LITERAL,
    NUMBER,
    JSON_STATE__COUNT
};

/* Where decoded text goes: names and values that nobody asked for are checked and passed over. */
enum json_sink { SINK_NONE, SINK_NAME, SINK_VALUE };

struct cursor {
    struct json_scan *s;
    const char *data, *p, *end;
};

/* The functions named take_* read from c->p on, in their state, and leave c->p behind what they
 * took; on false it is at the offending byte. */

static uint64_t offset_of(const struct cursor *c)
{
    return c->s->offset + (uint64_t)(c->p - c->data);
}

/* ---- sets of wants ---- */

/* The next want of a set, which it leaves. The set is not empty. */
static struct json_want *pop_want(struct json_scan *s, uint64_t *set)
{
    struct json_want *w = &s->wants[__builtin_ctzll(*set)];
    *set &= *set - 1;
    return w;
}

static uint64_t bit_of(const struct json_scan *s, const struct json_want *w)
{
    return UINT64_C(1) << (w - s->wants);
}

/* Whose paths go on in the container that is open. */
static uint64_t within(const struct json_scan *s)
{
    return s->depth <= JSON_PATH_MAX ? s->whose[s->depth] & ~s->ends[s->depth - 1] : 0;
}

/* Whose path ends with the value that begins, or has just ended. */
static uint64_t arrived(const struct json_scan *s)
{
    return s->here ? s->here & s->ends[s->depth] : 0; /* here: depth is at most JSON_PATH_MAX */
}

/* ---- decoded text ---- */

static void emit_name(struct json_scan *s, const char *text, size_t n)
{
    for (uint64_t left = s->candidates; left;) {
        struct json_want *w = pop_want(s, &left);
        const struct json_step *step = &w->path[s->depth - 1];
        const char *rest = step->name + s->name_at; /* most names differ in their first byte */
        if (n > step->name_len - s->name_at || *rest != *text || memcmp(rest, text, n) != 0)
            s->candidates &= ~bit_of(s, w);
    }
    s->name_at += (uint32_t)n; /* while there is a candidate, at most as long as it */
    if (!s->candidates)
        s->sink = SINK_NONE;
}

static void emit_value(struct json_scan *s, const char *text, size_t n)
{
    for (uint64_t left = arrived(s); left;) {
        struct json_want *w = pop_want(s, &left);
        if (w->text && w->text_len < w->text_size - 1) {
            size_t room = w->text_size - 1 - w->text_len;
            size_t kept = n < room ? n : room;
            memcpy(w->text + w->text_len, text, kept);
            w->text[w->text_len + kept] = '\0';
        }
        w->text_len = n < UINT32_MAX - w->text_len ? w->text_len + (uint32_t)n : UINT32_MAX;
    }
}

static void emit_raw(struct json_scan *s, const char *text, size_t n)
{
    if (s->sink == SINK_NAME)
        emit_name(s, text, n);
    else if (s->sink == SINK_VALUE)
        emit_value(s, text, n);
}

/* Half a surrogate pair stands for no character; it is read as U+FFFD. */
static void flush_surrogate(struct json_scan *s)
{
    if (s->surrogate)
        emit_raw(s, "\xef\xbf\xbd", 3);
    s->surrogate = 0;
}

static void emit(struct json_scan *s, const char *text, size_t n)
{
    if (s->sink == SINK_NONE || n == 0)
        return;
    flush_surrogate(s);
    emit_raw(s, text, n);
}

static void emit_code(struct json_scan *s, uint32_t code)
{
    char out[4];
    size_t n = 0;
    if (code < 0x80) {
        out[n++] = (char)code;
    } else if (code < 0x800) {
        out[n++] = (char)(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        out[n++] = (char)(0xe0 | code >> 12);
        out[n++] = (char)(0x80 | (code >> 6 & 0x3f));
    } else {
        out[n++] = (char)(0xf0 | code >> 18);
        out[n++] = (char)(0x80 | (code >> 12 & 0x3f));
        out[n++] = (char)(0x80 | (code >> 6 & 0x3f));
    }
    if (code >= 0x80)
        out[n++] = (char)(0x80 | (code & 0x3f));
    emit(s, out, n);
}

/* One unit of UTF-16, from an escape. */
static void emit_unit(struct json_scan *s, uint32_t unit)
{
    bool high = unit >= 0xd800 && unit < 0xdc00, low = unit >= 0xdc00 && unit < 0xe000;
    if (s->sink == SINK_NONE)
        return;
    if (low && s->surrogate) {
        uint32_t code = 0x10000 + ((s->surrogate - 0xd800U) << 10) + (unit - 0xdc00);
        s->surrogate = 0;
        emit_code(s, code);
        return;
    }
    flush_surrogate(s);
    if (high)
        s->surrogate = (uint16_t)unit;
    else
        emit_code(s, low ? 0xfffd : unit);
}

/* ---- members and containers ---- */

static bool in_object(const struct json_scan *s)
{
    unsigned level = s->depth - 1U;
    return s->nesting[level / 8] >> (level % 8) & 1;
}

static void forget(struct json_want *w)
{
    w->type = JSON_TYPE_ABSENT;
    w->duplicate = false;
    w->off = w->len = w->name_off = w->before = w->after = 0;
    w->text_len = 0;
    if (w->text)
        w->text[0] = '\0';
}

/* A name has ended: whose is the value behind it? */
static void find_member(struct json_scan *s)
{
    uint64_t hits = s->candidates;
    for (uint64_t left = hits; left;) {
        struct json_want *w = pop_want(s, &left);
        if (w->path[s->depth - 1].name_len != s->name_at)
            hits &= ~bit_of(s, w);
    }
    for (uint64_t twice = hits & s->seen[s->depth]; twice;)
        pop_want(s, &twice)->duplicate = true;
    s->here = hits & ~s->seen[s->depth];
    s->seen[s->depth] |= hits;
}

/* Whose is the element that begins? What was found in the one before it is not the last's. */
static void find_element(struct cursor *c)
{
    struct json_scan *s = c->s;
    s->here = 0;
    for (uint64_t left = within(s); left;) {
        struct json_want *w = pop_want(s, &left);
        const struct json_step *step = &w->path[s->depth - 1];
        if (step->index == JSON_LAST) {
            forget(w);
            w->inner = (struct json_container){.steps = s->depth - 1U, .array = true};
        } else if (step->index < 0 || (uint64_t)step->index != s->index[s->depth]) {
            continue;
        }
        s->here |= bit_of(s, w);
    }
    s->name_off = offset_of(c);
}

/* c->p is at the first byte of a value of that type. */
static void begin_value(struct cursor *c, enum json_type type)
{
    struct json_scan *s = c->s;
    for (uint64_t left = arrived(s); left;) {
        struct json_want *w = pop_want(s, &left);
        w->type = type;
        w->off = offset_of(c);
        w->name_off = s->name_off;
        w->before = s->comma;
    }
}

/* c->p is behind the last byte of a value. */
static void end_value(struct cursor *c)
{
    struct json_scan *s = c->s;
    s->state = s->depth ? AFTER : DONE;
    for (uint64_t left = arrived(s); left;) {
        struct json_want *w = pop_want(s, &left);
        w->len = offset_of(c) - w->off;
    }
}

/* For the container that has just been opened. */
static void begin_inner(struct json_scan *s, bool object)
{
    unsigned depth = s->depth;
    s->comma = 0;
    if (depth > JSON_PATH_MAX + 1)
        return;
    s->whose[depth] = depth == 1 ? s->all : s->here;
    if (depth > JSON_PATH_MAX)
        return;
    s->seen[depth] = s->index[depth] = 0;
    for (uint64_t left = within(s); left;)
        pop_want(s, &left)->inner = (struct json_container){.steps = depth - 1, .array = !object};
}

/* c->p is at the bracket that closes the container. */
static void end_inner(struct cursor *c, bool empty)
{
    struct json_scan *s = c->s;
    for (uint64_t left = within(s); left;) {
        struct json_want *w = pop_want(s, &left);
        if (w->inner.steps != s->depth - 1U)
            continue;
        w->inner.close = offset_of(c);
        w->inner.empty = empty;
    }
    s->here = s->depth > 1 && s->depth <= JSON_PATH_MAX + 1 ? s->whose[s->depth] : 0;
}

static bool open_container(struct cursor *c, bool object)
{
    struct json_scan *s = c->s;
    if (s->depth == JSON_DEPTH_MAX)
        return false;
    begin_value(c, object ? JSON_TYPE_OBJECT : JSON_TYPE_ARRAY);
    uint8_t bit = (uint8_t)(1U << (s->depth % 8));
    uint8_t *byte = &s->nesting[s->depth / 8];
    *byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
    s->depth++;
    begin_inner(s, object);
    s->state = object ? NAME_OR_END : ELEMENT_OR_END;
    c->p++;
    return true;
}

static bool close_container(struct cursor *c)
{
    struct json_scan *s = c->s;
    if (*c->p != (in_object(s) ? '}' : ']'))
        return false;
    end_inner(c, s->state != AFTER);
    c->p++;
    s->depth--;
    end_value(c);
    return true;
}

/* c->p is at the opening quote. */
static void begin_name(struct cursor *c)
{
    struct json_scan *s = c->s;
    s->candidates = within(s);
    s->name_at = 0;
    s->name_off = offset_of(c);
    s->sink = s->candidates ? SINK_NAME : SINK_NONE;
}

static bool begin_string(struct cursor *c, bool name)
{
    struct json_scan *s = c->s;
    s->in_name = name;
    s->surrogate = 0;
    if (name) {
        begin_name(c);
    } else {
        begin_value(c, JSON_TYPE_STRING);
        s->sink = arrived(s) ? SINK_VALUE : SINK_NONE;
    }
    s->state = STRING;
    c->p++;
    return true;
}

static bool begin_literal(struct cursor *c, enum json_type type, const char *text)
{
    begin_value(c, type);
    c->s->literal = text;
    c->s->literal_at = 0;
    c->s->state = LITERAL;
    return true;
}

/* ---- numbers (RFC 8259, section 6) ---- */

enum number_state { N_NONE, N_MINUS, N_ZERO, N_INT, N_POINT, N_FRACTION, N_E, N_SIGN, N_EXPONENT };
enum number_class { C_OTHER, C_ZERO, C_DIGIT, C_POINT, C_E, C_PLUS, C_MINUS, C__COUNT };

/* N_NONE: the byte does not belong to the number. */
static const uint8_t number_next[][C__COUNT] = {
    [N_NONE] = {[C_MINUS] = N_MINUS, [C_ZERO] = N_ZERO, [C_DIGIT] = N_INT},
    [N_MINUS] = {[C_ZERO] = N_ZERO, [C_DIGIT] = N_INT},
    [N_ZERO] = {[C_POINT] = N_POINT, [C_E] = N_E},
    [N_INT] = {[C_ZERO] = N_INT, [C_DIGIT] = N_INT, [C_POINT] = N_POINT, [C_E] = N_E},
    [N_POINT] = {[C_ZERO] = N_FRACTION, [C_DIGIT] = N_FRACTION},
    [N_FRACTION] = {[C_ZERO] = N_FRACTION, [C_DIGIT] = N_FRACTION, [C_E] = N_E},
    [N_E] = {[C_ZERO] = N_EXPONENT, [C_DIGIT] = N_EXPONENT, [C_PLUS] = N_SIGN, [C_MINUS] = N_SIGN},
    [N_SIGN] = {[C_ZERO] = N_EXPONENT, [C_DIGIT] = N_EXPONENT},
    [N_EXPONENT] = {[C_ZERO] = N_EXPONENT, [C_DIGIT] = N_EXPONENT},
};

static const uint8_t number_class[256] = {
    ['0'] = C_ZERO,  ['1'] = C_DIGIT, ['2'] = C_DIGIT, ['3'] = C_DIGIT, ['4'] = C_DIGIT,
    ['5'] = C_DIGIT, ['6'] = C_DIGIT, ['7'] = C_DIGIT, ['8'] = C_DIGIT, ['9'] = C_DIGIT,
    ['.'] = C_POINT, ['e'] = C_E,     ['E'] = C_E,     ['+'] = C_PLUS,  ['-'] = C_MINUS,
};

static bool take_number(struct cursor *c)
{
    struct json_scan *s = c->s;
    uint8_t at = s->number;
    while (c->p < c->end) {
        uint8_t next = number_next[at][number_class[(uint8_t)*c->p]];
        if (next == N_NONE)
            break;
        at = next;
        c->p++;
        if (at == N_INT || at == N_FRACTION || at == N_EXPONENT)
            c->p = chars_skip(c->p, c->end, CHAR_DIGIT);
    }
    s->number = at;
    if (c->p == c->end)
        return true;
    if (at != N_ZERO && at != N_INT && at != N_FRACTION && at != N_EXPONENT)
        return false;
    end_value(c);
    return true;
}

/* ---- strings ---- */

/* The first byte that needs looking at: a control byte, '"', '\' or one of a longer character. */
static const char *skip_plain(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t w = chars_word(p);
        uint64_t special = (w & CHARS_HIGHS) | chars_any_below(w, 0x20) | chars_any_equal(w, '"') |
                           chars_any_equal(w, '\\');
        if (special)
            return p + chars_first(special);
    }
    while (p < end && (uint8_t)*p >= 0x20 && (uint8_t)*p < 0x80 && *p != '"' && *p != '\\')
        p++;
    return p;
}

static void end_string(struct cursor *c)
{
    struct json_scan *s = c->s;
    flush_surrogate(s);
    c->p++;
    if (!s->in_name) {
        end_value(c);
        return;
    }
    if (s->candidates)
        find_member(s);
    else
        s->here = 0;
    s->state = COLON;
}

/* The first byte of a character of several (Unicode 15, table 3-7): how many follow, and between
 * what the next one lies, which rules out surrogates, overlong forms and what is above U+10FFFF. */
static bool begin_utf8(struct json_scan *s, uint8_t b)
{
    if (b < 0xc2 || b > 0xf4)
        return false;
    s->utf8_left = (uint8_t)(b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3);
    s->utf8_min = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
    s->utf8_max = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static bool follows_utf8(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

/* Passes over whole characters of two and three bytes whose first byte sets no narrower bounds for
 * the second: most of what is not ASCII. */
static const char *skip_utf8(const char *p, const char *end)
{
    while (end - p >= 3) {
        uint8_t b = (uint8_t)*p;
        if (b > 0xe0 && b < 0xf0 && b != 0xed && follows_utf8(p[1]) && follows_utf8(p[2]))
            p += 3;
        else if (b >= 0xc2 && b < 0xe0 && follows_utf8(p[1]))
            p += 2;
        else
            break;
    }
    return p;
}

/* Takes a run of characters of several bytes, up to a byte of ASCII. */
static bool take_utf8(struct cursor *c)
{
    struct json_scan *s = c->s;
    const char *from = c->p;
    if (!s->utf8_left)
        c->p = skip_utf8(c->p, c->end);
    for (; c->p < c->end; c->p++) {
        uint8_t b = (uint8_t)*c->p;
        if (s->utf8_left) {
            if (b < s->utf8_min || b > s->utf8_max)
                return false;
            s->utf8_left--;
            s->utf8_min = 0x80;
            s->utf8_max = 0xbf;
        } else if (b < 0x80) {
            break;
        } else if (!begin_utf8(s, b)) {
            return false;
        }
    }
    emit(s, from, (size_t)(c->p - from));
    s->state = s->utf8_left ? UTF8 : STRING;
    return true;
}

static bool take_hex(struct cursor *c)
{
    struct json_scan *s = c->s;
    for (; c->p < c->end && s->escape_left; c->p++, s->escape_left--) {
        int value = chars_hex_value(*c->p);
        if (value < 0)
            return false;
        s->escape_value = (uint16_t)(s->escape_value << 4 | value);
    }
    if (s->escape_left)
        return true;
    emit_unit(s, s->escape_value);
    s->state = STRING;
    return true;
}

static bool take_escape(struct cursor *c)
{
    static const char meaning[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                      ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    struct json_scan *s = c->s;
    uint8_t b = (uint8_t)*c->p;
    if (b == 'u') {
        s->escape_left = 4;
        s->escape_value = 0;
        s->state = HEX;
        c->p++;
        return true;
    }
    if (!meaning[b])
        return false;
    emit(s, &meaning[b], 1);
    s->state = STRING;
    c->p++;
    return true;
}

static bool take_string(struct cursor *c)
{
    while (c->p < c->end && c->s->state == STRING) {
        const char *from = c->p;
        c->p = skip_plain(c->p, c->end);
        emit(c->s, from, (size_t)(c->p - from));
        if (c->p == c->end)
            return true;
        if (*c->p == '"') {
            end_string(c);
        } else if ((uint8_t)*c->p >= 0x80) {
            if (!take_utf8(c))
                return false;
        } else if (*c->p == '\\') {
            c->s->state = ESCAPE;
            if (++c->p < c->end && !take_escape(c))
                return false;
        } else {
            return false;
        }
    }
    return true;
}

static bool take_literal(struct cursor *c)
{
    struct json_scan *s = c->s;
    for (; c->p < c->end && s->literal[s->literal_at]; c->p++, s->literal_at++)
        if (*c->p != s->literal[s->literal_at])
            return false;
    if (!s->literal[s->literal_at])
        end_value(c);
    return true;
}

/* ---- between tokens ---- */

static bool take_value(struct cursor *c)
{
    switch (*c->p) {
    case '"':
        return begin_string(c, false);
    case '{':
        return open_container(c, true);
    case '[':
        return open_container(c, false);
    case 't':
        return begin_literal(c, JSON_TYPE_TRUE, "true");
    case 'f':
        return begin_literal(c, JSON_TYPE_FALSE, "false");
    case 'n':
        return begin_literal(c, JSON_TYPE_NULL, "null");
    default:
        if (number_next[N_NONE][number_class[(uint8_t)*c->p]] == N_NONE)
            return false;
        begin_value(c, JSON_TYPE_NUMBER);
        c->s->number = N_NONE;
        c->s->state = NUMBER;
        return true;
    }
}

static bool take_start(struct cursor *c)
{
    return *c->p == '{' && open_container(c, true);
}

static bool take_name(struct cursor *c)
{
    return *c->p == '"' && begin_string(c, true);
}

static bool take_name_or_end(struct cursor *c)
{
    return *c->p == '}' ? close_container(c) : take_name(c);
}

static bool take_element(struct cursor *c)
{
    find_element(c);
    return take_value(c);
}

static bool take_element_or_end(struct cursor *c)
{
    return *c->p == ']' ? close_container(c) : take_element(c);
}

static bool take_colon(struct cursor *c)
{
    if (*c->p != ':')
        return false;
    c->p++;
    c->s->state = VALUE;
    return true;
}

static bool take_after(struct cursor *c)
{
    struct json_scan *s = c->s;
    if (*c->p != ',')
        return close_container(c);
    s->comma = offset_of(c);
    for (uint64_t left = arrived(s); left;)
        pop_want(s, &left)->after = s->comma;
    if (!in_object(s) && s->depth <= JSON_PATH_MAX)
        s->index[s->depth]++;
    c->p++;
    s->state = in_object(s) ? NAME : ELEMENT;
    return true;
}

static bool take_nothing(struct cursor *c)
{
    (void)c;
    return false;
}

static bool (*const takers[JSON_STATE__COUNT])(struct cursor *c) = {
    [START] = take_start,
    [NAME_OR_END] = take_name_or_end,
    [NAME] = take_name,
    [COLON] = take_colon,
    [ELEMENT_OR_END] = take_element_or_end,
    [ELEMENT] = take_element,
    [VALUE] = take_value,
    [AFTER] = take_after,
    [DONE] = take_nothing,
    [FAILED] = take_nothing,
    [STRING] = take_string,
    [ESCAPE] = take_escape,
    [HEX] = take_hex,
    [UTF8] = take_utf8,
    [LITERAL] = take_literal,
    [NUMBER] = take_number,
};

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

void json_scan_init(struct json_scan *s, struct json_want *wants, uint32_t count)
{
    must(count <= JSON_WANTS_MAX);
    memset(s, 0, offsetof(struct json_scan, whose));
    s->wants = wants;
    for (uint32_t i = 0; i < count; i++) {
        struct json_want *w = &wants[i];
        must(w->steps >= 1 && w->steps <= JSON_PATH_MAX && (!w->text || w->text_size));
        forget(w);
        w->inner = (struct json_container){0};
        s->all |= bit_of(s, w);
        s->ends[w->steps] |= bit_of(s, w);
    }
}

int json_scan_feed(struct json_scan *s, const char *data, size_t n)
{
    if (s->state == FAILED)
        return -ERR_JSON_INVALID;
    if (n == 0)
        return 0;
    struct cursor c = {s, data, data, data + n};
    while (c.p < c.end) {
        if (s->state < FAILED && is_space(*c.p)) {
            c.p++;
            continue;
        }
        if (!takers[s->state](&c)) {
            s->offset = offset_of(&c);
            s->state = FAILED;
            return -ERR_JSON_INVALID;
        }
    }
    s->offset = offset_of(&c);
    return 0;
}

int json_scan_end(struct json_scan *s)
{
    if (s->state == DONE)
        return 0;
    s->state = FAILED;
    return -ERR_JSON_INVALID;
}
