/* hooks.h: commands of the configuration that run when something happens (hooks.on).
 *
 * A hook reads the event from its stdin: the JSON that /wharf/events has, and a line feed. In its
 * environment WHARF_EVENT is the event's type, and WHARF_EVENT_JSON the same JSON unless that is
 * longer than HOOK_ENV_BYTES_MAX. It runs beside everything else and nothing waits for it: at most
 * HOOKS_RUNNING_MAX at once and HOOKS_WAITING_MAX behind them, each for hooks.timeout. What is
 * beyond that is not run, and logged. What a hook prints goes to the daemon's log when it ends. */
#ifndef SERVER_HOOKS_H
#define SERVER_HOOKS_H

#include <stdbool.h>
#include <uv.h>

#define HOOKS_RUNNING_MAX 4
#define HOOKS_WAITING_MAX 64
/* Linux refuses variables of 128 KiB and more. */
#define HOOK_ENV_BYTES_MAX (32 * 1024)

struct child;
struct config_ref;
struct server;

/* A hook that runs, or waits for its turn. */
struct hook {
    struct server *server;
    struct config_ref *config; /* counted; NULL: this one is free */
    uint32_t index;            /* in the configuration */
    char *json;                /* owned; the event */
    struct child *child;       /* NULL while it waits */
    uint64_t killed_at_ns;     /* when its time is over */
    char *output;              /* owned; path of the file that it prints into */
};

struct hooks {
    struct hook running[HOOKS_RUNNING_MAX];
    struct hook waiting[HOOKS_WAITING_MAX]; /* a ring */
    uint32_t first, waiting_count;
    uint64_t dropped, dropped_ever; /* since that was last logged; since the start */
    uv_timer_t timer;               /* of the next one whose time is over */
    bool stopping;
};

void hooks_init(struct server *s);
uint32_t hooks_running(const struct hooks *hooks);
/* Whether some hook wants events of the type. */
bool hooks_want(const struct server *s, const char *type);
/* An event was published. */
void hooks_event(struct server *s, const char *type, const char *json);
/* The daemon ends: what runs gets a short while to finish; nothing is begun after this. */
void hooks_stop(struct server *s);
void hooks_close(struct server *s);
/* After the loop has ended. */
void hooks_fini(struct server *s);

#endif
