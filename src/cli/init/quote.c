#include "cli/init/quote.h"

#include <string.h>
#include <strings.h>

#include "base/pure/check.h"
#include "cli/text.h"
#include "config/text.h"

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

bool quote_is_text(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < ' ')
            return false;
    return !text_invalid_at(text, strlen(text));
}

bool quote_is_word(const char *text)
{
    return quote_is_text(text) && !strstr(text, "${PORT}") && !strstr(text, "${PID}");
}

/* What YAML 1.1 and 1.2 read as something else than text. */
static bool is_keyword(const char *text)
{
    static const char *const words[] = {"true", "false", "yes", "no",  "on", "off",
                                        "null", "y",     "n",   "inf", "nan"};
    for (size_t i = 0; i < countof(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

/* Far fewer than YAML allows: what is not plainly plain is quoted. */
static bool is_plain(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || !strchr(ALNUM "/$", text[0]) || strchr("0123456789", text[0]) || is_keyword(text))
        return false;
    return text[strspn(text, ALNUM " /._-+=,@%~${}':")] == '\0' && !strstr(text, ": ") &&
           text[n - 1] != ':' && text[n - 1] != ' ';
}

void quote_scalar(struct buf *out, const char *text)
{
    must(quote_is_text(text));
    if (is_plain(text)) {
        buf_text(out, text);
        return;
    }
    /* A string of JSON is one of YAML; what would steer a terminal is given as an escape. */
    struct buf json = {0};
    buf_json_text(&json, text);
    text_escape(out, TEXT_JSON, json.data, json.len, false);
    buf_fini(&json);
}

bool quote_word_is_plain(const char *word)
{
    for (const char *p = word; *p; p++)
        if ((unsigned char)*p < 0x80 && !strchr(ALNUM "/._-+:@%,=", *p))
            return false;
    return *word != '\0';
}

void quote_word(struct buf *out, const char *word)
{
    if (quote_word_is_plain(word)) {
        buf_text(out, word);
        return;
    }
    buf_char(out, '\'');
    for (const char *p = word; *p; p++) {
        if (*p == '\'')
            buf_text(out, "'\\''");
        else
            buf_char(out, *p);
        /* Macros are looked for before words are: "${" is never written. */
        if (*p == '$' && p[1] == '{')
            buf_text(out, "''");
    }
    buf_char(out, '\'');
}
