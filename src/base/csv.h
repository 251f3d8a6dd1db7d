/* csv.h: comma-separated values (RFC 4180), as spreadsheets read them. */
#ifndef BASE_CSV_H
#define BASE_CSV_H

#include "base/buf.h"

/* Appends a text: quoted where it has to be, and behind a ' where a spreadsheet would take it for a
 * formula and do what it says. */
void csv_put_text(struct buf *out, const char *text);

#endif
