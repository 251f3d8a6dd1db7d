/* The correctness simulator: the real core in simulated worlds, under a judge.
 *
 *     sim --seeds 1..1000 [--steps N] [--jobs N] [--check-every N] [--seconds N] [--total N]
 *         [--keep-going]
 *     sim --seed 17 --trace        tells one world in full
 *     sim --seed 17 --shrink       makes it short and prints it as a story
 *     sim --file seeds.txt         all past failures
 *     sim --fresh --seconds 60     seeds that nobody has seen yet */
#include "sim.h"

int main(int argc, char **argv)
{
    struct sim_options o = {.from = 1, .to = 100, .steps = 2000, .jobs = 1, .check_every = 1};
    sim_take_options(&o, argc, argv);
    if (o.file)
        return sim_run_file(o.file, &o) != 0;
    if (o.trace)
        sim_trace_seed(o.from, &o);
    else if (o.shrink && o.from == o.to)
        sim_shrink_seed(o.from, &o);
    else
        return sim_run_seeds(&o) != 0;
    return 0;
}
