#include "report/report.h"

#include <stdlib.h>

void report_make(const struct past *r, struct report *ret)
{
    *ret = (struct report){.past = r};
    absences_find(r, &ret->absences);
    report_sum(ret);
    report_sum_hours(ret);
    report_find_worst(ret);
}

void report_fini(struct report *r)
{
    for (uint32_t i = 0; i < r->policies.count; i++)
        sim_result_fini(&r->policies.results[i]);
    free(r->policies.results);
    free(r->models);
    free(r->clients);
    free(r->leases);
    free(r->pairs);
    free(r->hours);
    absences_fini(&r->absences);
    *r = (struct report){.past = NULL};
}
