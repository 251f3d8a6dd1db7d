#include "base/csv.h"

#include <string.h>

void csv_put_text(struct buf *out, const char *text)
{
    bool formula = *text && strchr("=+-@\t\r", *text);
    bool quoted = text[strcspn(text, ",\"\r\n")] != '\0';
    buf_text(out, quoted ? "\"" : "");
    buf_text(out, formula ? "'" : "");
    for (; *text; text++) {
        buf_text(out, *text == '"' ? "\"" : "");
        buf_char(out, *text);
    }
    buf_text(out, quoted ? "\"" : "");
}
