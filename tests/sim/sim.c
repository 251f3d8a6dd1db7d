#include "sim.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "replay.h"
#include "tale.h"
#include "world/world.h"

/* A step that takes this long in processor time has not ended. */
#define STEP_S_MAX 20
#define FINDINGS_MAX 256

/* What the processes share: each writes its own part. */
struct share {
    volatile uint64_t seed; /* at work on it */
    struct counts counts;
    uint64_t steps;
    uint32_t finding_count;
    struct sim_finding findings[FINDINGS_MAX];
};

void sim_run_seed(uint64_t seed, const struct sim_options *o, struct counts *counts,
                  struct sim_finding *ret)
{
    struct world *w = world_new(seed, counts);
    w->run.check_every = o->check_every;
    enum rule rule = world_live(w, o->steps);
    *ret = (struct sim_finding){.seed = seed,
                                .steps = w->run.steps,
                                .now_ns = w->run.now_ns,
                                .hash = w->run.hash,
                                .rule = rule};
    memcpy(ret->text, w->run.judge->text, sizeof(ret->text));
    if (counts) {
        counts->seeds++;
        counts->steps += w->run.steps;
    }
    world_free(w);
}

static void print_finding(const struct sim_finding *f)
{
    printf("seed %" PRIu64 ", step %" PRIu64 ", at %" PRIu64 ".%03" PRIu64 "s: %s (%s: %s): %s\n",
           f->seed, f->steps, f->now_ns / NS_PER_S, f->now_ns % NS_PER_S / NS_PER_MS,
           rule_name(f->rule), rule_where(f->rule), rule_text(f->rule), f->text);
    fflush(stdout);
}

void sim_trace_seed(uint64_t seed, const struct sim_options *o)
{
    struct world *w = world_new(seed, NULL);
    w->run.check_every = o->check_every;
    w->run.trace = stdout;
    enum rule rule = world_live(w, o->steps);
    printf("%s: %s\n", rule_name(rule), w->run.judge->text);
    world_free(w);
}

static void print_tape(const struct tape *t, enum rule rule, const struct replay_how *how,
                       const char *text)
{
    printf("# %s (%s): %s\n", rule_name(rule), rule_where(rule), text);
    if (!how->ticks)
        printf("# deadlines are late here: the story language cannot say that\n");
    tale_print(t, stdout);
    printf("# what it does:\n");
    fflush(stdout);
    struct replay r;
    struct replay_how shown = *how;
    shown.trace = stdout;
    replay_tape(t, &shown, &r);
    replay_fini(&r);
}

void sim_shrink_seed(uint64_t seed, const struct sim_options *o)
{
    struct world *w = world_new(seed, NULL);
    struct tape tape = {.limits = w->run.limits, .terms = w->run.judge->terms};
    w->run.check_every = o->check_every;
    w->run.tape = &tape;
    enum rule rule = world_live(w, o->steps);
    char text[200];
    memcpy(text, w->run.judge->text, sizeof(text));
    struct replay_how how = {.peace = rule == RULE_LIVENESS || rule == RULE_WISH ||
                                      rule == RULE_UNANSWERED};
    printf("# seed %" PRIu64 ": %zu events\n", seed, tape.count);
    if (how.peace)
        while (tape.count > w->peace_from) {
            free(tape.items[--tape.count].payload);
            free(tape.items[tape.count].use_tags);
        }
    world_free(w);
    if (rule == RULE_NONE)
        printf("# nothing is broken\n");
    else if (!shrink_tape(&tape, rule, text, &how))
        printf("# %s: %s\n# told again without the world, it does not break\n", rule_name(rule),
               text);
    else
        print_tape(&tape, rule, &how, text);
    tape_fini(&tape);
}

/* Many of them */

static void on_alarm(int number)
{
    (void)number;
    static const char text[] = "a step does not end\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(4);
    _exit(3);
}

static void limit_time(void)
{
    const struct itimerval limit = {.it_value.tv_sec = STEP_S_MAX};
    setitimer(ITIMER_VIRTUAL, &limit, NULL);
}

static bool time_is_up(const struct sim_options *o, const struct timespec *began)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return o->seconds && (uint64_t)(now.tv_sec - began->tv_sec) >= o->seconds;
}

static bool is_enough(const struct sim_options *o, const struct share *s)
{
    return o->steps_max && s->steps >= o->steps_max / o->jobs;
}

/* The same seed gives the same effects. */
static void run_again(const struct sim_options *o, struct sim_finding *f)
{
    struct sim_finding again;
    sim_run_seed(f->seed, o, NULL, &again);
    if (again.hash == f->hash)
        return;
    f->rule = RULE_SAME;
    snprintf(f->text, sizeof(f->text), "told again, it went another way");
}

static void work(const struct sim_options *o, uint32_t job, struct share *s,
                 const struct timespec *began)
{
    signal(SIGVTALRM, on_alarm);
    for (uint64_t seed = s->seed ? s->seed + o->jobs : o->from + job;
         seed <= o->to && !time_is_up(o, began) && !is_enough(o, s); seed += o->jobs) {
        struct sim_finding f;
        s->seed = seed;
        limit_time();
        sim_run_seed(seed, o, &s->counts, &f);
        s->steps += f.steps;
        if (o->same && f.rule == RULE_NONE)
            run_again(o, &f);
        if (o->verbose)
            printf("%" PRIu64 " %" PRIu64 " %016" PRIx64 "\n", seed, f.steps, f.hash);
        if (f.rule == RULE_NONE)
            continue;
        print_finding(&f);
        if (s->finding_count < FINDINGS_MAX)
            s->findings[s->finding_count++] = f;
        if (!o->keep_going)
            return;
    }
}

static pid_t start(const struct sim_options *o, uint32_t job, struct share *shares,
                   const struct timespec *began)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        work(o, job, &shares[job], began);
        fflush(stdout);
        _exit(0);
    }
    return pid;
}

static void note_crash(struct share *s, int status)
{
    struct sim_finding f = {.seed = s->seed, .rule = RULE_CRASH};
    snprintf(f.text, sizeof(f.text), "%s %d", WIFSIGNALED(status) ? "signal" : "status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    print_finding(&f);
    if (s->finding_count < FINDINGS_MAX)
        s->findings[s->finding_count++] = f;
}

static void run_jobs(const struct sim_options *o, struct share *shares,
                     const struct timespec *began)
{
    pid_t pids[64] = {0};
    uint32_t running = 0;
    for (uint32_t k = 0; k < o->jobs; k++, running++)
        pids[k] = start(o, k, shares, began);
    while (running) {
        int status;
        pid_t pid = wait(&status);
        uint32_t k = 0;
        while (k < o->jobs && pids[k] != pid)
            k++;
        if (pid < 0 || k == o->jobs)
            break;
        running--;
        if (status == 0)
            continue;
        note_crash(&shares[k], status);
        if (!o->keep_going)
            continue;
        pids[k] = start(o, k, shares, began);
        running++;
    }
}

uint64_t sim_run_seeds(const struct sim_options *o)
{
    struct timespec began, now;
    size_t bytes = o->jobs * sizeof(struct share);
    struct share *shares =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shares == MAP_FAILED)
        abort();
    clock_gettime(CLOCK_MONOTONIC, &began);
    run_jobs(o, shares, &began);
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t ms =
        (uint64_t)((now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000);
    struct counts all = {0};
    uint64_t failed = 0;
    for (uint32_t k = 0; k < o->jobs; k++) {
        count_add(&all, &shares[k].counts);
        failed += shares[k].finding_count;
    }
    count_print(&all, stdout);
    printf("%" PRIu64 " worlds, %" PRIu64 " steps in %" PRIu64 ".%03" PRIu64 " s: %" PRIu64
           " steps/s; %" PRIu64 " failed\n",
           all.seeds, all.steps, ms / 1000, ms % 1000, ms ? all.steps * 1000 / ms : 0, failed);
    for (uint32_t k = 0; k < o->jobs && o->shrink; k++)
        for (uint32_t i = 0; i < shares[k].finding_count; i++)
            if (shares[k].findings[i].rule != RULE_CRASH)
                sim_shrink_seed(shares[k].findings[i].seed, o);
    munmap(shares, bytes);
    return failed;
}
