/* guesses.h: wrong keys, counted by where they come from, so that guessing is noticed and slow. The
 * length of the keys is what makes it hopeless: who shows a right one is let in at any time. */
#ifndef SERVER_PROXY_GUESSES_H
#define SERVER_PROXY_GUESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Sources that are kept apart; of more, those with the fewest wrong keys are forgotten. */
#define GUESSES_SOURCES_MAX 256
#define GUESSES_SOURCE_TEXT_MAX 64
/* What the configured number is counted over, and what is between two lines of the log. */
#define GUESSES_WINDOW_S 60

struct exchange;
struct server;

struct guess_source {
    char text[GUESSES_SOURCE_TEXT_MAX]; /* "": the place is free */
    uint64_t began_ns;                  /* of its window */
    uint32_t count;
};

struct guesses {
    struct guess_source sources[GUESSES_SOURCES_MAX];
    uv_timer_t timer;                   /* runs for a window behind each line of the log */
    char last[GUESSES_SOURCE_TEXT_MAX]; /* where the last of the untold ones came from */
    uint32_t untold, refused;           /* since the last line; and of these, with 429 */
};

/* An address as it is counted: IPv6 by its network, of which one client often has all addresses. */
void guesses_name_source(const char *address, char ret[GUESSES_SOURCE_TEXT_MAX]);
/* One more from there. Returns for how many seconds on there are too many; 0: there are not. */
uint32_t guesses_add(struct guesses *g, const char *source, uint32_t max, uint64_t now_ns);

/* A request showed a wrong key: counts and logs it. Returns the same; 0 as well where nothing is
 * configured that limits them. */
uint32_t guesses_note(struct server *s, const struct exchange *ex);
void guesses_init(struct server *s);
void guesses_close(struct server *s);

#endif
