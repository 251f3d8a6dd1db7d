/* policies.h: what other policies would have made of the recorded requests, by the simulator. */
#ifndef REPORT_POLICIES_H
#define REPORT_POLICIES_H

#include "config/config.h"
#include "report/report.h"

/* Fills in r->policies: the configuration's own policy and all others that make sense for it, each
 * with the requests and leases of the record, served as long as they were, with models that take as
 * long to load as they did. Where that cannot be, policies.why_not says why. */
void report_simulate(struct report *r, const struct config *c);
/* Says so without trying. */
void report_simulate_not(struct report *r, const char *why);

#endif
