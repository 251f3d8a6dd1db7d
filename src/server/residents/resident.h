/* resident.h: a model's server of any kind, from its LOAD (or its adoption) to its end.
 *
 * The runner knows residents through a table of functions, one for each kind. An order of the
 * core's opens an op; the kind performs it and says how it ended by one resident_complete, later,
 * never from inside the order. Whatever the end, one table says what the core is told, and an end
 * that comes too late is dropped. A kind that cannot do something has NULL there: the op ends as
 * one that could not even be tried. Those who ask for residents include residents.h. */
#ifndef SERVER_RESIDENTS_RESIDENT_H
#define SERVER_RESIDENTS_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/core.h"

struct buf;
struct config_model;
struct config_ref;
struct origin;
struct resident;
struct server;

/* What the core has ordered. */
struct resident_order {
    uint64_t op;        /* never 0 */
    uint32_t placement; /* LOAD MOVE RESUME: CORE_SLOT_NONE: takes no device */
    uint32_t devices;   /* a mask */
    uint64_t bytes;     /* on each of devices, as planned */
};

enum resident_open {
    RESIDENT_IDLE, /* no op is open */
    RESIDENT_LOAD,
    RESIDENT_UNLOAD,
    RESIDENT_MOVE,
    RESIDENT_SUSPEND,
    RESIDENT_RESUME,
    RESIDENT_OPEN__COUNT
};

/* How an op ended, or, with none open, what became of the model by itself. */
enum resident_end {
    RESIDENT_DONE,
    RESIDENT_FAILED,    /* LOAD: nothing of it is left; else as AT_SOURCE */
    RESIDENT_AT_SOURCE, /* it is as it was before the op, and serves */
    RESIDENT_AT_TARGET, /* MOVE: it has come there, though not as it should */
    RESIDENT_GONE,      /* nothing of it is left */
    RESIDENT_STUCK,     /* it cannot be ended; GONE follows when it has */
    RESIDENT_BROKEN,    /* it takes no requests any more, and is not gone yet */
    RESIDENT_UNKNOWN,   /* its backend is down, which the core is told as such */
    RESIDENT_END__COUNT
};

/* Memory that a process was seen to use on a device. */
struct resident_claim {
    pid_t pid;
    uint64_t bytes;
    uint32_t slot;   /* whose it is; CORE_SLOT_NONE: no model's, so far */
    struct id lease; /* whose it is otherwise, as the core calls it; none: nobody's */
    bool known;      /* it was looked up before, which may be costly; then nobody's is a stranger's,
                        unless a kind knows it without a look */
};

/* What there is to see of it. */
struct resident_view {
    int pid;          /* the main process, which is this model's alone; 0: none that is known */
    uint16_t port;    /* 0 without pid */
    const char *deaf; /* a clause, static: why it takes no requests at all; NULL: it does */
};

/* What several models of a kind share, and what may be down as a whole. */
struct resident_backend {
    const char *name, *reason;
    const uint32_t *models; /* slots */
    uint32_t model_count;
    bool unused; /* nothing of it is configured or loaded any more */
};

struct resident_ops {
    const char *word; /* the kind's name */
    /* Makes one, by resident_begin, and opens the LOAD. */
    void (*load)(struct server *s, uint32_t slot, const struct resident_order *order);
    void (*unload)(struct resident *r);
    void (*move)(struct resident *r); /* NULL: cannot; to r->order */
    void (*suspend)(struct resident *r);
    void (*resume)(struct resident *r);
    /* Hurry: the LOAD, or the op that is not a LOAD. It ends in bounded time after that. */
    void (*abort)(struct resident *r);
    void (*kill)(struct resident *r);
    /* Where requests go now; NULL: nobody is there to take them. Borrowed. */
    struct origin *(*origin)(struct resident *r);
    /* A request found nobody there. */
    void (*refused)(struct resident *r);
    /* Marks the claims that are its own, out of those that are not known and nobody's so far, and
     * says what it uses in all on that device; false: it is not seen there. NULL: what its main
     * process was seen to use is all. */
    bool (*uses)(struct resident *r, uint32_t device, struct resident_claim *claims, uint32_t count,
                 uint64_t *ret_bytes);
    void (*describe)(const struct resident *r, struct resident_view *ret);
    /* Looks whether that backend is up again, if it is one of its kind. NULL: the kind has none. */
    void (*probe)(struct server *s, uint32_t backend);
    /* Its name and why it is down; false: none of its kind. NULL without probe alone. Borrowed. */
    bool (*backend)(struct server *s, uint32_t backend, struct resident_backend *ret);
    /* What else /wharf/status says of it: members, each behind a comma. NULL: nothing. */
    void (*status)(const struct server *s, uint32_t backend, struct buf *b);
};

/* The first member of each kind's own struct, which owns it. */
struct resident {
    const struct resident_ops *ops;
    struct server *server;
    struct config_ref *config;        /* counted: what it began with */
    const struct config_model *model; /* of that configuration */
    uint32_t slot, placement, devices;
    enum resident_open open;
    struct resident_order order; /* of the op that is open */
    uint64_t open_ns;            /* for so long, as far as the daemon ran */
    bool overdue;                /* said once an op */
    bool called_off;             /* its LOAD was given up while it had time left: no failure */
};

extern const struct resident_ops resident_process, resident_ollama;

/* Of which kind a model is, which is decided here alone. */
const struct resident_ops *resident_kind_of(const struct server *s, const struct config_model *m);

/* Puts it into its model's place, which is free, with the LOAD open; order NULL: with nothing open,
 * since it is there already. */
void resident_begin(struct resident *r, const struct resident_ops *ops, struct server *s,
                    uint32_t slot, const struct resident_order *order);
/* Tells the core that it is there already, where, and how far it had come; one that was loading is
 * loaded at once, by its kind's load. */
void resident_adopt(struct resident *r, uint32_t placement, uint32_t devices, enum adopted how);
/* The LOAD of one that is in its place already. */
void resident_take_over(struct resident *r, const struct resident_order *order);
/* why: REASON_NONE: the usual one. residue_bytes: of a SUSPEND, on each device; 0: not known.
 * After an end that leaves nothing, its place is free already, and when this returns another may be
 * there. */
void resident_complete(struct resident *r, enum resident_end end, enum reason why,
                       uint64_t residue_bytes);
/* Its place is free, and its configuration is let go. */
void resident_fini(struct resident *r);
/* For a kind's uses: the sum of the claims that are marked as its own; false: none is. */
bool resident_claimed(const struct resident *r, const struct resident_claim *claims, uint32_t count,
                      uint64_t *ret_bytes);

#endif
