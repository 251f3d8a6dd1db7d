/* The correctness simulator: the real core in simulated worlds, under a judge.
 *
 *     sim --seeds 1..1000 [--steps N] [--jobs N] [--check-every N] [--seconds N] [--keep-going]
 *     sim --seed 17 --trace        tells one world in full
 *     sim --seed 17 --shrink       makes it short and prints it as a story
 *     sim --file seeds.txt         all past failures
 *     sim --fresh --seconds 60     seeds that nobody has seen yet */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim.h"

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n = text ? strtoull(text, &end, 10) : 0;
    if (!text || *end) {
        fprintf(stderr, "not a number: %s\n", text ? text : "(none)");
        exit(2);
    }
    return n;
}

static void range(struct sim_options *o, char *text)
{
    char *dots = strstr(text, "..");
    if (!dots) {
        o->from = o->to = number(text);
        return;
    }
    *dots = '\0';
    o->from = number(text);
    o->to = number(dots + 2);
}

/* Lines of "SEED [STEPS]"; what follows a # is said to the reader. */
static uint64_t run_file(const char *path, const struct sim_options *o)
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

int main(int argc, char **argv)
{
    struct sim_options o = {.from = 1, .to = 100, .steps = 2000, .jobs = 1, .check_every = 1};
    bool trace = false;
    const char *file = NULL;
    for (int i = 1; i < argc; i++) {
        char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--shrink") == 0)
            o.shrink = true;
        else if (strcmp(argv[i], "--verbose") == 0)
            o.verbose = true;
        else if (strcmp(argv[i], "--same") == 0)
            o.same = true;
        else if (strcmp(argv[i], "--keep-going") == 0)
            o.keep_going = true;
        else if (strcmp(argv[i], "--fresh") == 0) {
            o.from = (uint64_t)time(NULL) * 1000000;
            o.to = o.from + 999999;
            printf("seeds from %" PRIu64 "\n", o.from);
        } else if ((strcmp(argv[i], "--seeds") == 0 || strcmp(argv[i], "--seed") == 0) && value)
            range(&o, argv[++i]);
        else if (strcmp(argv[i], "--steps") == 0)
            o.steps = number(argv[++i]);
        else if (strcmp(argv[i], "--jobs") == 0)
            o.jobs = (uint32_t)number(argv[++i]);
        else if (strcmp(argv[i], "--check-every") == 0)
            o.check_every = (uint32_t)number(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0)
            o.seconds = number(argv[++i]);
        else if (strcmp(argv[i], "--file") == 0)
            file = argv[++i];
        else {
            fprintf(stderr, "sim: what is %s?\n", argv[i]);
            return 2;
        }
    }
    if (file)
        return run_file(file, &o) != 0;
    if (trace)
        sim_trace_seed(o.from, &o);
    else if (o.shrink && o.from == o.to)
        sim_shrink_seed(o.from, &o);
    else
        return sim_run_seeds(&o) != 0;
    return 0;
}
