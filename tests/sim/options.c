/* The command line of the simulator. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/pure/check.h"
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

/* Options that stand alone; false: it is none. */
static bool take_flag(struct sim_options *o, const char *name)
{
    if (strcmp(name, "--fresh") == 0) {
        o->from = (uint64_t)time(NULL) * 1000000;
        o->to = o->from + 999999;
        printf("seeds from %" PRIu64 "\n", o->from);
        return true;
    }
    struct {
        const char *name;
        bool *on;
    } flags[] = {{"--trace", &o->trace},
                 {"--shrink", &o->shrink},
                 {"--verbose", &o->verbose},
                 {"--same", &o->same},
                 {"--keep-going", &o->keep_going}};
    for (size_t i = 0; i < countof(flags); i++)
        if (strcmp(name, flags[i].name) == 0)
            return *flags[i].on = true;
    return false;
}

static void take_value(struct sim_options *o, const char *name, char *value)
{
    uint64_t check_every = o->check_every, jobs = o->jobs;
    struct {
        const char *name;
        uint64_t *n;
    } numbers[] = {{"--steps", &o->steps},
                   {"--jobs", &jobs},
                   {"--check-every", &check_every},
                   {"--seconds", &o->seconds},
                   {"--total", &o->steps_max}};
    if (strcmp(name, "--file") == 0) {
        o->file = value;
        return;
    }
    if (strcmp(name, "--seeds") == 0 || strcmp(name, "--seed") == 0) {
        range(o, value);
        return;
    }
    for (size_t i = 0; i < countof(numbers); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].n = number(value);
            o->check_every = (uint32_t)check_every;
            o->jobs = (uint32_t)jobs;
            return;
        }
    }
    fprintf(stderr, "sim: what is %s?\n", name);
    exit(2);
}

void sim_take_options(struct sim_options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (take_flag(o, argv[i]))
            continue;
        take_value(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        i++;
    }
}
