/* wharf/broker_setup.h: what a program tells a broker of itself: its devices, its models, and how it
 * loads, unloads and moves them. Names are the program's own. */
#ifndef WHARF_BROKER_SETUP_H
#define WHARF_BROKER_SETUP_H

#include <wharf/api.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WHARF_DEVICES_MAX 8
#define WHARF_PLACEMENTS_MAX 4

struct wharf_device {
    const char *name; /* "cuda", "gpu0"; "cpu" is not one of them: it is always there */
    uint64_t total_bytes;
    uint64_t reserve_bytes; /* never given out */
    uint32_t limit_permille; /* nor more than this share of total; 0: all of it */
};

/* One way in which a model may sit. */
struct wharf_placement {
    const char *device;      /* of the devices, or "cpu", which takes none of their memory */
    uint64_t bytes;          /* that it takes there; 0: not known, so that it has the device alone */
    uint64_t free_bytes_min; /* it is moved there only where this much is free */
};

struct wharf_model {
    const char *name;
    const struct wharf_placement *placements; /* the one that is liked best first */
    uint32_t placement_count;
    bool movable; /* between its placements, while it is loaded */
    bool yields;  /* moves to the cpu before anything else is loaded onto its device */
    bool pinned;  /* never made to leave */
    uint32_t slots_max;        /* served at once; 0 counts as 1 */
    uint32_t load_retries_max; /* failed loads in a row that those who wait live through */
    uint64_t ttl_ns;           /* idle for so long, it is unloaded; 0: never */
    uint64_t load_ns_max, unload_ns_max; /* then it has failed; 0: 30 s and 5 s. Also of a move */
};

/* What a mode wants of a model. */
struct wharf_wish {
    const char *model;
    bool unloaded;      /* else loaded, */
    const char *device; /* there; NULL: wherever it can be */
};

struct wharf_mode {
    const char *name;
    const struct wharf_wish *wishes;
    uint32_t wish_count;
};

struct wharf_named_gate {
    const char *name;
    uint32_t limit;
};

/* What happens, for whoever wants to know: the public events of the daemon, by the same names. */
struct wharf_event {
    const char *type;   /* "model_loaded", "device_changed" … */
    const char *model;  /* NULL: it is not about one */
    const char *device; /* NULL: none, or "cpu" */
    const char *why;    /* "" where that goes without saying */
    uint64_t bytes;     /* on the device */
    uint64_t duration_ns;
};

/* How it is done. Each is called on threads of the broker, without any lock, and may block; of one
 * model one at a time. 0, or a negative errno: -ENOMEM from load is "out of device memory". */
struct wharf_broker_ops {
    int (*load)(void *arg, const char *model, const char *device);
    int (*unload)(void *arg, const char *model);
    int (*move)(void *arg, const char *model, const char *device); /* NULL: nothing is movable */
    /* Bytes in use on the device, by whomever. NULL: what the broker knows of is all there is. */
    int (*sample)(void *arg, const char *device, uint64_t *ret_used_bytes);
    void (*event)(void *arg, const struct wharf_event *e); /* in order; NULL: nobody listens */
};

/* Copied by wharf_broker_new, but for arg. */
struct wharf_broker_options {
    const struct wharf_device *devices;
    uint32_t device_count;
    const struct wharf_model *models;
    uint32_t model_count;
    const struct wharf_mode *modes;
    uint32_t mode_count;
    const struct wharf_named_gate *gates;
    uint32_t gate_count;
    struct wharf_broker_ops ops;
    void *arg; /* of ops */
};

#ifdef __cplusplus
}
#endif

#endif
