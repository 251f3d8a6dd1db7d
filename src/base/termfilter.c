#include "base/termfilter.h"

#include <string.h>

#include "base/utf8.h"

#define ESC 0x1b

enum state {
    PLAIN,
    CHARACTER, /* its first bytes are held */
    RETURNED,  /* a carriage return */
    ESCAPED,   /* ESC, and bytes between 0x20 and 0x2f */
    CSI,       /* its parameters are held */
    SKIPPED,   /* a CSI that does not pass */
    STRING,    /* of OSC, DCS, SOS, PM, APC */
};

static void hold(struct termfilter *f, unsigned char c)
{
    f->held[f->held_n++] = (char)c;
}

static void begin(struct termfilter *f, enum state state)
{
    f->state = state;
    f->held_n = 0;
}

/* The second byte of an escape sequence, or what a C1 character stands for (ECMA-48, 5.3). */
static void on_introducer(struct termfilter *f, unsigned char c)
{
    begin(f, PLAIN);
    if (c == '[')
        begin(f, CSI);
    else if (c && strchr("]PX^_", c))
        begin(f, STRING);
}

static void on_escaped(struct termfilter *f, unsigned char c)
{
    if (c >= 0x20 && c <= 0x2f)
        return;
    on_introducer(f, c);
}

/* Numbers alone: with a < = > or ? in front a final m has other meanings. */
static void on_parameter(struct termfilter *f, unsigned char c, struct buf *out)
{
    if ((c >= '0' && c <= ';') && f->held_n < sizeof(f->held)) {
        hold(f, c);
        return;
    }
    if (c == 'm' && f->colours) {
        buf_text(out, "\033[");
        buf_append(out, f->held, f->held_n);
        buf_char(out, 'm');
    }
    begin(f, c >= 0x40 && c <= 0x7e ? PLAIN : SKIPPED);
}

static void on_skipped(struct termfilter *f, unsigned char c)
{
    if (c >= 0x40 && c <= 0x7e)
        begin(f, PLAIN);
}

static void on_string(struct termfilter *f, unsigned char c)
{
    /* BEL ends an OSC as xterm has it; the others are over no later than the terminal thinks. */
    if (c == 0x07)
        begin(f, PLAIN);
}

static void on_lead(struct termfilter *f, unsigned char c, struct buf *out)
{
    static const char replacement[] = "\xef\xbf\xbd";
    if (c < 0x80) {
        buf_char(out, (char)c);
    } else if (c >= 0xc2 && c <= 0xf4) {
        begin(f, CHARACTER);
        hold(f, c);
    } else {
        buf_text(out, replacement);
    }
}

static void on_plain(struct termfilter *f, unsigned char c, struct buf *out)
{
    if (c == '\r')
        begin(f, RETURNED);
    else if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f))
        on_lead(f, c, out);
}

/* Returns whether c was part of the character. */
static bool on_character(struct termfilter *f, unsigned char c, struct buf *out)
{
    unsigned char lead = (unsigned char)f->held[0];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    bool follows = (c & 0xc0) == 0x80;
    if (follows)
        hold(f, c);
    if (follows && f->held_n < want)
        return true;
    const unsigned char *s = (const unsigned char *)f->held;
    size_t n = f->held_n;
    begin(f, PLAIN);
    if (!follows || utf8_len(s, n) != n)
        buf_text(out, "\xef\xbf\xbd");
    else if (s[0] == 0xc2 && s[1] < 0xa0)
        on_introducer(f, (unsigned char)(s[1] - 0x40));
    else
        buf_append(out, s, n);
    return follows;
}

/* A newline, ESC, CAN or SUB ends whatever came before it (ECMA-48 leaves it open, terminals agree
 * on the last three); so nothing that was begun swallows what others print. */
static bool ends_all(unsigned char c)
{
    return c == '\n' || c == ESC || c == 0x18 || c == 0x1a;
}

static void take(struct termfilter *f, unsigned char c, struct buf *out)
{
    if (f->state == CHARACTER && on_character(f, c, out))
        return;
    if (f->state == RETURNED && c != '\r') {
        if (c != '\n')
            buf_char(out, '\n');
        begin(f, PLAIN);
    }
    if (ends_all(c)) {
        begin(f, c == ESC ? ESCAPED : PLAIN);
        if (c == '\n')
            buf_char(out, '\n');
    } else if (f->state == PLAIN) {
        on_plain(f, c, out);
    } else if (f->state == ESCAPED) {
        on_escaped(f, c);
    } else if (f->state == CSI) {
        on_parameter(f, c, out);
    } else if (f->state == SKIPPED) {
        on_skipped(f, c);
    } else if (f->state == STRING) {
        on_string(f, c);
    }
}

void termfilter_feed(struct termfilter *f, const char *data, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        take(f, (unsigned char)data[i], out);
}
