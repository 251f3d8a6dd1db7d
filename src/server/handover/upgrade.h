/* upgrade.h: has another program take the daemon's place (handover.h): the one that is now where
 * this one was started from, with the same arguments, in the same process.
 *
 * It is tried first: started to read its arguments and its configuration and no more. What it says
 * against them is told to whoever asked, and nothing else happens. Models that are to go, since the
 * configuration has changed, finish what they have before. */
#ifndef SERVER_HANDOVER_UPGRADE_H
#define SERVER_HANDOVER_UPGRADE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/pure/check.h"

#define UPGRADE_ASKERS_MAX 8
/* The value of HANDOVER_ENV in a program that is only tried. */
#define UPGRADE_TRIAL "trial"

struct child;
struct exchange;
struct server;

struct upgrade {
    char **argv;         /* owned, NULL-terminated; [0] is the program's path; NULL: not known */
    struct child *trial; /* NULL: none runs */
    char *output;        /* owned; where it writes */
    bool due;            /* it went well: at the next turn without a model that has to go */
    bool last_turn;      /* signals are blocked, and those that came before are heard of */
    uv_idle_t spin;      /* so that the loop does not sleep in that */
    uint64_t until_ns;   /* for the trial, and then for those models */
    uint64_t askers[UPGRADE_ASKERS_MAX]; /* tags of exchanges; 0: none */
    uv_timer_t timer;
};

/* Notes what this program was started as. */
void upgrade_init(struct server *s);
/* ex waits, and is answered here when nothing comes of it, else by the next program, once that has
 * started; NULL: nobody waits, and failures are logged. */
void upgrade_begin(struct server *s, struct exchange *ex);
/* Whether it waits for an upgrade. */
bool upgrade_is_asked_by(const struct server *s, const struct exchange *ex);
/* Answers those who have asked the program before for this one, which has started. */
void upgrade_answer(struct server *s);
void upgrade_turn(struct server *s);
void upgrade_close(struct server *s);
void upgrade_fini(struct server *s);

/* Whether this program is only tried: it says its version and ends well once it has read its
 * configuration. */
bool upgrade_is_trial(void);

#endif
