/* json_path.h: changing one value of a JSON text in place, by a path.
 *
 * The paths are those of llama-swap's filters, which are sjson's (github.com/tidwall/sjson,
 * README): dots separate the steps, and a backslash makes the next character an ordinary one. In an
 * array a step is a place, from 0 on; -1 is the last element, or, when setting, one behind it. A
 * colon before a step makes a name of digits. Every byte outside of what is changed stays as it
 * was. */
#ifndef HTTP_JSON_PATH_H
#define HTTP_JSON_PATH_H

#include "base/buf.h"
#include "base/pure/check.h"

/* The first step of a path, appended to name without its backslashes and colon. Returns what
 * follows behind its dot, or NULL when it is the only one. */
const char *json_path_first(const char *path, struct buf *name);

/* Sets the value there to json, one JSON text; or, when that is NULL, takes it out with its name
 * and a comma. text: one valid JSON text; "" (setting only): there is none yet. What is missing on
 * the way is created, and a value that is neither object nor array gives way to one; in an array
 * beyond its end, nulls fill the places before. What is not there need not be taken out.
 * 0, or -ERR_BODY_INVALID, and text as it was: a name of the path stands there twice, a list has no
 * such place, or the path has more than 15 steps. */
int json_path_change(struct buf *text, const char *path, const char *json) warn_unused;

#endif
