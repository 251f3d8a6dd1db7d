/* A process whose engine gives its memory back and takes it again: performs what backend/sleep
 * decides. The requests are wharf's own (call.h): nobody's traffic. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/sleep.h"
#include "base/alloc.h"
#include "base/log.h"
#include "server/gpus/devices.h"
#include "server/net/call.h"
#include "server/net/origin.h"
#include "server/proxy/upstream.h"
#include "server/residents/process.h"
#include "server/server.h"

/* A question is answered at once or not at all. */
#define ASK_NS_MAX (5 * NS_PER_S)
/* A call that is not answered is ended by the op's deadline, not by a time limit of its own. */
#define CALL_NS_SPARE (60 * NS_PER_S)
/* Of an answer: what an engine says while it loads. */
#define ANSWER_BYTES_MAX (1024 * 1024)

/* Of one instance, which owns it, from its SUSPEND until it serves again: what a reload says
 * meanwhile is not how it was sent to sleep. */
struct sleeper {
    struct instance *in;
    struct config_ref *config; /* counted: the one in force when it was sent to sleep */
    const struct config_model *model;
    const struct sleep_engine *engine;
    struct sleep machine;
    struct call *call; /* NULL: nothing is asked now */
    uv_timer_t timer;
    uint64_t sampled_ns; /* when the sample that it waits for was asked for; 0: none is */
    char level[12];
    char *json_model; /* owned */
};

static void put(struct buf *out, const struct sleeper *z, const char *text)
{
    const struct config_sleep *c = &z->model->sleep;
    const struct sleep_value values[] = {
        {"level", z->level},
        {"model", z->json_model},
        {"key", c->admin_key},
        {"suspend.method", config_method_words[c->suspend.method]},
        {"suspend.path", c->suspend.path},
        {"suspend.body", c->suspend.body},
        {"resume.method", config_method_words[c->resume.method]},
        {"resume.path", c->resume.path},
        {"resume.body", c->resume.body},
        {"check.path", c->check_path},
        {"check.member", c->check_member},
        {"check.value", c->check_value},
    };
    if (text)
        sleep_fill(out, text, values, countof(values));
}

static char *filled(const struct sleeper *z, const char *text)
{
    struct buf out = {0};
    put(&out, z, text);
    return buf_take(&out);
}

static bool comes_to_nothing(const struct sleeper *z, const char *text)
{
    auto_free char *out = filled(z, text);
    return *out == '\0';
}

static const struct sleep_call *calls_of(const struct sleeper *z)
{
    return z->machine.plan.wakes ? z->engine->resume : z->engine->suspend;
}

static void step(struct sleeper *z, const struct sleep_event *ev);

/* ---- what is asked ---- */

static const struct sleep_question *question_of(const struct sleeper *z)
{
    return z->machine.phase == SLEEP_PHASE_IDLE ? &z->engine->idle : &z->engine->asleep;
}

static enum sleep_says read_answer(const struct sleeper *z, const struct call_answer *a)
{
    const struct sleep_question *asked = question_of(z);
    struct sleep_question q = *asked;
    char *members[SLEEP_MEMBERS_MAX] = {NULL}, *value = filled(z, asked->value);
    for (size_t i = 0; i < SLEEP_MEMBERS_MAX && asked->members[i]; i++)
        q.members[i] = members[i] = filled(z, asked->members[i]);
    q.value = value;
    enum sleep_says says = sleep_read(&q, a->status, a->body, a->n);
    for (size_t i = 0; i < SLEEP_MEMBERS_MAX; i++)
        free(members[i]);
    free(value);
    return says;
}

static void on_answer(void *arg, const struct call_answer *a)
{
    struct sleeper *z = arg;
    struct sleep_event ev = {.type = a->error ? SLEEP_LOST : SLEEP_ANSWERED, .status = a->status};
    bool question = z->machine.phase == SLEEP_PHASE_IDLE || z->machine.phase == SLEEP_PHASE_ASK;
    z->call = NULL;
    if (!a->error && question)
        ev.says = read_answer(z, a);
    step(z, &ev);
}

/* A secret goes into the request alone, never into a message. */
static char *fields_of(const struct sleeper *z)
{
    if (!z->engine->key || !*z->model->sleep.admin_key)
        return NULL;
    auto_free char *key = filled(z, z->engine->key);
    return alloc_printf("Authorization: %s\r\n", key);
}

static void ask(struct sleeper *z, const char *method, const char *path, const char *body,
                uint64_t timeout_ns)
{
    auto_free char *with_method = filled(z, method), *with_path = filled(z, path),
                   *with_body = filled(z, body), *fields = fields_of(z);
    const struct call_spec spec = {.method = with_method,
                                   .path = with_path,
                                   .fields = fields,
                                   .body = *with_body ? with_body : NULL,
                                   .timeout_ns = timeout_ns,
                                   .answer_bytes_max = ANSWER_BYTES_MAX};
    z->call = call_start(z->in->origin, &spec, on_answer, z);
}

/* ---- what is measured ---- */

static void sample_all(const struct sleeper *z)
{
    const struct resident *r = &z->in->resident;
    uint32_t count = r->server->roster.current->config->gpu_count;
    for (uint32_t i = 0; i < count; i++)
        if (!r->devices || (r->devices >> i & 1))
            devices_sample_now(r->server->devices, i);
}

static void look(struct sleeper *z)
{
    static const enum sleep_measure measures[] = {
        [DEVICES_BLIND] = SLEEP_BLIND, [DEVICES_LATER] = SLEEP_LATER, [DEVICES_SEEN] = SLEEP_SEEN};
    struct resident *r = &z->in->resident;
    struct sleep_event ev = {.type = SLEEP_SAMPLE};
    if (!z->sampled_ns) {
        z->sampled_ns = uv_hrtime();
        sample_all(z);
    }
    ev.measure = measures[devices_model_seen(r->server->devices, r->slot, z->sampled_ns, &ev.bytes,
                                             &ev.most_bytes)];
    if (ev.measure == SLEEP_SEEN)
        z->sampled_ns = 0;
    step(z, &ev);
}

/* ---- how it ends ---- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct sleeper *z = container_of(handle, struct sleeper, timer);
    config_ref_put(z->config);
    free(z->json_model);
    free(z);
}

void instance_stop_sleeper(struct instance *in)
{
    struct sleeper *z = in->sleeper;
    if (!z)
        return;
    if (z->call)
        call_cancel(z->call);
    in->sleeper = NULL;
    uv_close((uv_handle_t *)&z->timer, on_timer_closed);
}

/* The call that was made last, as a sentence's subject. */
static void put_call(struct buf *out, const struct sleeper *z)
{
    const struct sleep_call *call = &calls_of(z)[z->machine.step];
    put(out, z, call->method);
    buf_char(out, ' ');
    put(out, z, call->path);
}

static char *describe_trouble(const struct sleeper *z)
{
    const struct sleep *m = &z->machine;
    struct buf out = {0};
    switch (m->trouble) {
    case SLEEP_FINE:
        break;
    case SLEEP_TROUBLE_ABSENT:
        put_call(&out, z);
        buf_printf(&out, " was answered with %d: its engine does not know that call", m->status);
        if (z->engine->needs)
            buf_printf(&out, "; %s", z->engine->needs);
        break;
    case SLEEP_TROUBLE_REFUSED:
        put_call(&out, z);
        buf_printf(&out, " was answered with %d", m->status);
        break;
    case SLEEP_TROUBLE_CUT:
        buf_text(&out, "its engine did not answer");
        break;
    case SLEEP_TROUBLE_BUSY:
        buf_text(&out, "its engine is still at work, by what GET ");
        put(&out, z, z->engine->idle.path);
        buf_text(&out, " says");
        break;
    case SLEEP_TROUBLE_UNMOVED:
        buf_printf(&out, "its engine says that it %s, although it was told otherwise",
                   m->plan.wakes ? "sleeps" : "does not sleep");
        break;
    }
    return buf_take(&out);
}

static void complain(const struct sleeper *z, const char *what)
{
    struct resident *r = &z->in->resident;
    struct roster_entry *e = &r->server->roster.entries[r->slot];
    free(e->last_error);
    e->last_error = describe_trouble(z);
    log_warn(e->id, "%s: %s: %s", z->machine.plan.wakes ? "resume" : "suspend", e->last_error,
             what);
}

void instance_kill_sleeper(struct instance *in)
{
    struct sleeper *z = in->sleeper;
    enum resident_open open = in->resident.open;
    bool under_way = open == RESIDENT_SUSPEND || open == RESIDENT_RESUME;
    if (z && under_way && z->machine.trouble == SLEEP_FINE) {
        z->machine.trouble = SLEEP_TROUBLE_CUT;
        complain(z, "it is ended");
    }
    instance_stop_sleeper(in);
}

static void tell_residue(const struct sleeper *z)
{
    const struct sleep *m = &z->machine;
    char had[UNITS_TEXT_MAX], left[UNITS_TEXT_MAX];
    if (m->plan.wakes || !m->sampled)
        return;
    if (sleep_freed_little(m))
        log_warn(z->model->id, "suspend: it sleeps, but uses %s of its %s still",
                 units_format_bytes(m->last_bytes, left), units_format_bytes(m->before_bytes, had));
    else
        log_info_with(z->model->id,
                      LOG_WITH(LOG_NUMBER("bytes_before", m->before_bytes),
                               LOG_NUMBER("bytes", m->last_bytes)),
                      "asleep");
}

static void end_done(struct sleeper *z)
{
    struct instance *in = z->in;
    bool wakes = z->machine.plan.wakes;
    uint64_t residue = z->machine.residue_bytes;
    tell_residue(z);
    if (wakes) {
        instance_stop_sleeper(in);
        instance_feed(in, PROCESS_WAKE);
    } else {
        in->asleep = true;
        instance_keep(in);
    }
    resident_complete(&in->resident, RESIDENT_DONE, REASON_NONE, residue);
}

static void end_refused(struct sleeper *z)
{
    struct instance *in = z->in;
    bool wakes = z->machine.plan.wakes;
    complain(z, wakes ? "it is loaded anew" : "it stays as it is, and is unloaded from now on");
    if (!wakes) {
        instance_stop_sleeper(in);
        instance_feed(in, PROCESS_WAKE);
    }
    resident_complete(&in->resident, RESIDENT_AT_SOURCE, REASON_NONE, 0);
}

/* The op is over when the process is gone. */
static void end_killed(struct sleeper *z)
{
    struct instance *in = z->in;
    complain(z, "nobody knows how it is, so it is ended");
    instance_feed(in, PROCESS_KILL);
}

/* ---- the machine ---- */

static void on_timer(uv_timer_t *timer);

static void act(struct sleeper *z, struct sleep_action todo)
{
    const struct sleep_call *call = &calls_of(z)[z->machine.step];
    switch (todo.what) {
    case SLEEP_DO_CALL:
        ask(z, call->method, call->path, call->body, z->machine.plan.limit_ns + CALL_NS_SPARE);
        break;
    case SLEEP_DO_ASK_IDLE:
    case SLEEP_DO_ASK:
        ask(z, "GET", question_of(z)->path, NULL, ASK_NS_MAX);
        break;
    case SLEEP_DO_HEALTH:
        ask(z, "GET", z->in->resident.model->check_endpoint, NULL, ASK_NS_MAX);
        break;
    case SLEEP_DO_SAMPLE:
        look(z);
        break;
    case SLEEP_DO_WAIT:
        uv_update_time(z->timer.loop);
        uv_timer_start(&z->timer, on_timer, (todo.delay_ns + NS_PER_MS - 1) / NS_PER_MS, 0);
        break;
    case SLEEP_DO_DONE:
        end_done(z);
        break;
    case SLEEP_DO_REFUSED:
        end_refused(z);
        break;
    case SLEEP_DO_KILL:
        end_killed(z);
        break;
    }
}

static void step(struct sleeper *z, const struct sleep_event *ev)
{
    act(z, sleep_step(&z->machine, ev, uv_hrtime()));
}

static void on_timer(uv_timer_t *timer)
{
    step(container_of(timer, struct sleeper, timer), &(struct sleep_event){.type = SLEEP_TIMER});
}

static void on_begin(uv_timer_t *timer)
{
    step(container_of(timer, struct sleeper, timer), &(struct sleep_event){.type = SLEEP_BEGIN});
}

static struct sleep_plan plan_of(const struct sleeper *z, bool wakes)
{
    const struct config_model *m = z->model;
    struct sleep_plan plan = {.wakes = wakes,
                              .asks_idle = !comes_to_nothing(z, z->engine->idle.path),
                              .asks = !comes_to_nothing(z, z->engine->asleep.path),
                              .has_health = z->in->resident.model->check_endpoint[0] != '\0',
                              .prompt = z->engine->prompt,
                              .limit_ns = wakes ? m->load_timeout_ns : m->unload_timeout_ns};
    const struct sleep_call *calls = wakes ? z->engine->resume : z->engine->suspend;
    while (plan.call_count < SLEEP_CALLS_MAX && calls[plan.call_count].path &&
           !comes_to_nothing(z, calls[plan.call_count].path))
        plan.call_count++;
    return plan;
}

/* NULL: a reload has taken the way to do it away while it was still at work. */
static struct sleeper *new_sleeper(struct instance *in)
{
    struct server *s = in->resident.server;
    const struct config_model *now = roster_model(&s->roster, in->resident.slot);
    const struct config_model *m = now ? now : in->resident.model;
    const struct sleep_engine *engine =
        sleep_find(config_suspend_words[m->suspend], m->sleep.level);
    if (!engine)
        return NULL;
    struct sleeper *z = alloc_zeroed(1, sizeof(*z));
    struct buf json = {0};
    z->in = in;
    z->config = config_ref_get(now ? s->roster.current : in->resident.config);
    z->model = m;
    z->engine = engine;
    snprintf(z->level, sizeof(z->level), "%u", z->model->sleep.level);
    buf_json_text(&json, z->model->sleep.model);
    z->json_model = buf_take(&json);
    uv_timer_init(s->loop, &z->timer);
    return z;
}

static void begin(struct sleeper *z, bool wakes)
{
    struct sleep_plan plan = plan_of(z, wakes);
    sleep_init(&z->machine, &plan);
    z->sampled_ns = 0;
    /* Nothing of it happens inside the order. */
    uv_update_time(z->timer.loop);
    uv_timer_start(&z->timer, on_begin, 0, 0);
}

void instance_suspend(struct resident *r)
{
    struct instance *in = container_of(r, struct instance, resident);
    must(!in->sleeper);
    in->sleeper = new_sleeper(in);
    if (!in->sleeper) {
        resident_complete(r, RESIDENT_AT_SOURCE, REASON_NONE, 0);
        return;
    }
    instance_feed(in, PROCESS_SLEEP);
    upstream_drop_idle(in->origin);
    begin(in->sleeper, false);
}

void instance_resume(struct resident *r)
{
    struct instance *in = container_of(r, struct instance, resident);
    must(in->sleeper);
    in->asleep = false;
    instance_keep(in);
    begin(in->sleeper, true);
}

bool instance_adopt_asleep(struct instance *in)
{
    in->sleeper = new_sleeper(in);
    return in->sleeper != NULL;
}
