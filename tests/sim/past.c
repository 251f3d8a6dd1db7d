/* Seeds that failed once, told again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"

/* Lines of "SEED [STEPS]"; what follows a # is said to the reader. */
uint64_t sim_run_file(const char *path, const struct sim_options *o)
{
    char line[256];
    uint64_t failed = 0, count = 0;
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(2);
    }
    while (fgets(line, sizeof(line), f)) {
        struct sim_options one = *o;
        struct sim_finding found;
        char *end;
        uint64_t seed = strtoull(line, &end, 10);
        if (end == line)
            continue;
        uint64_t steps = strtoull(end, NULL, 10);
        one.steps = steps ? steps : o->steps;
        sim_run_seed(seed, &one, NULL, &found);
        count++;
        if (found.rule == RULE_NONE)
            continue;
        printf("seed %" PRIu64 ": %s: %s\n", seed, rule_name(found.rule), found.text);
        failed++;
    }
    fclose(f);
    printf("%" PRIu64 " past seeds, %" PRIu64 " failed\n", count, failed);
    return failed;
}
