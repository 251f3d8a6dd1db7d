/* limits.h: what bounds the daemon, as /wharf/status shows it and docs/limits.md tells it: the rows
 * of limits.def. Each is enforced where the thing is; here is what one sees of it, and who may come
 * in as a client. */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct server;

/* Of those who come over a unix socket, so many are let in when all other places are taken:
 * whoever runs the machine can look, and unload, in any crowd. */
#define CONNECTIONS_KEPT 32
/* Of those who are turned away, so many are given the time to read why. */
#define CONNECTIONS_TURNED_AWAY 64

enum limit {
#define LIMIT(name, ...) LIMIT_##name,
#include "server/limits.def"
    LIMIT__COUNT
};
extern const char *const limit_names[LIMIT__COUNT];

struct limits {
    uint32_t connections_max;       /* what maxConnections and the descriptors allow */
    uint32_t turned_away;           /* clients that are only there to be told so */
    bool connections_full;          /* told as degraded */
    uint32_t peak;                  /* connections since memory was last given back, */
    uint64_t tidied_ms;             /* then */
    uint64_t refused[LIMIT__COUNT]; /* how often each was in somebody's way */
};

/* How far a limit is used up. */
#define LIMIT_UNKNOWN UINT64_MAX /* there is no such thing */
struct limit_now {
    uint64_t used, max, refused;
};

/* Whether one more client may come in, who is not on the list yet. */
bool limits_admit(struct server *s, bool is_unix);
/* One has gone. */
void limits_client_left(struct server *s);
/* Between callbacks: what a crowd has left behind goes back to the system. */
void limits_tidy(struct server *s);
/* Somebody was refused for it. */
void limits_refused(struct server *s, enum limit which);
/* Somebody is told of that error (errors.def), whose sign does not matter. */
void limits_count(struct server *s, int error);
void limits_look(const struct server *s, struct limit_now ret[LIMIT__COUNT]);
const char *limit_unit(enum limit which);
/* The key of the configuration; NULL: it is fixed. */
const char *limit_setting(enum limit which);

#endif
