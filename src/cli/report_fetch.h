/* report_fetch.h: what a report needs of a running daemon: its records, page by page, and its
 * configuration. */
#ifndef CLI_REPORT_FETCH_H
#define CLI_REPORT_FETCH_H

#include "cli/session.h"
#include "report/past.h"

/* Requests from from_ns on, and swaps and leases from some time before, all before to_ns, from
 * /wharf/history/, and the leases that are held. CLI_DONE, or another status after saying why. */
int report_fetch(const struct session *s, uint64_t from_ns, uint64_t to_ns,
                 struct past *r) warn_unused;

/* Its configuration, as it prints it, without secrets, and the memory of its devices, as --gpus
 * takes it; "" where it knows of none. 0, or -1 with why set: an answer that is none, or a key that
 * may not see it. */
int report_fetch_config(const struct session *s, struct buf *text, struct buf *sizes,
                        struct err *why) warn_unused;

#endif
