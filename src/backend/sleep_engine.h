/* sleep_engine.h: what engines are asked so that they give their memory back and take it again, a
 * row of a table each, and how their answers are read. Texts of the table may hold "${NAME}", which
 * sleep_fill replaces. Nothing else knows one engine from another. */
#ifndef BACKEND_SLEEP_ENGINE_H
#define BACKEND_SLEEP_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define SLEEP_CALLS_MAX 3
#define SLEEP_MEMBERS_MAX 2
#define SLEEP_STATUSES_MAX 2

struct sleep_call {
    const char *method, *path, *body; /* a path that comes to "": there is no such call */
};

/* A question with GET. Yes: all members have that value, or, without members, its status is one of
 * those and not 200. */
struct sleep_question {
    const char *path; /* "" or NULL: it cannot be asked */
    const char *members[SLEEP_MEMBERS_MAX];
    const char *value; /* JSON without blanks, or the text of a string */
    int statuses[SLEEP_STATUSES_MAX];
};

struct sleep_engine {
    const char *word;
    uint32_t level;             /* which of its ways; 0: it has one */
    struct sleep_question idle; /* whether nothing runs; it is not sent to sleep before */
    struct sleep_call suspend[SLEEP_CALLS_MAX], resume[SLEEP_CALLS_MAX];
    struct sleep_question asleep; /* without it its memory tells */
    bool prompt;                  /* what wakes it is answered when it is awake, or will never be */
    const char *key;              /* of the Authorization field; NULL: none is sent */
    const char *needs;            /* what it has to be started with to know these calls; or NULL */
};

/* NULL: of no such engine. */
const struct sleep_engine *sleep_find(const char *word, uint32_t level);

struct sleep_value {
    const char *name, *text;
};

/* Appends the text with the names replaced; a name that is not among the values becomes nothing. */
void sleep_fill(struct buf *out, const char *text, const struct sleep_value *values, size_t count);

enum sleep_says {
    SLEEP_UNKNOWN, /* the answer says neither */
    SLEEP_YES,
    SLEEP_NO,
};

/* What a whole answer to the question says, of which the texts have been filled in. */
enum sleep_says sleep_read(const struct sleep_question *q, int status, const char *body, size_t n);

#endif
