#include "http/multipart.h"

#include <string.h>

#include "base/pure/errors.h"
#include "http/chars.h"

/* Servers read forms with parsers of very different rigour, and the one behind wharf must not find
 * another model than wharf did. What two of them are known to read differently is therefore
 * refused: a preamble, a boundary at the very start of a part's content, name* and repeated names,
 * and for the part "model" an empty or extended file name and a transfer encoding. */

enum multipart_state {
    START,           /* nothing read */
    CONTENT,         /* within a part, or before the first delimiter */
    AFTER_DELIMITER, /* behind "--boundary" */
    PADDING,         /* white space behind it */
    PADDING_LF,
    HEAD, /* within a part's header */
    FINAL_DASH,
    FINAL, /* behind "--boundary--" */
    FINAL_LF,
    EPILOGUE,
    FAILED,
    MULTIPART_STATE__COUNT
};

/* "\r\n", which the first delimiter and one right behind a header stand in for. */
#define IMPLIED_LEN 2

struct cursor {
    struct multipart_scan *s;
    const char *data, *p, *end;
};

/* ---- parameters: *( OWS ";" OWS [ name "=" ( token / quoted-string ) ] ) ---- */

struct text {
    const char *at;
    size_t n;
};

struct param {
    struct text name, value; /* a quoted value without its quotes, escapes as they stand */
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

static bool text_is(struct text t, const char *lower)
{
    return chars_equal_case(t.at, t.n, lower);
}

/* p is behind the opening quote. Returns the place of the closing one, or NULL. */
static const char *find_quote(const char *p, const char *end)
{
    for (; p < end && *p != '"'; p++)
        if (*p == '\\' && ++p == end)
            return NULL;
    return p < end ? p : NULL;
}

/* Returns 1 with a parameter, 0 at the end, -1 when something else stands there. */
static int next_param(const char **p, const char *end, struct param *ret)
{
    const char *at = skip_space(*p, end);
    if (at < end && *at != ';')
        return -1;
    while (at < end && *at == ';')
        at = skip_space(at + 1, end);
    if (at == end)
        return 0;
    const char *name_end = chars_skip(at, end, CHAR_TOKEN);
    if (name_end == at || name_end == end || *name_end != '=')
        return -1;
    ret->name = (struct text){at, (size_t)(name_end - at)};
    at = name_end + 1;
    const char *to = at;
    if (at < end && *at == '"') {
        at++;
        to = find_quote(at, end);
        if (!to)
            return -1;
        ret->value = (struct text){at, (size_t)(to - at)};
        to++;
    } else {
        while (to < end && *to != ';' && *to != '"' && !is_space(*to))
            to++;
        ret->value = (struct text){at, (size_t)(to - at)};
    }
    *p = to;
    return 1;
}

/* Whether the name is base followed by '*': an extended or continued parameter (RFC 2231), which
 * some servers decode and others pass over. */
static bool is_extended(struct text name, const char *base)
{
    size_t n = strlen(base);
    return name.n > n && name.at[n] == '*' && chars_equal_case(name.at, n, base);
}

/* ---- one part's header ---- */

struct part {
    bool disposition, named, model;
    bool file, file_doubtful; /* has a file name; has one that is empty or extended */
    bool encoded;             /* has a transfer encoding that changes bytes */
};

/* A backslash that escapes neither a quote nor a backslash is kept by some servers and dropped by
 * others. Names with proper escapes need no decoding: they cannot be "model". */
static bool name_plain(struct text t)
{
    for (size_t i = 0; i < t.n; i++)
        if (t.at[i] == '\\' && ++i < t.n && t.at[i] != '"' && t.at[i] != '\\')
            return false;
    return true;
}

static bool apply_param(struct part *part, const struct param *param)
{
    if (text_is(param->name, "name")) {
        if (part->named || !name_plain(param->value))
            return false;
        part->named = true;
        part->model = param->value.n == 5 && memcmp(param->value.at, "model", 5) == 0;
    } else if (text_is(param->name, "filename")) {
        part->file = true;
        part->file_doubtful |= param->value.n == 0;
    } else if (is_extended(param->name, "filename")) {
        part->file_doubtful = true;
    }
    return !is_extended(param->name, "name");
}

/* RFC 7578, section 4.2 */
static bool parse_disposition(struct part *part, const char *p, const char *end)
{
    const char *type = p;
    p = chars_skip(p, end, CHAR_TOKEN);
    if (part->disposition || !text_is((struct text){type, (size_t)(p - type)}, "form-data"))
        return false;
    part->disposition = true;
    struct param param;
    int found;
    while ((found = next_param(&p, end, &param)) == 1)
        if (!apply_param(part, &param))
            return false;
    return found == 0;
}

static bool parse_line(struct part *part, const char *p, const char *end)
{
    struct text name = {p, 0};
    p = chars_skip(p, end, CHAR_TOKEN);
    name.n = (size_t)(p - name.at);
    if (name.n == 0 || p == end || *p != ':')
        return false;
    p = skip_space(p + 1, end);
    while (end > p && is_space(end[-1]))
        end--;
    if (text_is(name, "content-disposition"))
        return parse_disposition(part, p, end);
    struct text value = {p, (size_t)(end - p)};
    if (text_is(name, "content-transfer-encoding"))
        part->encoded |=
            !text_is(value, "7bit") && !text_is(value, "8bit") && !text_is(value, "binary");
    return true;
}

/* The header is complete in s->head, its empty line included. */
static bool end_head(struct cursor *c)
{
    struct multipart_scan *s = c->s;
    struct part part = {0};
    const char *p = s->head, *end = s->head + s->head_len - 2;
    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        if (!lf || !parse_line(&part, p, lf - 1))
            return false;
        p = lf + 1;
    }
    if (part.model && (part.file_doubtful || part.encoded))
        return false;
    bool model = part.model && !part.file;
    s->model_duplicate |= model && s->model_found;
    s->in_model = model && !s->model_found;
    if (s->in_model) {
        s->model_found = true;
        s->model_off = s->offset + (uint64_t)(c->p - c->data) + 1;
    }
    s->state = CONTENT;
    s->matched = s->implied = IMPLIED_LEN;
    return true;
}

static bool take_head(struct cursor *c)
{
    struct multipart_scan *s = c->s;
    for (; c->p < c->end && s->state == HEAD; c->p++) {
        char b = *c->p;
        bool after_cr = s->head_len > 0 && s->head[s->head_len - 1] == '\r';
        if (s->head_len == MULTIPART_HEAD_MAX || after_cr != (b == '\n') ||
            (b != '\r' && b != '\n' && !chars_is(b, CHAR_TEXT)))
            return false;
        s->head[s->head_len++] = b;
        if (b == '\n' && (s->head_len == 2 || s->head[s->head_len - 3] == '\n') && !end_head(c))
            return false;
    }
    return true;
}

/* ---- content and delimiters ---- */

static void emit(struct multipart_scan *s, const char *data, size_t n)
{
    if (!s->in_model || n == 0)
        return;
    if (s->model_len < MULTIPART_TEXT_MAX) {
        size_t room = MULTIPART_TEXT_MAX - (size_t)s->model_len;
        size_t kept = n < room ? n : room;
        memcpy(s->model + s->model_len, data, kept);
        s->model[s->model_len + kept] = '\0';
    }
    s->model_len += n;
}

/* Looks for the delimiter. CR stands only at its start, so that after a mismatch the search begins
 * anew at the present byte, and what had matched was content. */
static bool take_content(struct cursor *c)
{
    struct multipart_scan *s = c->s;
    while (c->p < c->end) {
        if (s->matched == 0) {
            const char *cr = memchr(c->p, '\r', (size_t)(c->end - c->p));
            const char *stop = cr ? cr : c->end;
            emit(s, c->p, (size_t)(stop - c->p));
            c->p = stop;
            if (!cr)
                return true;
        }
        if (*c->p != s->delimiter[s->matched]) {
            if (s->parts == 0)
                return false;
            emit(s, s->delimiter + s->implied, (size_t)(s->matched - s->implied));
            s->matched = s->implied = 0;
            continue;
        }
        if (s->matched + 1 == s->delimiter_len) {
            if (s->implied && s->parts > 0)
                return false;
            s->state = AFTER_DELIMITER;
            c->p++;
            return true;
        }
        s->matched++;
        c->p++;
    }
    return true;
}

static bool take_start(struct cursor *c)
{
    c->s->matched = c->s->implied = *c->p == '-' ? IMPLIED_LEN : 0;
    c->s->state = CONTENT;
    return *c->p == '-' || *c->p == '\r';
}

/* Takes one byte and goes to the next state. */
static bool step(struct cursor *c, enum multipart_state next)
{
    c->p++;
    c->s->state = (uint8_t)next;
    return true;
}

static bool take_after_delimiter(struct cursor *c)
{
    return *c->p == '-'      ? step(c, FINAL_DASH)
           : is_space(*c->p) ? step(c, PADDING)
           : *c->p == '\r'   ? step(c, PADDING_LF)
                             : false;
}

static bool take_padding(struct cursor *c)
{
    return is_space(*c->p) ? step(c, PADDING) : *c->p == '\r' && step(c, PADDING_LF);
}

static bool take_padding_lf(struct cursor *c)
{
    struct multipart_scan *s = c->s;
    if (*c->p != '\n' || s->parts == MULTIPART_PARTS_MAX)
        return false;
    s->parts++;
    s->head_len = 0;
    return step(c, HEAD);
}

static bool take_final_dash(struct cursor *c)
{
    return *c->p == '-' && step(c, FINAL);
}

static bool take_final(struct cursor *c)
{
    return is_space(*c->p) ? step(c, FINAL) : *c->p == '\r' && step(c, FINAL_LF);
}

static bool take_final_lf(struct cursor *c)
{
    return *c->p == '\n' && step(c, EPILOGUE);
}

static bool take_epilogue(struct cursor *c)
{
    c->p = c->end;
    return true;
}

static bool take_nothing(struct cursor *c)
{
    (void)c;
    return false;
}

/* Each reads from c->p on; on false c->p is at the offending byte. */
static bool (*const takers[MULTIPART_STATE__COUNT])(struct cursor *c) = {
    [START] = take_start,
    [CONTENT] = take_content,
    [AFTER_DELIMITER] = take_after_delimiter,
    [PADDING] = take_padding,
    [PADDING_LF] = take_padding_lf,
    [HEAD] = take_head,
    [FINAL_DASH] = take_final_dash,
    [FINAL] = take_final,
    [FINAL_LF] = take_final_lf,
    [EPILOGUE] = take_epilogue,
    [FAILED] = take_nothing,
};

/* ---- the scanner ---- */

/* RFC 2046, section 5.1.1 */
static bool boundary_valid(struct text t)
{
    return t.n > 0 && t.n <= MULTIPART_BOUNDARY_MAX && t.at[t.n - 1] != ' ' &&
           chars_skip(t.at, t.at + t.n, CHAR_BOUNDARY) == t.at + t.n;
}

/* Finds the boundary in "multipart/form-data; boundary=..."; false unless there is exactly one. */
static bool find_boundary(const char *p, const char *end, struct text *ret_boundary)
{
    p = skip_space(p, end);
    struct text type = {p, 0};
    while (p < end && *p != ';' && !is_space(*p))
        p++;
    type.n = (size_t)(p - type.at);
    if (!text_is(type, "multipart/form-data"))
        return false;
    struct text boundary = {0};
    struct param param;
    int found;
    while ((found = next_param(&p, end, &param)) == 1) {
        bool is_boundary = text_is(param.name, "boundary");
        if (is_extended(param.name, "boundary") || (is_boundary && boundary.n))
            return false;
        if (is_boundary)
            boundary = param.value;
        if (is_boundary && !boundary_valid(boundary))
            return false;
    }
    *ret_boundary = boundary;
    return found == 0 && boundary.n > 0;
}

int multipart_scan_init(struct multipart_scan *s, const char *content_type, size_t n)
{
    struct text boundary;
    /* The header buffer comes last and needs no clearing. */
    memset(s, 0, offsetof(struct multipart_scan, head));
    if (!find_boundary(content_type, content_type + n, &boundary)) {
        s->state = FAILED;
        return -ERR_FORM_INVALID;
    }
    memcpy(s->delimiter, "\r\n--", 4);
    memcpy(s->delimiter + 4, boundary.at, boundary.n);
    s->delimiter_len = (uint8_t)(boundary.n + 4);
    return 0;
}

int multipart_scan_feed(struct multipart_scan *s, const char *data, size_t n)
{
    if (s->state == FAILED)
        return -ERR_FORM_INVALID;
    if (n == 0)
        return 0;
    struct cursor c = {s, data, data, data + n};
    bool good = true;
    while (good && c.p < c.end)
        good = takers[s->state](&c);
    s->offset += (uint64_t)(c.p - data);
    if (good)
        return 0;
    s->state = FAILED;
    return -ERR_FORM_INVALID;
}

int multipart_scan_end(struct multipart_scan *s)
{
    if (s->state == FINAL || s->state == EPILOGUE)
        return 0;
    s->state = FAILED;
    return -ERR_FORM_INVALID;
}
