/* The simulator's world (tests/sim) with the input in place of chance: the first two bytes choose
 * what the world is like, each of the others what happens next in it, in odd orders and with lies
 * where it is such a world. What must hold after every step is said by the core's own checks and by
 * the judge; when the input is used up, everything has to come to rest. WHARF_FUZZ_TRACE in the
 * environment tells what happened. */
#include <stdio.h>
#include <stdlib.h>

#include "sim.h"
#include "world/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

/* More than the choices of the longest input can become. */
#define STEPS_MAX 4000

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 2)
        return 0;
    struct world *w = world_new((uint64_t)input[0] << 8 | input[1], NULL);
    w->run.check_every = 1;
    if (getenv("WHARF_FUZZ_TRACE"))
        w->run.trace = stdout;
    world_choose(w, input + 2, size - 2);
    enum rule rule = world_live(w, STEPS_MAX);
    if (rule != RULE_NONE) {
        printf("step %llu: %s (%s): %s\n", (unsigned long long)w->run.steps, rule_name(rule),
               rule_where(rule), w->run.judge->text);
        fflush(stdout);
        abort();
    }
    world_free(w);
    return 0;
}
