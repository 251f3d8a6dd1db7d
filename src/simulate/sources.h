/* sources.h: everything that a workload is made of, and how: traces or generators, who asks for
 * what, how fast time goes. */
#ifndef SIMULATE_SOURCES_H
#define SIMULATE_SOURCES_H

#include "base/err.h"
#include "config/config.h"
#include "simulate/workload.h"

#define SOURCES_MAX 64

struct sources {
    const char *traces[SOURCES_MAX]; /* paths; borrowed, as all texts */
    uint32_t trace_count;
    const char *generators[SOURCES_MAX];
    uint32_t generator_count;
    uint32_t rows_max; /* the first so many, of all together; 0: all */
    double stretch;
    double offered_load; /* instead of stretch, unless 0 */
    double zipf;
    struct work_assign assign;
    struct work_speed speed;
    uint64_t seed;
};

/* What holds unless somebody says otherwise. */
void sources_init(struct sources *s);
/* Sets s->assign from "independent", "sticky" or "sticky:USERS:KEEP". 0, or -1 with e set. */
int sources_parse_assign(struct sources *s, const char *text, struct err *e) warn_unused;
/* Reads and makes it all. 0, and the workload is the caller's; or -1 with e set. */
int sources_read(const struct sources *s, const struct config *config, struct workload *ret,
                 struct err *e) warn_unused;

#endif
