/* ollama.h: residents that an Ollama server holds.
 *
 * An endpoint is one server, with a number by which the core knows it as a backend for as long as
 * anything of it is configured or loaded (residents_place). It asks for the list of what is loaded,
 * four times a second while something is under way, else each second or each 5 s, and has
 * backend/ollama.h decide: for each model that is resident, and for itself. What the list has and
 * the core does not know is adopted, list after list, so that nothing depends on having seen it
 * come. */
#ifndef SERVER_RESIDENTS_OLLAMA_H
#define SERVER_RESIDENTS_OLLAMA_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "backend/ollama.h"
#include "backend/ollama_json.h"
#include "core/words.h"
#include "server/residents/resident.h"

struct call;
struct config;
struct ollama_scan;
struct origin;

/* Whose a process of the server's tree is. */
struct ollama_process {
    pid_t pid;
    uint64_t start_ticks;
    enum {
        PROCESS_FREE,
        PROCESS_HELD,
        PROCESS_STRANGE,
        PROCESS_SPENT
    } owner;       /* SPENT: its model
                      has gone */
    uint32_t slot; /* HELD */
};

#define OLLAMA_PROCESSES_MAX 128

/* The server's processes, as far as they can be seen: it starts one for each model. */
struct ollama_tree {
    struct ollama_process items[OLLAMA_PROCESSES_MAX];
    uint32_t count;           /* 0: it cannot be found, or is on another machine */
    pid_t root;               /* takes the connections; 0: not found */
    bool wanted;              /* something new was seen on a device */
    uint64_t searched_ns;     /* when root was looked for in vain */
    struct ollama_scan *scan; /* under way, or NULL */
};

struct ollama_endpoint {
    struct server *server;
    uint32_t number; /* of the backend, from 1 */
    char *url;       /* owned */
    bool used;       /* something of it is configured or resident */
    enum ollama_state state;
    struct origin *origin; /* counted; NULL: not used yet */
    uv_timer_t timer;
    struct call *list, *version_call;
    uint64_t asked_ns;               /* when the list under way was asked for */
    bool soon;                       /* ask for the next one soon: a device is being read */
    bool again;                      /* ask for another as soon as it is there */
    struct ollama_list next;         /* just come, while processes are looked for */
    struct ollama_list listed;       /* the last one */
    bool strange[OLLAMA_LISTED_MAX]; /* of listed: not a model of this configuration's */
    uint32_t stranger_count;
    struct ollama_tree tree;
    char why[256], version[64];
    uint32_t *models; /* owned: slots, as configured */
    uint32_t model_count;
};

struct ollama {
    struct ollama_endpoint *endpoints[CORE_BACKENDS_MAX + 1]; /* by number; [0] is none */
    bool boots; /* the boot is held until all were asked */
    bool closed;
};

/* Embedded in nothing: one a model that is loaded there, or on its way. */
struct ollama_resident {
    struct resident resident; /* first */
    struct ollama_endpoint *endpoint;
    struct ollama_model model;
    struct call *call;
    char *failure;       /* owned; what the server said last, or NULL */
    bool out_of_memory;  /* that it was this */
    bool spilt;          /* told that a part of it is on the CPU */
    uint64_t known_ns;   /* since when its process can be told from a stranger's; 0: not yet */
    uint64_t vram_bytes; /* by the last list; 0: none, or not listed yet */
};

/* ollama_endpoint.c: for residents.c */
struct ollama *ollama_new(void);
/* The boot is held until all have been asked once. */
void ollama_start(struct server *s);
/* The configuration in force says which there are. */
void ollama_follow(struct server *s);
void ollama_close(struct server *s);

/* ollama.c */
struct ollama_resident *ollama_resident_at(const struct ollama_endpoint *e, uint32_t slot);
/* The event, and what it decides; o may be gone then. */
void ollama_feed(struct ollama_resident *o, enum ollama_event ev, uint64_t at_ns);
/* It is there without having been asked for; at: its place in the list. */
void ollama_adopt(struct ollama_endpoint *e, uint32_t slot, const struct ollama_listed *at);
/* What the list says of one that is resident; NULL: nothing. o may be gone then. */
void ollama_look(struct ollama_resident *o, const struct ollama_listed *at, uint64_t asked_ns);

/* The daemon ends, and what is there stays. */
void ollama_drop(struct ollama_resident *o);

/* ollama_endpoint.c */
/* Asks for a list now, or for another when one is under way. Where nothing of it is configured or
 * loaded any more, it is forgotten instead. */
void ollama_endpoint_ask(struct ollama_endpoint *e);
/* For /wharf/status: what it says of itself, and what others have loaded there. */
void ollama_status(const struct server *s, uint32_t backend, struct buf *b);
/* Nobody was there to take a request or a call; why: a clause. */
void ollama_endpoint_refused(struct ollama_endpoint *e, const char *why);
/* The list that has come is used, once the server's processes have been looked for. */
void ollama_endpoint_take(struct ollama_endpoint *e);
/* Whether to look for them first. */
bool ollama_endpoint_changed(const struct ollama_endpoint *e);

/* ollama_tree.c */
/* Looks for the processes off the loop; ollama_endpoint_take follows. */
void ollama_tree_scan(struct ollama_endpoint *e);
/* Whatever is under way is nobody's any more. */
void ollama_tree_close(struct ollama_endpoint *e);
/* Its processes are no other model's any more. */
void ollama_tree_leave(struct ollama_endpoint *e, uint32_t slot);
/* resident_ops.uses */
bool ollama_uses(struct resident *r, uint32_t device, struct resident_claim *claims, uint32_t count,
                 uint64_t *ret_bytes);
/* Whether its devices have been read since its process was known: before, what it uses is in use,
 * and not its own, so that there seems to be less room than there is. Has them read. Not for long.
 */
bool ollama_is_measured(struct ollama_resident *o);
/* Devices of `allowed` on which the model, or what may be it, was last seen. */
uint32_t ollama_seen_on(const struct ollama_endpoint *e, uint32_t allowed);

#endif
