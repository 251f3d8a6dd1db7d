/* wharf/lease.h: memory of GPUs and slots of gates that a daemon lends to this program, until it gives
 * them back, or ends. Errors are those of client.h.
 *
 * A lease is held by its connection: when the program dies, the daemon has it back at once. One with
 * a ttl needs no connection, and is over when it has not been renewed in time. One thread owns a
 * lease. */
#ifndef WHARF_LEASE_H
#define WHARF_LEASE_H

#include <wharf/client.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Texts are read during the call alone. At least one of bytes and gates. */
struct wharf_lease_ask {
    const char *name;            /* for people; NULL: none */
    uint64_t bytes;              /* on each of the devices; 0: none */
    uint32_t device_count;       /* how many; 0: one */
    const char *const *devices;  /* only these, by name; NULL: any */
    uint32_t devices_listed;     /* how many stand in devices */
    const char *const *gates;    /* a slot of each */
    uint32_t gate_count;
    enum wharf_class wharf_class;
    int64_t wait_ns; /* longest wait, as the daemon keeps it: WHARF_FOREVER; 0: at once or not */
    int64_t ttl_ns;  /* 0: held by the connection */
    int64_t run_ns;  /* it will be over within; 0: not known */
    bool revocable;  /* it may be asked back, and ends grace_ns later */
    int64_t grace_ns;
};

struct wharf_lease;
enum wharf_lease_state {
    WHARF_LEASE_WAITS,
    WHARF_LEASE_GRANTED,
    WHARF_LEASE_REVOKED, /* give it back: it ends by itself when its grace is over */
    WHARF_LEASE_ENDED,
};

/* Asks for it, and returns with the daemon's first word: it is granted, or waits. With a ttl: when it
 * is granted. */
WHARF_API int wharf_lease_begin(struct wharf_client *c, const struct wharf_lease_ask *ask,
                                const struct wharf_limits *l, struct wharf_lease **ret,
                                char **ret_text);
/* Until it is granted: 0; -ENOSPC, -EAGAIN and others: it was refused, and has ended; -ETIMEDOUT,
 * -ECANCELED: it still waits. */
WHARF_API int wharf_lease_wait(struct wharf_lease *s, const struct wharf_limits *l,
                               char **ret_text);
/* The next that the daemon says of it, one JSON object: 0; -ETIMEDOUT: nothing yet; -EPROTO: the
 * connection is gone (see resume); -EIO: it has ended, and nothing more comes. */
WHARF_API int wharf_lease_next(struct wharf_lease *s, const struct wharf_limits *l,
                               char **ret_text);
/* Readable when wharf_lease_next may have something; call that until it says -ETIMEDOUT. -1: with a
 * ttl there is none. */
WHARF_API int wharf_lease_fd(const struct wharf_lease *s);

/* As the daemon has last said; texts are the lease's, until it says more. */
struct wharf_lease_info {
    enum wharf_lease_state state;
    const char *id, *token;  /* token: a secret that is the right to it */
    uint32_t position;       /* WAITS: 1 is next; 0: not known */
    double estimate_s;       /* WAITS: until it is granted; less than 0: not known */
    const char *why;         /* what it waits for, or why it was revoked or has ended; "" */
    double expires_s;        /* with a ttl: from when that was said; less than 0: never */
    uint32_t device_count;
    uint64_t bytes;          /* GRANTED: on the first device */
};
WHARF_API void wharf_lease_info(const struct wharf_lease *s, struct wharf_lease_info *ret);
/* The name of the i-th device that was granted; NULL: there are fewer. */
WHARF_API const char *wharf_lease_device(const struct wharf_lease *s, uint32_t i);
/* What to set in the environment of the job, such as CUDA_VISIBLE_DEVICES: the i-th name and value.
 * False: there are fewer. */
WHARF_API bool wharf_lease_environment(const struct wharf_lease *s, uint32_t i,
                                       const char **ret_name, const char **ret_value);

/* With a ttl: it lives on; one that is asked back meanwhile is REVOKED then, and ends all the same. */
WHARF_API int wharf_lease_renew(struct wharf_lease *s, const struct wharf_limits *l,
                                char **ret_text);
/* Takes it up again after its connection has broken, as when the daemon was restarted, which keeps it
 * for 30 s: -ENOENT: it is over; -EACCES: it is somebody else's. */
WHARF_API int wharf_lease_resume(struct wharf_lease *s, const struct wharf_limits *l,
                                 char **ret_text);
/* Gives it back and frees it. NULL is allowed. What a ttl holds needs a request for that: its answer,
 * 0 for others; l bounds it. */
WHARF_API int wharf_lease_end(struct wharf_lease *s, const struct wharf_limits *l);

/* A slot of one gate of the daemon's, held by the connection: waits for it at most as long as l says.
 * wharf_lease_end leaves. */
WHARF_API int wharf_client_gate(struct wharf_client *c, const char *gate, enum wharf_class wharf_class,
                                const struct wharf_limits *l, struct wharf_lease **ret);

#ifdef __cplusplus
}
#endif

#endif
