/* residency.h: who was loaded where, and how full and busy the devices were: the last of it, in
 * memory, and before it what an earlier daemon kept (residency_past.h). A change is kept whenever a
 * model has come into another state or place, a sample every few seconds. */
#ifndef SERVER_RESIDENCY_H
#define SERVER_RESIDENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "core/core.h"

#define RESIDENCY_CHANGES_MAX 4096
#define RESIDENCY_SAMPLES_MAX 720 /* an hour */
#define RESIDENCY_SAMPLE_MS 5000

struct server;
struct residency;

struct residency_change {
    uint64_t at_ms; /* wall clock */
    char *model;    /* owned by the ring */
    enum model_state state;
    uint32_t devices; /* mask */
    uint64_t bytes;   /* charged to it, on all of them together */
};

struct residency_sample {
    uint64_t at_ms; /* wall clock */
    uint32_t waiting, running;
    struct residency_device {
        uint64_t used_bytes;
        uint32_t utilisation_percent, power_mw;
        bool has_used, has_utilisation, has_power;
    } devices[CORE_DEVICES_MAX];
};

void residency_init(struct server *s);
int residency_start(struct server *s, struct err *err) warn_unused;
void residency_close(struct server *s);
void residency_fini(struct server *s);

/* Something was told of the model: keeps how it stands, if that is another way than before. */
void residency_look(struct server *s, uint32_t slot);
/* For how long it has been loading, or waking, since then (by uv_hrtime); 0: it was there. */
uint64_t residency_loading_ns(const struct server *s, uint32_t slot, uint64_t since_ns);

/* The change or sample that came `back` before the last; NULL: not kept any more, or never there.
 */
const struct residency_change *residency_change_at(const struct server *s, uint64_t back);
const struct residency_sample *residency_sample_at(const struct server *s, uint64_t back);
/* Wall clock. */
uint64_t residency_now_ms(void);

#endif
