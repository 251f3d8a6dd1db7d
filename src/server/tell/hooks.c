#include "server/tell/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/server.h"

/* How much of what a hook prints is logged. */
#define OUTPUT_BYTES_MAX 2048
/* When the daemon ends; its own patience for processes is longer. */
#define STOP_NS (2 * NS_PER_S)

static const struct config_hook *definition(const struct hook *h)
{
    return &h->config->config->hooks[h->index];
}

static void release(struct hook *h)
{
    config_ref_put(h->config);
    free(h->json);
    free(h->output);
    *h = (struct hook){.server = h->server};
}

static void start_waiting(struct server *s);

static void log_output(const struct hook *h, int wait_status)
{
    char text[OUTPUT_BYTES_MAX];
    int fd = open(h->output, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    if (fd >= 0)
        close(fd);
    while (n > 0 && text[n - 1] == '\n')
        n--;
    struct log_field output = LOG_BYTES("output", text, n > 0 ? (size_t)n : 0);
    const char *event = definition(h)->event;
    int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
    if (code)
        log_warn_with(NULL, LOG_WITH(LOG_TEXT("event", event), LOG_NUMBER("exit", code), output),
                      "hook failed");
    else
        log_info_with(NULL, LOG_WITH(LOG_TEXT("event", event), output), "hook");
}

static void on_spawned(void *owner, struct child *c, pid_t pid)
{
    (void)owner;
    (void)c;
    (void)pid;
}

static void on_spawn_failed(void *owner, struct child *c, const char *text)
{
    const struct hook *h = owner;
    (void)descriptors_short(h->server, "to run a hook", child_spawn_error(c));
    log_warn_with(NULL, LOG_WITH(LOG_TEXT("event", definition(h)->event)), "hook failed: %s", text);
}

static void on_exited(void *owner, struct child *c, int wait_status)
{
    (void)c;
    log_output(owner, wait_status);
}

static void on_gone(void *owner, struct child *c)
{
    struct hook *h = owner;
    (void)c;
    unlink(h->output);
    release(h);
    start_waiting(h->server);
}

static void arm(struct hooks *hooks);

static void on_timer(uv_timer_t *timer)
{
    struct hooks *hooks = container_of(timer, struct hooks, timer);
    uint64_t now = uv_hrtime();
    for (size_t i = 0; i < HOOKS_RUNNING_MAX; i++) {
        struct hook *h = &hooks->running[i];
        if (!h->child || h->killed_at_ns > now)
            continue;
        log_warn_with(NULL, LOG_WITH(LOG_TEXT("event", definition(h)->event)),
                      "hook takes too long, and is ended");
        h->killed_at_ns = UINT64_MAX;
        child_kill(h->child);
    }
    arm(hooks);
}

static void arm(struct hooks *hooks)
{
    uint64_t first = UINT64_MAX, now = uv_hrtime();
    for (size_t i = 0; i < HOOKS_RUNNING_MAX; i++)
        if (hooks->running[i].child && hooks->running[i].killed_at_ns < first)
            first = hooks->running[i].killed_at_ns;
    if (first == UINT64_MAX || uv_is_closing((uv_handle_t *)&hooks->timer)) {
        uv_timer_stop(&hooks->timer);
        return;
    }
    uint64_t ms = first > now ? (first - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    uv_update_time(hooks->timer.loop);
    uv_timer_start(&hooks->timer, on_timer, ms, 0);
}

/* The event as a file that nobody can change any more; -1: there is none to be had. */
static int open_event(const struct hook *h)
{
    int fd = memfd_create("wharf-event", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t n = strlen(h->json);
    if (fd < 0)
        return -1;
    if (dprintf(fd, "%s\n", h->json) != (int)n + 1 || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void start(struct hook *h)
{
    static const struct child_ops ops = {on_spawned, on_spawn_failed, on_exited, on_gone};
    struct server *s = h->server;
    const struct config_hook *def = definition(h);
    const char **argv = alloc_zeroed(def->argv.count + 1, sizeof(*argv));
    for (uint32_t i = 0; i < def->argv.count; i++)
        argv[i] = def->argv.items[i];
    bool fits = strlen(h->json) <= HOOK_ENV_BYTES_MAX;
    char *env[] = {alloc_printf("WHARF_EVENT=%s", def->event),
                   fits ? alloc_printf("WHARF_EVENT_JSON=%s", h->json) : NULL, NULL};
    h->output = alloc_printf("%s/hook.%d", s->state_dir, (int)(h - s->hooks.running));
    unlink(h->output);
    int event = open_event(h);
    if (event < 0)
        log_warn_with(NULL, LOG_WITH(LOG_TEXT("event", def->event)),
                      "a hook's stdin cannot be made: %s", strerror(errno));
    struct child_spec spec = {.argv = argv,
                              .env = (const char *const *)env,
                              .name = "hook",
                              .log_path = h->output,
                              .stdin_fd = event > 0 ? event : 0};
    h->killed_at_ns = uv_hrtime() + h->config->config->hook_timeout_ns;
    h->child = children_spawn(s->children, &spec, &ops, h);
    arm(&s->hooks);
    if (event >= 0)
        close(event);
    free(argv);
    free(env[0]);
    free(env[1]);
}

static struct hook *find_free(struct hooks *hooks)
{
    for (size_t i = 0; i < HOOKS_RUNNING_MAX; i++)
        if (!hooks->running[i].config)
            return &hooks->running[i];
    return NULL;
}

static void start_waiting(struct server *s)
{
    struct hooks *hooks = &s->hooks;
    struct hook *h;
    while (hooks->waiting_count && !hooks->stopping && (h = find_free(hooks))) {
        struct hook *next = &hooks->waiting[hooks->first];
        hooks->first = (hooks->first + 1) % HOOKS_WAITING_MAX;
        hooks->waiting_count--;
        *h = *next;
        *next = (struct hook){.server = s};
        start(h);
    }
    if (hooks->dropped && hooks->waiting_count == 0) {
        log_warn(NULL, "hooks came faster than they end: %llu were left out",
                 (unsigned long long)hooks->dropped);
        hooks->dropped = 0;
    }
}

uint32_t hooks_running(const struct hooks *hooks)
{
    uint32_t n = 0;
    for (size_t i = 0; i < HOOKS_RUNNING_MAX; i++)
        n += hooks->running[i].config != NULL;
    return n;
}

bool hooks_want(const struct server *s, const char *type)
{
    const struct config *c = s->roster.current->config;
    for (uint32_t i = 0; i < c->hook_count; i++)
        if (strcmp(c->hooks[i].event, type) == 0)
            return true;
    return false;
}

void hooks_event(struct server *s, const char *type, const char *json)
{
    struct hooks *hooks = &s->hooks;
    const struct config *c = s->roster.current->config;
    for (uint32_t i = 0; i < c->hook_count && !hooks->stopping; i++) {
        if (strcmp(c->hooks[i].event, type) != 0)
            continue;
        if (hooks->waiting_count == HOOKS_WAITING_MAX) {
            hooks->dropped++;
            hooks->dropped_ever++;
            continue;
        }
        uint32_t at = (hooks->first + hooks->waiting_count++) % HOOKS_WAITING_MAX;
        hooks->waiting[at] = (struct hook){.server = s,
                                           .config = config_ref_get(s->roster.current),
                                           .index = i,
                                           .json = alloc_text(json)};
    }
    if (!hooks->stopping)
        start_waiting(s);
}

void hooks_init(struct server *s)
{
    for (size_t i = 0; i < HOOKS_RUNNING_MAX; i++)
        s->hooks.running[i].server = s;
    uv_timer_init(s->loop, &s->hooks.timer);
}

void hooks_stop(struct server *s)
{
    struct hooks *hooks = &s->hooks;
    uint64_t at = uv_hrtime() + STOP_NS;
    hooks->stopping = true;
    for (size_t i = 0; i < HOOKS_RUNNING_MAX; i++)
        if (hooks->running[i].killed_at_ns > at && hooks->running[i].killed_at_ns != UINT64_MAX)
            hooks->running[i].killed_at_ns = at;
    arm(hooks);
}

void hooks_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->hooks.timer, NULL);
}

void hooks_fini(struct server *s)
{
    struct hooks *hooks = &s->hooks;
    for (; hooks->waiting_count; hooks->waiting_count--) {
        release(&hooks->waiting[hooks->first]);
        hooks->first = (hooks->first + 1) % HOOKS_WAITING_MAX;
    }
}
