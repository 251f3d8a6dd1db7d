#include "server/handover/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/build.h"
#include "base/log.h"
#include "server/handover/courier.h"
#include "server/handover/message.h"
#include "server/handover/settings.h"
#include "server/net/listener.h"
#include "server/proxy/client.h"
#include "server/proxy/exchange.h"
#include "server/proxy/given.h"
#include "server/server.h"

/* A program that is given more time than this to hand its clients over has failed. */
#define PATIENCE_MS 5000
#define TEXT_BYTES_MAX (64 * 1024 * 1024)
/* Tags of the core's that no exchange has: those have odd generations. */
#define TAG_BASE (UINT64_C(2) << 32)

static const char boot_holder[] = "clients of the program before this one have not come";
static const int no_fds[COURIER_FDS_MAX] = {-1, -1};

struct handover_drainer {
    struct link link;
    struct server *server;
    struct courier *courier;
    bool fresh, settled; /* fresh: of the program right before this one */
};

/* A connection whose request comes when devices and leases are known. */
struct parked {
    struct link link;
    struct given_client client;
    int fds[COURIER_FDS_MAX]; /* owned */
};

struct handover_run {
    struct handover_drainer *drainer; /* NULL: it is over */
    struct id id;                     /* as the drainer calls it */
    struct id waiter;                 /* as the core does; none: it has not been told */
    char *model;                      /* owned */
    enum class class;
    uint64_t since_ns;
};

/* ---- what a drainer says ---- */

static void end_run(struct server *s, struct handover_run *r, enum ended how)
{
    struct id waiter = r->waiter;
    free(r->model);
    *r = (struct handover_run){.drainer = NULL};
    if (!id_none(waiter))
        runner_request_ended(&s->runner, waiter, how);
}

static void end_runs(struct handover_drainer *d, const struct id *only, enum ended how)
{
    struct handover *h = &d->server->handover;
    for (uint32_t i = 0; i < h->run_count; i++)
        if (h->runs[i].drainer == d && (!only || id_equal(h->runs[i].id, *only)))
            end_run(d->server, &h->runs[i], how);
}

static void take_client(struct handover_drainer *d, const struct given_client *g,
                        int fds[COURIER_FDS_MAX])
{
    struct server *s = d->server;
    s->handover.clients += s->handover.waits && g->request.since_ns;
    if (fds[0] < 0)
        return;
    if (g->request.late && !s->boot.over) {
        struct parked *p = alloc_zeroed(1, sizeof(*p));
        *p = (struct parked){.client = *g, .fds = {fds[0], fds[1]}};
        list_push(&s->handover.parked, &p->link);
    } else {
        client_take(s, fds[0], fds[1], g);
    }
    fds[0] = fds[1] = -1;
}

int handover_take_parked(struct server *s, struct err *err)
{
    struct link *n;
    (void)err;
    while ((n = list_pop(&s->handover.parked))) {
        struct parked *p = list_entry(n, struct parked, link);
        client_take(s, p->fds[0], p->fds[1], &p->client);
        free(p);
    }
    stream_hub_turn(&s->hub); /* what they have sent already: before the core decides */
    return 0;
}

static void on_message(void *owner, const json_t *msg, int fds[COURIER_FDS_MAX])
{
    struct handover_drainer *d = owner;
    struct given_client client;
    struct store_row *row;
    struct archive_draft archived;
    struct id waiter;
    enum ended how;
    if (message_is_client(msg, &client))
        take_client(d, &client, fds);
    else if (message_is_ended(msg, &waiter, &how))
        end_runs(d, &waiter, how);
    else if (message_is_settled(msg))
        d->settled = true;
    else if ((row = message_take_row(msg)))
        history_add(d->server, row);
    else if (message_is_archived(msg, &archived))
        archiving_put(d->server, &archived);
}

/* All has ended there; or it was killed, and what it had with it. */
static void on_gone(void *owner)
{
    struct handover_drainer *d = owner;
    end_runs(d, NULL, ENDED_CUT);
    list_remove(&d->server->handover.drainers, &d->link);
    courier_close(d->courier);
    free(d);
}

/* ---- reading what was left ---- */

static struct handover_drainer *add_drainer(struct server *s, int fd)
{
    static const struct courier_ops ops = {on_message, on_gone};
    struct handover_drainer *d = alloc_zeroed(1, sizeof(*d));
    d->server = s;
    d->courier = courier_new(s->loop, fd, &ops, d);
    list_push(&s->handover.drainers, &d->link);
    return d;
}

static enum class find_class(const char *text) {
    for (int i = 0; i < CLASS__COUNT;
         i++) if (strcmp(class_text((enum class)i), text) == 0) return (enum class)i;
    return CLASS_NORMAL;
}

static void add_run(struct handover_drainer *d, const json_t *from)
{
    struct handover *h = &d->server->handover;
    if (h->run_count == h->run_cap) {
        h->run_cap = h->run_cap ? h->run_cap * 2 : 64;
        h->runs = alloc_grow(h->runs, h->run_cap, sizeof(*h->runs));
    }
    struct handover_run *r = &h->runs[h->run_count++];
    *r = (struct handover_run){.drainer = d,
                               .id = {(uint32_t)message_number(from, "slot"),
                                      (uint32_t)message_number(from, "generation")},
                               .model = alloc_text(message_text(from, "model")),
                               .class = find_class(message_text(from, "class")),
                               .since_ns = message_number(from, "sinceNs")};
}

static int inherit(const json_t *from)
{
    const json_t *number = json_object_get(from, "fd");
    int fd = json_is_integer(number) ? (int)json_integer_value(number) : -1;
    return fd > STDERR_FILENO && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
}

static void read_drainers(struct server *s, const json_t *list)
{
    size_t i, k;
    json_t *from, *run;
    json_array_foreach(list, i, from)
    {
        int fd = inherit(from);
        if (fd < 0)
            continue;
        struct handover_drainer *d = add_drainer(s, fd);
        d->fresh = message_flag(from, "fresh");
        json_array_foreach(json_object_get(from, "runs"), k, run) add_run(d, run);
    }
}

static void read_listeners(struct server *s, const json_t *list)
{
    size_t i;
    json_t *from;
    json_array_foreach(list, i, from)
    {
        int fd = inherit(from);
        if (fd >= 0)
            handed_add(&s->handed, fd, message_flag(from, "unit") ? HANDED_UNIT : HANDED_STORED);
    }
}

static json_t *read_file(int fd)
{
    off_t n = lseek(fd, 0, SEEK_END);
    if (n <= 0 || n > TEXT_BYTES_MAX)
        return NULL;
    void *text = mmap(NULL, (size_t)n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED)
        return NULL;
    json_t *root = json_loadb(text, (size_t)n, 0, NULL);
    munmap(text, (size_t)n);
    return root;
}

static int parse_fd(const char *text)
{
    int fd = 0;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9' || fd > 1000000)
            return -1;
        fd = fd * 10 + (*c - '0');
    }
    return *text ? fd : -1;
}

/* The variable is for this program, and not for its children. */
static json_t *read_left(void)
{
    const char *text = getenv(HANDOVER_ENV);
    int fd = text ? parse_fd(text) : -1;
    json_t *root = fd > STDERR_FILENO ? read_file(fd) : NULL;
    if (fd > STDERR_FILENO)
        close(fd);
    if (text && !root)
        log_warn(NULL, "what the program before this one has left cannot be read");
    unsetenv(HANDOVER_ENV);
    return root;
}

/* ---- the part ---- */

void handover_init(struct server *s)
{
    list_init(&s->handover.drainers);
    list_init(&s->handover.parked);
    uv_timer_init(s->loop, &s->handover.patience);
    s->lock_fd = -1;
}

int handover_open(struct server *s, struct err *err)
{
    struct handover *h = &s->handover;
    json_t *left = read_left();
    (void)err;
    if (!left)
        return 0;
    h->upgraded = h->waits = true;
    h->began_ns = message_number(left, "beganNs");
    snprintf(h->from, sizeof(h->from), "%s", message_text(left, "version"));
    s->lock_fd = inherit(json_object_get(left, "lock"));
    read_listeners(s, json_object_get(left, "listeners"));
    read_drainers(s, json_object_get(left, "drainers"));
    h->settings = json_incref(json_object_get(left, "settings"));
    h->upgrades = message_number(h->settings, "upgrades") + 1;
    json_decref(left);
    return 0;
}

static void stop_waiting(struct server *s)
{
    struct err err = {0};
    s->handover.waits = false;
    uv_timer_stop(&s->handover.patience);
    if (listeners_accept(s->listeners, &err) < 0)
        log_error(NULL, "%s", err.text); /* they listen already, so this cannot be */
    boot_release(s, boot_holder);
}

static void on_patience(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, handover.patience);
    log_warn(NULL, "%s", boot_holder);
    stop_waiting(s);
}

int handover_start(struct server *s, struct err *err)
{
    (void)err;
    if (!s->handover.waits)
        return 0;
    boot_hold(s, boot_holder, (uint64_t)(PATIENCE_MS + 1000) * NS_PER_MS);
    uv_timer_start(&s->handover.patience, on_patience, PATIENCE_MS, 0);
    return 0;
}

static bool all_settled(const struct handover *h)
{
    const struct link *n;
    list_each(n, &h->drainers) {
        const struct handover_drainer *d = list_entry(n, const struct handover_drainer, link);
        if (d->fresh && !d->settled)
            return false;
    }
    return true;
}

/* What was handed over with them has been read: they are in the core's queue. */
void handover_turn(struct server *s)
{
    if (s->handover.waits && all_settled(&s->handover) && s->hub.prefaces == 0)
        stop_waiting(s);
}

int handover_tell(struct server *s, struct err *err)
{
    struct handover *h = &s->handover;
    (void)err;
    if (h->settings)
        settings_take(s, h->settings);
    for (uint32_t i = 0; i < h->run_count; i++) {
        const struct handover_run *r = &h->runs[i];
        uint32_t slot = r->drainer ? roster_find(&s->roster, r->model) : CORE_SLOT_NONE;
        if (slot == CORE_SLOT_NONE)
            continue;
        runner_event(&s->runner, (struct event){.type = EVENT_REQUEST_ARRIVED,
                                                .request = {.tag = TAG_BASE + i,
                                                            .model = slot,
                                                            .class = r->class,
                                                            .wait_ns_max = UINT64_MAX,
                                                            .since = {r->since_ns},
                                                            .running = true}});
    }
    return 0;
}

static struct handover_run *find_run(struct server *s, uint64_t tag)
{
    uint64_t i = tag - TAG_BASE;
    return tag >= TAG_BASE && tag >> 32 == TAG_BASE >> 32 && i < s->handover.run_count
               ? &s->handover.runs[i]
               : NULL;
}

bool handover_granted(struct server *s, const struct effect *e)
{
    struct handover_run *r = find_run(s, e->tag);
    if (!r)
        return false;
    if (r->drainer)
        r->waiter = e->waiter;
    else
        runner_request_ended(&s->runner, e->waiter, ENDED_DONE); /* in this very moment */
    return true;
}

bool handover_refused(struct server *s, const struct effect *e)
{
    return e->model != CORE_SLOT_NONE && find_run(s, e->tag) != NULL;
}

uint32_t handover_running(const struct server *s)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->handover.run_count; i++)
        count += s->handover.runs[i].drainer != NULL;
    return count;
}

int handover_end(struct server *s, struct err *err)
{
    const struct handover *h = &s->handover;
    char from[160];
    struct buf details = {0};
    (void)err;
    if (!h->upgraded)
        return 0;
    unsigned long long ms = (uv_hrtime() - h->began_ns) / NS_PER_MS;
    log_info(NULL, "took the place of version %s within %llu ms; %u requests wait on, %u run on",
             log_quote(h->from, strlen(h->from), from, sizeof(from)), ms, h->clients,
             handover_running(s));
    buf_text(&details, "{\"from\":");
    buf_json_text(&details, h->from);
    buf_text(&details, ",\"to\":");
    buf_json_text(&details, build.version);
    buf_printf(&details, ",\"running\":%u,\"waiting\":%u,\"ms\":%llu}", handover_running(s),
               h->clients, ms);
    server_publish(s, "upgraded", details.data);
    buf_fini(&details);
    upgrade_answer(s);
    return 0;
}

void handover_stop(struct server *s, uint64_t grace_ns)
{
    struct link *n;
    list_each(n, &s->handover.drainers)
        courier_send(list_entry(n, struct handover_drainer, link)->courier, message_stop(grace_ns),
                     no_fds);
}

void handover_close(struct server *s)
{
    struct link *n;
    uv_close((uv_handle_t *)&s->handover.patience, NULL);
    while ((n = list_pop(&s->handover.drainers))) {
        struct handover_drainer *d = list_entry(n, struct handover_drainer, link);
        courier_close(d->courier);
        free(d);
    }
}

void handover_fini(struct server *s)
{
    struct link *n;
    while ((n = list_pop(&s->handover.parked))) {
        struct parked *p = list_entry(n, struct parked, link);
        for (int i = 0; i < COURIER_FDS_MAX; i++)
            if (p->fds[i] >= 0)
                close(p->fds[i]);
        free(p);
    }
    for (uint32_t i = 0; i < s->handover.run_count; i++)
        free(s->handover.runs[i].model);
    free(s->handover.runs);
    json_decref(s->handover.settings);
}

/* ---- writing it down ---- */

static json_t *keep_open(int fd)
{
    return fcntl(fd, F_SETFD, 0) == 0 ? json_pack("{si}", "fd", fd) : NULL;
}

static json_t *put_listeners(const struct server *s)
{
    json_t *list = json_array();
    struct listener_view v;
    for (uint32_t cursor = 0; listeners_next(s->listeners, &cursor, &v);) {
        json_t *one = keep_open(v.fd);
        json_object_set_new(one, "unit", json_boolean(v.is_units));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *make_run(struct id id, const char *model, enum class class, uint64_t since_ns)
{
    return json_pack("{sIsIsssssI}", "slot", (json_int_t)id.slot, "generation", (json_int_t)id.gen,
                     "model", model, "class", class_text(class), "sinceNs", (json_int_t)since_ns);
}

/* Those that are with a model's server here. */
static json_t *put_own_runs(const struct server *s)
{
    json_t *list = json_array();
    const struct exchange *ex;
    for (uint32_t i = 0; (ex = exchange_next(s, &i));)
        if (!id_none(ex->waiter) && ex->upstream)
            json_array_append_new(list, make_run(ex->waiter, roster_id(&s->roster, ex->slot),
                                                 ex->ask.class, ex->since_ns));
    return list;
}

static json_t *put_earlier_runs(const struct handover *h, const struct handover_drainer *d)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < h->run_count; i++) {
        const struct handover_run *r = &h->runs[i];
        if (r->drainer == d)
            json_array_append_new(list, make_run(r->id, r->model, r->class, r->since_ns));
    }
    return list;
}

static json_t *put_drainers(const struct server *s, int fresh_fd)
{
    json_t *list = json_array(), *one = keep_open(fresh_fd);
    const struct link *n;
    json_object_set_new(one, "fresh", json_true());
    json_object_set_new(one, "runs", put_own_runs(s));
    json_array_append_new(list, one);
    list_each(n, &s->handover.drainers) {
        const struct handover_drainer *d = list_entry(n, const struct handover_drainer, link);
        one = keep_open(courier_fd(d->courier));
        json_object_set_new(one, "runs", put_earlier_runs(&s->handover, d));
        json_array_append_new(list, one);
    }
    return list;
}

int handover_write(struct server *s, int drainer_fd)
{
    json_t *root =
        json_pack("{sssI}", "version", build.version, "beganNs", (json_int_t)uv_hrtime());
    json_object_set_new(root, "listeners", put_listeners(s));
    json_object_set_new(root, "drainers", put_drainers(s, drainer_fd));
    json_object_set_new(root, "settings", settings_put(s));
    if (s->lock_fd >= 0)
        json_object_set_new(root, "lock", keep_open(s->lock_fd));
    int fd = memfd_create("wharf-upgrade", 0);
    bool ok = fd >= 0 && json_dumpfd(root, fd, JSON_COMPACT) == 0;
    json_decref(root);
    if (ok)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}
