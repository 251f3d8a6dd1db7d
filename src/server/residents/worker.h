/* worker.h: the resident that a program of somebody's own holds, which has registered for a model.
 *
 * Each slot has a seat from its first LOAD or registration on, for the daemon's life; whoever sits
 * there is known by a token. What is asked of it goes out as lines of the connection that it holds,
 * and comes back as answers with its number; backend/worker decides what follows. */
#ifndef SERVER_RESIDENTS_WORKER_H
#define SERVER_RESIDENTS_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "server/residents/resident.h"

struct exchange;
struct origin;
struct server;

/* What it says of itself. */
struct worker_terms {
    uint32_t slot;         /* of a configured model whose backend is a worker */
    uint32_t offered;      /* bit i: it can sit as placement i of its configuration says */
    const char *device;    /* where it holds the model; NULL: nowhere; see worker_check */
    pid_t pid;             /* 0: not known */
    uint64_t bytes;        /* on each of its devices, where nobody can measure; 0: not said */
    struct origin *origin; /* taken: where its requests go; NULL: it takes none */
};

/* Its answer to an order. */
struct worker_reply {
    uint64_t id;
    bool ok;
    const char *device; /* where it holds the model now; NULL: nowhere */
    uint64_t bytes;     /* 0: not said */
    const char *error;  /* NULL: not said */
};

/* Whether a worker of that model can be on a device of that name, or, with NULL, nowhere. -1, with
 * a sentence: the model has none such, or no GPU for it is present. */
int worker_check(const struct server *s, const struct config_model *m, const char *device,
                 struct err *err) warn_unused;
/* 0, or -1 with a sentence: there is one already, or one that was dropped a moment ago. */
int worker_admits(struct server *s, uint32_t slot, struct err *err) warn_unused;
/* Begins the answer that it holds. To be called after worker_admits and worker_check. */
void worker_join(struct server *s, struct exchange *ex, const struct worker_terms *terms);

struct worker;
/* NULL: nobody has this token. */
struct worker *worker_find(struct server *s, const char *token);
/* 0; 1, with a sentence: that order is not open; -1, with one: the answer makes no sense. */
int worker_answer(struct worker *w, const struct worker_reply *reply, struct err *err) warn_unused;
/* It takes its leave. */
void worker_leave(struct worker *w);

extern const struct resident_ops resident_worker;

/* The part's life. */
void workers_init(struct server *s);
/* Those whose model is configured otherwise, or not any more, are told to go, once it has been
 * unloaded. */
void workers_reload(struct server *s, const struct config_ref *old);
void workers_close(struct server *s);

#endif
