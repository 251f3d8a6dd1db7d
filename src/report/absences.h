/* absences.h: who was not there, since when, for whose sake, and who waited because of that.
 *
 * An absence of a model begins when it is told to leave (unload, suspend) and ends when it has been
 * loaded again. Each second that a request for it waits within an absence is charged to the one for
 * whom it left: a model, and with it the client whose request was the first that waited for that
 * model; or a lease. Where it left for a model while leases held at least as many bytes of the same
 * devices as all that left together had, nobody would have had to leave without these leases: then
 * it is charged to them, by their bytes. Who left by himself (idleness, a command) is nobody's
 * fault. What came before it is not looked at: every model that is put out and comes back puts out
 * others in its turn, and charges that went back to the first of them would blame whoever came
 * first. docs/report.md says the same to users. */
#ifndef REPORT_ABSENCES_H
#define REPORT_ABSENCES_H

#include "report/past.h"

/* A lease's part in why somebody is absent. */
struct absence_share {
    uint32_t lease; /* its name's number */
    double part;    /* of 1 */
};

struct absence {
    uint32_t model;
    uint32_t for_model, for_lease; /* 0: none */
    uint32_t key;                  /* whose request it left for; 0: not known */
    uint64_t from_ns, to_ns;       /* to_ns 0: it never came back, or nobody knows when */
    uint64_t left_ns;              /* when it was told to leave; from_ns may be later (see .c) */
    uint64_t reload_ns;            /* of the load that ended it */
    uint64_t bytes;
    uint32_t next;                /* of those that left for the same load; UINT32_MAX: the last */
    uint32_t first_share, shares; /* of absences.shares; 0: the for_… above answer for it */
    uint32_t requests;            /* that waited in it */
    uint64_t waited_ns;           /* how long all of them did, in it */
    uint64_t others_ns;           /* those of clients other than `key` */
};

/* When a model was there: loaded, or suspended and resumed. */
struct stay {
    uint32_t model;
    uint64_t loading_ns, from_ns, to_ns; /* told to load, there, told to leave */
};

struct absences {
    struct absence *items; /* owned, as all arrays; in order of from_ns */
    struct absence_share *shares;
    struct stay *stays; /* in order of their loads */
    uint32_t count, count_max, share_count, share_max, stay_count, stay_max;
};

/* r: in order, by past_window. Who has no begin or end in the record is taken to have been there
 * from its begin, or to its end. */
void absences_find(const struct past *r, struct absences *ret);
void absences_fini(struct absences *a);

#endif
