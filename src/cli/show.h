/* show.h: commands that ask the daemon one thing and print its answer; and values of JSON as people
 * read them. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "cli/args.h"
#include "cli/session.h"

struct json_t; /* <jansson.h> */

#define SHOW_CELL_MAX 64
/* For json_dumps, of what was taken apart: numbers as they came, but for digits that nobody needs.
 */
#define SHOW_JSON (JSON_COMPACT | JSON_REAL_PRECISION(9))

/* Sends the request and prints the answer: with --json as it came, else what write makes of it.
 * what: for messages, as in "list the models". Returns the exit status. */
int show_answer(const struct cli_args *args, const struct client_request *rq, const char *what,
                void (*write)(struct buf *out, const struct json_t *answer));

/* The same in a session that is open; progress as session_fetch_watched has it. */
int show_answer_of(const struct session *s, const struct client_request *rq, const char *what,
                   struct progress *progress,
                   void (*write)(struct buf *out, const struct json_t *answer));
/* Whole lines that are safe already, on stdout; wrapped where that is a terminal that is narrower.
 */
void show_lines(const struct buf *text);

/* The texts are written to out, or borrowed from the value; "-" where there is none. */
const char *show_text(const struct json_t *object, const char *name);
const char *show_bytes(const struct json_t *object, const char *name, char out[SHOW_CELL_MAX]);
const char *show_count(const struct json_t *object, const char *name, char out[SHOW_CELL_MAX]);
/* "0s" below a second. */
const char *show_seconds(const struct json_t *object, const char *name, char out[SHOW_CELL_MAX]);
/* Texts of a list with commas between them. */
const char *show_list(const struct json_t *object, const char *name, char out[SHOW_CELL_MAX]);

#endif
