/* progress.h: how far something is, on the last line of a terminal while a command waits for it.
 *
 * A thread of its own asks the daemon, or takes what it is told, and draws on stderr, a second
 * after the beginning at the earliest: a bar of the bytes that are on the device, else of the time
 * that it took before, else the seconds that have passed. Where stderr is no terminal, each phase
 * is a line of its own instead. Nothing of it is left at the end; with --json there is nothing at
 * all. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/session.h"

struct json_t; /* <jansson.h> */

struct progress;

/* Of a model, as /wharf/why/ID has it; the id is copied. NULL, which the others allow: nothing
 * is shown. s has to outlive it. */
struct progress *progress_of_model(const struct session *s, const char *id);
/* Of a mode: how many of its models are as it wants them. */
struct progress *progress_of_mode(const struct session *s);
/* Of something that the caller knows of himself, and waits for since then, on the monotonic clock;
 * nothing is shown until progress_tell. For a terminal only; it is shown at once. */
struct progress *progress_of_wait(uint64_t since_ns);
/* What is waited for, safe for a terminal, and how long it is still expected to take; -1: not
 * known. */
void progress_tell(struct progress *p, const char *text, double left_s);
/* Ends it, takes its line away, and frees it. */
void progress_end(struct progress *p);

/* What is drawn, each as a pure function. */

/* How much is done of a model's `operation`, in thousandths; -1: that cannot be told. */
int progress_permille(const struct json_t *operation);
/* "loading 1.5GiB of 4GiB, 3s of about 9s", "waits, about 5s more: …": by the answer of
 * /wharf/why/ID. */
void progress_words(const struct json_t *answer, struct buf *out);
/* A bar of width columns, ascii or not. permille -1: nothing. */
void progress_bar(struct buf *out, int permille, size_t width, bool is_utf8);

#endif
