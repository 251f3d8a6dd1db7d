#include "simulate/markup.h"

#include <string.h>

/* U+FFFE and U+FFFF, which are no characters. */
static bool is_no_character(const char *p)
{
    return memcmp(p, "\xef\xbf", 2) == 0 && (p[2] == '\xbe' || p[2] == '\xbf');
}

void markup_text(struct buf *out, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'') {
            buf_printf(out, "&#%d;", c);
        } else if (n - i >= 3 && is_no_character(text + i)) {
            buf_char(out, ' ');
            i += 2;
        } else {
            buf_char(out, (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c);
        }
    }
}
