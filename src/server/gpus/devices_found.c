/* The GPUs of the machine: which there are, and when they are read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/gpus/devices_priv.h"
#include "server/residents/process_kept.h"
#include "server/server.h"

/* Nothing is decided before the GPUs are known, but not for ever: a driver may hang. */
#define BOOT_HOLD_NS_MAX (40 * NS_PER_S)
/* Around loads and unloads readings come this much quicker, for this long after the last order. */
#define QUICK_PARTS 10
#define QUICK_NS_MIN (20 * NS_PER_MS)
#define QUICK_NS_MAX (100 * NS_PER_MS)
#define QUICK_FOR_NS (2 * NS_PER_S)
/* Where so many readings in a row were alike, they come this much slower. A reading is old after
 * five periods. */
#define ALIKE_MAX 20
#define SLOW_FACTOR 3
/* What is lost, or was not there, is looked for again, by a new process: a library that is open
 * does not see what has come back. */
#define RENEW_NS (30 * NS_PER_S)

static const char boot_holder[] = "the GPUs are not known yet";

static void step_config(void *arg, const struct core_config *config)
{
    struct devices *d = arg;
    runner_event(&d->server->runner, (struct event){.type = EVENT_CONFIG, .config = config});
}

/* ---- which there are ---- */

static struct found_gpu *find(struct devices *d, const struct gpu_device *r)
{
    for (uint32_t i = 0; i < d->found_count; i++)
        if (gpu_same(&d->found[i].is, r))
            return &d->found[i];
    return NULL;
}

/* Without a list. */
static void choose_usable(struct devices *d)
{
    struct gpu_choice choice = {.nvidia = config_wants_cuda(d->server->roster.current->config)};
    for (uint32_t i = 0; i < d->found_count; i++)
        gpu_choice_add(&choice, &d->found[i].is);
    for (uint32_t i = 0; i < d->found_count; i++)
        d->found[i].usable = gpu_choice_takes(&choice, &d->found[i].is);
}

void found_place(struct devices *d, struct config *c)
{
    struct config_gpu_found found[GPU_DEVICES_MAX];
    for (uint32_t i = 0; i < d->found_count; i++) {
        const struct gpu_device *is = &d->found[i].is;
        uint64_t reserved = is->known & GPU_RESERVED ? is->reserved_bytes : 0;
        found[i] = (struct config_gpu_found){
            .name = is->name,
            .uuid = is->uuid,
            .pci = is->pci,
            .memory_bytes = is->known & GPU_TOTAL ? is->total_bytes - reserved : 0,
            .number = is->index,
            .usable = d->found[i].usable};
    }
    config_place_gpus(c, found, d->found_count);
    d->count = c->gpu_count < CORE_DEVICES_MAX ? c->gpu_count : CORE_DEVICES_MAX;
}

static void say_found(const struct found_gpu *f)
{
    const struct gpu_device *is = &f->is;
    const struct log_field total = LOG_NUMBER("total_bytes", is->total_bytes);
    log_info_with(
        NULL,
        LOG_WITH(LOG_TEXT("device", is->name), LOG_TEXT("uuid", *is->uuid ? is->uuid : NULL),
                 LOG_TEXT("pci", *is->pci ? is->pci : NULL), LOG_TEXT("driver", is->driver),
                 LOG_TEXT("driver_version", is->driver_version),
                 is->known & GPU_TOTAL ? total : LOG_NO_FIELD),
        "found GPU%s%s%s", is->unified ? " (the machine's memory)" : "", is->mig ? " (MIG)" : "",
        f->usable ? "" : " (used only if gpus lists it)");
    if (is->uses_problem[0])
        log_warn(NULL, "whose memory it is on that GPU is not known: %s", is->uses_problem);
}

/* True when there is one that was not there before, or whose memory was not known. */
static bool merge(struct devices *d, const struct gpu_report *r)
{
    bool fresh = false;
    uint32_t before = d->found_count;
    for (uint32_t i = 0; i < d->found_count; i++)
        d->found[i].here = false;
    for (uint32_t i = 0; i < r->device_count; i++) {
        const struct gpu_device *is = &r->devices[i];
        struct found_gpu *f = find(d, is);
        if (is->lost || (!f && d->found_count == GPU_DEVICES_MAX))
            continue;
        if (!f)
            f = &d->found[d->found_count++];
        fresh |= !(f->is.known & GPU_TOTAL) && (is->known & GPU_TOTAL);
        f->is = *is;
        f->here = true;
    }
    fresh |= d->found_count != before;
    if (fresh)
        choose_usable(d);
    for (uint32_t i = before; i < d->found_count; i++)
        say_found(&d->found[i]);
    return fresh;
}

/* ---- what is told of them ---- */

static void tell_errors(struct devices *d, struct device *v, struct found_gpu *f)
{
    if (f->is.error_count > f->errors_told) {
        struct server *s = d->server;
        struct buf details = {0};
        log_warn_with(
            NULL, LOG_WITH(LOG_SAID("device", device_name(v)), LOG_NUMBER("xid", f->is.error_last)),
            "device %u reports a critical error", v->index);
        buf_text(&details, "{\"device\":");
        buf_json_text(&details, device_name(v));
        buf_printf(&details, ",\"xid\":%llu}", (unsigned long long)f->is.error_last);
        server_publish(s, "device_error", details.data);
        buf_fini(&details);
    }
    f->errors_told = f->is.error_count; /* a new process counts from 0 */
}

static const char *why_lost(const struct gpu_report *r, const struct found_gpu *f)
{
    for (uint32_t i = 0; i < r->device_count; i++)
        if (gpu_same(&r->devices[i], &f->is) && r->devices[i].problem[0])
            return r->devices[i].problem;
    return "the GPU is lost: its driver knows it no more";
}

static void take_one(struct devices *d, struct device *v, const struct gpu_report *r)
{
    const struct config_gpu *gpu = &d->server->roster.current->config->gpus[v->index];
    if (gpu->place >= d->found_count) {
        device_set_trouble(v, "no such GPU was found");
        return;
    }
    struct found_gpu *f = &d->found[gpu->place];
    if (!f->here) {
        device_lose(v, why_lost(r, f));
        return;
    }
    tell_errors(d, v, f);
    device_set_trouble(v, f->is.problem);
    device_take(v, &f->is, d->asked_ns);
}

/* Said where bytes were to be counted, or a GPU was asked for. */
static void judge(struct devices *d, const struct gpu_report *r)
{
    const struct config *c = d->server->roster.current->config;
    char text[sizeof(d->problem)];
    bool any = false, listed = c->gpus_listed || config_wants_cuda(c);
    for (uint32_t i = 0; i < d->count; i++)
        any |= c->gpus[i].found;
    if (any) {
        devices_set_problem(d, "");
        return;
    }
    snprintf(text, sizeof(text), "no GPU: %.200s",
             r->text[0]       ? r->text
             : d->found_count ? "none that gpus allows"
                              : "none was found");
    if (listed || c->planner == CONFIG_PLAN_FIT || !r->final)
        devices_set_problem(d, text);
    else if (!d->answered)
        log_info(NULL, "%s; models run on the CPU, as far as wharf knows", text);
    if (!d->answered && c->planner == CONFIG_PLAN_FIT)
        log_warn_with(NULL, LOG_WITH(LOG_SAID("planner", roster_planner(c))),
                      "no device's memory is known: planner=%s holds", roster_planner(c));
}

/* ---- when they are read ---- */

static uint64_t period(const struct devices *d)
{
    const struct config *c = d->server->roster.current->config;
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < d->count; i++)
        if (!d->all[i].folder && c->gpus[i].sample_ns < least)
            least = c->gpus[i].sample_ns;
    return least == UINT64_MAX ? NS_PER_S : least;
}

static uint64_t quick_period(uint64_t usual)
{
    uint64_t quick = usual / QUICK_PARTS;
    if (quick < QUICK_NS_MIN)
        quick = QUICK_NS_MIN;
    if (quick > QUICK_NS_MAX)
        quick = QUICK_NS_MAX;
    return quick < usual ? quick : usual;
}

static void ask(struct devices *d);

static void on_timer(uv_timer_t *timer)
{
    ask(container_of(timer, struct devices, timer));
}

static void schedule(struct devices *d)
{
    uint64_t now = uv_hrtime(), wait = period(d);
    if (d->again || now < d->quick_until_ns)
        wait = quick_period(wait);
    else if (d->unchanged > ALIKE_MAX)
        wait *= SLOW_FACTOR;
    uint64_t due = d->asked_ns + wait;
    uint64_t ms = due > now ? (due - now + NS_PER_MS - 1) / NS_PER_MS : 1;
    d->again = false;
    uv_update_time(d->server->loop);
    uv_timer_start(&d->timer, on_timer, ms, 0);
}

static bool is_missing(const struct devices *d)
{
    const struct config *c = d->server->roster.current->config;
    bool missing = d->count == 0;
    for (uint32_t i = 0; i < d->count; i++)
        missing |= !c->gpus[i].sim &&
                   (c->gpus[i].place >= d->found_count || !d->found[c->gpus[i].place].here);
    return missing;
}

static void ask(struct devices *d)
{
    uint64_t now = uv_hrtime();
    if (!d->probe || d->closed)
        return;
    if (d->answered && is_missing(d) && now >= d->renew_ns) {
        d->renew_ns = now + gpuprobe_hurry(RENEW_NS);
        gpuprobe_renew(d->probe);
    }
    if (gpuprobe_ask(d->probe))
        d->asked_ns = now;
}

void found_look_again(struct devices *d)
{
    if (!d->probe || d->closed)
        return;
    gpuprobe_renew(d->probe);
    ask(d);
}

void found_sample_now(struct devices *d)
{
    uint64_t now = uv_hrtime();
    if (!d->probe || d->closed)
        return;
    d->quick_until_ns = now + QUICK_FOR_NS;
    d->unchanged = 0;
    d->again = true; /* also when an answer is awaited: it was asked for too early */
    if (now >= d->asked_ns + quick_period(period(d)) && uv_is_active((uv_handle_t *)&d->timer))
        ask(d);
    else if (uv_is_active((uv_handle_t *)&d->timer))
        schedule(d);
}

/* ---- the probe ---- */

static bool all_alike(const struct devices *d, const struct gpu_report *r)
{
    for (uint32_t i = 0; i < r->device_count; i++) {
        const struct found_gpu *f = NULL;
        for (uint32_t k = 0; k < d->found_count; k++)
            if (gpu_same(&d->found[k].is, &r->devices[i]))
                f = &d->found[k];
        if (!f || f->is.used_bytes != r->devices[i].used_bytes)
            return false;
    }
    return true;
}

static void on_report(void *owner, const struct gpu_report *r, uint64_t asked_ns)
{
    struct devices *d = owner;
    struct server *s = d->server;
    d->asked_ns = asked_ns;
    d->unchanged = all_alike(d, r) ? d->unchanged + 1 : 0;
    if (merge(d, r)) {
        found_place(d, s->roster.current->config);
        roster_configure(&s->roster, step_config, d);
        footprints_configured(s);
    }
    for (uint32_t i = 0; i < d->count; i++)
        if (!d->all[i].folder)
            take_one(d, &d->all[i], r);
    judge(d, r);
    if (!d->answered)
        d->renew_ns = uv_hrtime() + gpuprobe_hurry(RENEW_NS);
    d->answered = true;
    boot_release(s, boot_holder);
    if (!r->final)
        schedule(d);
}

/* Nothing is known, which is not that nothing is used. */
static void on_lost(void *owner, const char *text)
{
    struct devices *d = owner;
    char problem[sizeof(d->problem)];
    snprintf(problem, sizeof(problem), "GPUs are not read: %.200s", text);
    devices_set_problem(d, problem);
    for (uint32_t i = 0; i < d->count; i++)
        if (!d->all[i].folder && d->all[i].told)
            device_take(&d->all[i], NULL, uv_hrtime());
    /* The probe asks by itself when its pause is over; answers set the timer again. */
    uv_timer_stop(&d->timer);
}

static const struct gpuprobe_ops probe_ops = {.on_report = on_report, .on_lost = on_lost};

void found_init(struct devices *d)
{
    struct server *s = d->server;
    uv_timer_init(s->loop, &d->timer);
    if (config_wants_gpus(s->roster.current->config))
        d->probe = gpuprobe_new(s, &probe_ops, d);
}

void devices_find(struct devices *d)
{
    const struct config *c = d->server->roster.current->config;
    if (!d->probe && !c->gpus_listed && c->gpu_choice == CONFIG_GPUS_CPU)
        log_info(NULL, "no GPU is used (gpus: cpu)");
    if (d->probe && (c->planner == CONFIG_PLAN_FIT || leases_kept_bytes(d->server) ||
                     processes_kept_places(d->server)))
        boot_hold(d->server, boot_holder, gpuprobe_hurry(BOOT_HOLD_NS_MAX));
    ask(d);
}

void devices_stop(struct devices *d)
{
    if (d->probe)
        gpuprobe_stop(d->probe);
    uv_timer_stop(&d->timer);
}

void found_close(struct devices *d)
{
    if (d->probe)
        gpuprobe_close(d->probe);
    uv_close((uv_handle_t *)&d->timer, NULL);
}
