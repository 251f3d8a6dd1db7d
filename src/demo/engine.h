/* engine.h: the pretended engine itself: its phase, the requests in flight, its life and death.
 *
 * One engine a process. All functions may be called from any thread after engine_init. */
#ifndef DEMO_ENGINE_H
#define DEMO_ENGINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/pure/units.h"
#include "flags.h"

struct engine {
    const struct flags *flags;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool ready, grown;
    uint32_t in_flight;
    uint64_t begun; /* requests so far, health checks and the like not counted */
};

/* flags must outlive the engine. */
void engine_init(struct engine *e, const struct flags *flags);
/* Runs the load: waits, claims memory, crashes or never ends, as the flags say. Afterwards watches
 * for idleness when that is to end in a crash. To be called on a thread of its own. */
void engine_load(struct engine *e);
bool engine_ready(struct engine *e);
/* Returns the request's number, from 1. */
uint64_t engine_request_begin(struct engine *e);
/* At the first prompt, claims what --vram-grow says; the end, where that is not there. */
void engine_grow(struct engine *e);
void engine_request_end(struct engine *e);
uint32_t engine_in_flight(struct engine *e);

/* Both remove the claim's file first, so that clean exits leave nothing behind. */
_Noreturn void engine_exit(int code);
_Noreturn void engine_crash(const char *why);

/* A line on stdout, the way engines log; never blocks, and is dropped where it would. */
void engine_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
struct mono engine_now(void);
void engine_sleep(uint64_t ns);

#endif
