/* What a gate of libwharf costs: coming in and leaving while nobody waits, beside a semaphore of the
 * C library; waiting, cancelling and being let in among many. Prints a line each: nanoseconds. */
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wharf/gate.h>

#define PASSES 10000000
#define WAITERS 1000000
#define CANCELS 500000

static uint64_t wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void need(int ok)
{
    if (!ok)
        abort();
}

static void say(const char *what, uint64_t since_ns, uint64_t times)
{
    printf("%s: %.1f ns\n", what, (double)(wall_ns() - since_ns) / (double)times);
}

static void pass(struct wharf_gate *g)
{
    uint64_t since_ns = wall_ns();
    for (int i = 0; i < PASSES; i++) {
        need(wharf_gate_acquire(g, WHARF_BACKGROUND, WHARF_FOREVER, NULL) == 0);
        need(wharf_gate_release(g) == 0);
    }
    say("gate, uncontended", since_ns, PASSES);
}

static void pass_semaphore(void)
{
    sem_t s;
    need(sem_init(&s, 0, 1) == 0);
    uint64_t since_ns = wall_ns();
    for (int i = 0; i < PASSES; i++) {
        need(sem_wait(&s) == 0);
        need(sem_post(&s) == 0);
    }
    say("semaphore, uncontended", since_ns, PASSES);
    need(sem_destroy(&s) == 0);
}

/* In no order that memory would know. */
static void shuffle(struct wharf_gate_wait **waits)
{
    uint64_t random = 1;
    for (uint32_t i = WAITERS - 1; i > 0; i--) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t k = (uint32_t)(random >> 33) % (i + 1);
        struct wharf_gate_wait *w = waits[i];
        waits[i] = waits[k];
        waits[k] = w;
    }
}

static void crowd(struct wharf_gate *g)
{
    static const enum wharf_class classes[] = {WHARF_FOREGROUND, WHARF_NORMAL, WHARF_BACKGROUND};
    struct wharf_gate_wait **waits = calloc(WAITERS, sizeof(struct wharf_gate_wait *));
    struct wharf_inbox *inbox = wharf_inbox_new();
    need(waits && inbox && wharf_gate_acquire(g, WHARF_NORMAL, 0, NULL) == 0);
    uint64_t since_ns = wall_ns();
    for (uint32_t i = 0; i < WAITERS; i++)
        need(wharf_gate_begin(g, classes[i % 3], inbox, NULL, &waits[i]) < 0);
    say("1000000 waiters: begin", since_ns, WAITERS);
    shuffle(waits);
    since_ns = wall_ns();
    for (uint32_t i = 0; i < CANCELS; i++)
        wharf_gate_cancel(waits[i]);
    say("1000000 waiters: cancel any", since_ns, CANCELS);
    since_ns = wall_ns();
    for (uint32_t i = CANCELS; i < WAITERS; i++) {
        void *arg;
        need(wharf_gate_release(g) == 0 && wharf_inbox_next(inbox, &arg));
    }
    say("1000000 waiters: let in", since_ns, WAITERS - CANCELS);
    need(wharf_gate_release(g) == 0);
    wharf_inbox_free(inbox);
    free(waits);
}

int main(void)
{
    struct wharf_gate *g = wharf_gate_new(&(struct wharf_gate_options){.limit = 1});
    need(g != NULL);
    pass(g);
    pass_semaphore();
    crowd(g);
    wharf_gate_free(g);
    return 0;
}
