#include "server/handover/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/build.h"
#include "base/log.h"
#include "base/pure/errors.h"
#include "server/handover/courier.h"
#include "server/handover/drainer.h"
#include "server/handover/handover.h"
#include "server/proxy/answer.h"
#include "server/proxy/exchange.h"
#include "server/proxy/given.h"
#include "server/residents/resident.h"
#include "server/server.h"
#include "server/service.h"

/* A configuration of thousands of models is read within a second. */
#define TRIAL_NS_MAX (30 * NS_PER_S)
#define LOOK_MS 200
#define OUTPUT_BYTES_MAX 2048
#define OWN_EXE "/proc/self/exe"
/* Behind the name of a program that has been replaced since it was started (proc(5)). */
#define OWN_GONE " (deleted)"
/* What a program of wharf's writes when it is tried. */
#define TRIAL_SAYS "version: "

/* ---- what this program is ---- */

static bool is_this(const char *path)
{
    struct stat a, b;
    return stat(path, &a) == 0 && stat(OWN_EXE, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* As a shell finds it; owned by the caller, NULL: it is not there. */
static char *find_in_path(const char *name)
{
    const char *at = getenv("PATH");
    while (at && *at) {
        size_t n = strcspn(at, ":");
        char *path = alloc_printf("%.*s/%s", (int)n, at, name);
        if (is_this(path))
            return path;
        free(path);
        at += n + (at[n] == ':');
    }
    return NULL;
}

/* By the name that it was called by, which may be a link to whatever version is to be used. */
static char *find_program(const char *called)
{
    char cwd[PATH_MAX] = "", own[PATH_MAX];
    char *path = NULL;
    if (*called == '/')
        path = alloc_text(called);
    else if (strchr(called, '/') && getcwd(cwd, sizeof(cwd)))
        path = alloc_printf("%s/%s", cwd, called);
    else
        path = find_in_path(called);
    if (path && is_this(path))
        return path;
    free(path);
    ssize_t n = readlink(OWN_EXE, own, sizeof(own) - 1);
    size_t gone = sizeof(OWN_GONE) - 1, len = n > 0 ? (size_t)n : 0;
    if (len > gone && memcmp(own + len - gone, OWN_GONE, gone) == 0)
        len -= gone;
    return len ? alloc_text_n(own, len) : NULL;
}

static char **read_arguments(void)
{
    char *text = NULL;
    size_t size = 0, count = 0;
    FILE *f = fopen("/proc/self/cmdline", "re");
    char **argv = NULL;
    while (f && getdelim(&text, &size, '\0', f) > 0) {
        argv = alloc_grow(argv, count + 2, sizeof(*argv));
        argv[count++] = alloc_text(text);
        argv[count] = NULL;
    }
    if (f)
        fclose(f);
    free(text);
    return argv;
}

static void free_arguments(char **argv)
{
    for (size_t i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
}

void upgrade_init(struct server *s)
{
    struct upgrade *u = &s->upgrade;
    uv_timer_init(s->loop, &u->timer);
    uv_idle_init(s->loop, &u->spin);
    u->argv = read_arguments();
    char *path = u->argv ? find_program(u->argv[0]) : NULL;
    if (path) {
        free(u->argv[0]);
        u->argv[0] = path;
    } else {
        free_arguments(u->argv);
        u->argv = NULL;
    }
}

bool upgrade_is_trial(void)
{
    const char *text = getenv(HANDOVER_ENV);
    return text && strcmp(text, UPGRADE_TRIAL) == 0;
}

/* ---- what comes of it ---- */

static void on_spin(uv_idle_t *spin)
{
    (void)spin;
}

/* A signal that was caught and not heard of would be lost with this program. */
static void enter_last_turn(struct upgrade *u)
{
    u->last_turn = true;
    server_block_signals();
    uv_idle_start(&u->spin, on_spin);
}

static void leave_last_turn(struct upgrade *u)
{
    if (!u->last_turn)
        return;
    u->last_turn = false;
    uv_idle_stop(&u->spin);
    server_unblock_signals();
}

/* Between the beginning of the trial and the exec, unless it is given up. */
static bool is_under_way(const struct upgrade *u)
{
    return uv_is_active((const uv_handle_t *)&u->timer);
}

static void give_up(struct server *s, int error, const char *why)
{
    struct upgrade *u = &s->upgrade;
    char quoted[2 * OUTPUT_BYTES_MAX];
    u->due = false;
    leave_last_turn(u);
    uv_timer_stop(&u->timer);
    if (u->trial)
        child_kill(u->trial);
    log_warn(NULL, "no upgrade: %s", log_quote(why, strlen(why), quoted, sizeof(quoted)));
    for (size_t i = 0; i < UPGRADE_ASKERS_MAX; i++) {
        struct exchange *ex = u->askers[i] ? exchange_find(s, u->askers[i]) : NULL;
        u->askers[i] = 0;
        if (ex)
            exchange_fail_error(ex, error, why);
    }
}

void upgrade_answer(struct server *s)
{
    struct buf json = {0};
    buf_text(&json, "{\"from\":");
    buf_json_text(&json, s->handover.from);
    buf_text(&json, ",\"to\":");
    buf_json_text(&json, build.version);
    buf_printf(&json, ",\"running\":%u}", handover_running(s));
    for (size_t i = 0; i < UPGRADE_ASKERS_MAX; i++) {
        uint64_t tag = s->upgrade.askers[i];
        struct exchange *ex = tag ? exchange_find(s, tag) : NULL;
        s->upgrade.askers[i] = 0;
        if (ex)
            exchange_reply(ex, 200, "application/json", NULL, json.data, json.len);
    }
    buf_fini(&json);
}

bool upgrade_is_asked_by(const struct server *s, const struct exchange *ex)
{
    for (size_t i = 0; i < UPGRADE_ASKERS_MAX; i++)
        if (s->upgrade.askers[i] == exchange_tag(ex))
            return true;
    return false;
}

static bool add_asker(struct upgrade *u, const struct exchange *ex)
{
    for (size_t i = 0; i < UPGRADE_ASKERS_MAX; i++) {
        if (u->askers[i] && exchange_find(ex->server, u->askers[i]))
            continue;
        u->askers[i] = exchange_tag(ex);
        return true;
    }
    return false;
}

/* ---- the trial ---- */

static void on_spawned(void *owner, struct child *c, pid_t pid)
{
    (void)owner;
    (void)c;
    (void)pid;
}

static void on_spawn_failed(void *owner, struct child *c, const char *text)
{
    (void)c;
    give_up(owner, ERR_CONFLICT, text);
}

/* The beginning of what it has written; its length. */
static size_t read_output(const struct server *s, char text[OUTPUT_BYTES_MAX])
{
    int fd = open(s->upgrade.output, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, OUTPUT_BYTES_MAX) : -1;
    if (fd >= 0)
        close(fd);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    return n > 0 ? (size_t)n : 0;
}

static void tell_output(struct server *s, int status, const char *text, size_t n)
{
    struct buf why = {0};
    if (status == 0)
        buf_text(&why, "the program that is to take over is no wharf that can");
    else if (WIFSIGNALED(status))
        buf_printf(&why, "the program that is to take over was ended by signal %d",
                   WTERMSIG(status));
    else
        buf_printf(&why, "the program that is to take over does not start (status %d)",
                   WEXITSTATUS(status));
    if (n) {
        buf_text(&why, ": ");
        buf_append(&why, text, n);
    }
    give_up(s, ERR_CONFLICT, why.data);
    buf_fini(&why);
}

/* Its configuration is that of the files as they are now: it becomes this program's first, so that
 * models that are to go do so as after any reload. */
static void on_exited(void *owner, struct child *c, int wait_status)
{
    struct server *s = owner;
    const struct upgrade *u = &s->upgrade;
    char text[OUTPUT_BYTES_MAX];
    size_t n = read_output(s, text), said = sizeof(TRIAL_SAYS) - 1;
    (void)c;
    if (!is_under_way(u))
        return; /* nothing was to come of it any more */
    if (wait_status != 0 || n < said || memcmp(text, TRIAL_SAYS, said) != 0)
        tell_output(s, wait_status, text, n);
    else if (!server_reload(s))
        give_up(s, ERR_CONFLICT, "the configuration has errors (see the log)");
    else
        s->upgrade.due = true;
}

static void on_gone(void *owner, struct child *c)
{
    struct server *s = owner;
    (void)c;
    s->upgrade.trial = NULL;
    unlink(s->upgrade.output);
    free(s->upgrade.output);
    s->upgrade.output = NULL;
}

/* A model that the next program will not know, or know otherwise. */
static const char *model_to_go(const struct server *s)
{
    for (uint32_t i = 0; i < s->roster.count; i++) {
        const struct resident *r = resident_at(s, i);
        const struct config_model *m = roster_model(&s->roster, i);
        if (r && r->ops == &resident_process && (!m || m->hash_process != r->model->hash_process))
            return r->model->id;
    }
    return NULL;
}

static void on_timer(uv_timer_t *timer)
{
    struct server *s = container_of(timer, struct server, upgrade.timer);
    struct buf why = {0};
    if (uv_hrtime() < s->upgrade.until_ns)
        return; /* it is looked at at each turn, of which this is one */
    if (s->upgrade.trial && !s->upgrade.due) {
        give_up(s, ERR_CONFLICT,
                "the program that is to take over has not read its "
                "configuration in time");
        return;
    }
    const char *id = model_to_go(s);
    buf_printf(&why,
               "model %s has to go, since the configuration has changed, and is not done yet; try "
               "again",
               id ? id : "?");
    give_up(s, ERR_CONFLICT, why.data);
    buf_fini(&why);
}

static void start_trial(struct server *s)
{
    static const struct child_ops ops = {on_spawned, on_spawn_failed, on_exited, on_gone};
    struct upgrade *u = &s->upgrade;
    u->output = alloc_printf("%s/upgrade.log", s->state_dir);
    unlink(u->output);
    const struct child_spec spec = {.argv = (const char *const *)u->argv,
                                    .env =
                                        (const char *const[]){HANDOVER_ENV "=" UPGRADE_TRIAL, NULL},
                                    .name = "upgrade",
                                    .log_path = u->output};
    u->until_ns = uv_hrtime() + TRIAL_NS_MAX;
    uv_timer_start(&u->timer, on_timer, LOOK_MS, LOOK_MS);
    u->trial = children_spawn(s->children, &spec, &ops, s);
}

void upgrade_begin(struct server *s, struct exchange *ex)
{
    struct upgrade *u = &s->upgrade;
    if (ex && !add_asker(u, ex)) {
        exchange_fail_error(ex, ERR_QUEUE_FULL, "others have asked for an upgrade already");
        return;
    }
    bool come_for_it = ex && ex->given && ex->given->upgrade;
    if (come_for_it && s->boot.over && !s->stopping)
        upgrade_answer(s);
    else if (come_for_it)
        ; /* handover_end */
    else if (s->stopping || !s->boot.over)
        give_up(s, ERR_CONFLICT, "the daemon is starting or stopping");
    else if (!u->argv)
        give_up(s, ERR_CONFLICT, "it is not known how this program was started");
    else if (!u->trial && !u->due)
        start_trial(s);
    else if (!is_under_way(u))
        give_up(s, ERR_CONFLICT, "the one before has failed, and has not ended yet; try again");
}

/* ---- the exec ---- */

/* As this program found it: its models are to get what this one's got. */
static void restore_limits(const struct server *s)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
        return;
    lim.rlim_cur = children_nofile_soft(s->children);
    if (setrlimit(RLIMIT_NOFILE, &lim) < 0)
        log_warn(NULL, "the limit of open files stays as it is: %s", strerror(errno));
}

static void exec_next(struct server *s, int left)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", left);
    setenv(HANDOVER_ENV, text, 1);
    service_before_exec(s);
    restore_limits(s);
    log_finish();
    execv(s->upgrade.argv[0], s->upgrade.argv);
    log_error(NULL, "%s cannot be run, this program is started anew: %s", s->upgrade.argv[0],
              strerror(errno));
    execv(OWN_EXE, s->upgrade.argv);
    log_error(NULL, "nor can this one: %s", strerror(errno));
    _exit(1);
}

/* What is written by threads is written before there are none any more. */
static void close_stores(struct server *s)
{
    s->archiving.handed_on = archiving_is_on(s);
    history_close(s);
    archiving_close(s);
    footprints_close(s);
}

static void run(struct server *s)
{
    int pair[2], left, rc = courier_pair(pair);
    if (rc < 0) {
        give_up(s, ERR_CONFLICT, strerror(-rc));
        return;
    }
    left = handover_write(s, pair[1]);
    if (left < 0) {
        give_up(s, ERR_CONFLICT, "what runs cannot be written down");
        close(pair[0]);
        close(pair[1]);
        return;
    }
    log_info(NULL, "%s takes this program's place", s->upgrade.argv[0]);
    close_stores(s);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[1]);
        close(left);
        log_forget();
        drainer_begin(s, pair[0]);
        return;
    }
    if (pid < 0) /* what runs is cut, what waits asks again: all else is as after a crash */
        log_error(NULL, "cannot fork, so that requests are cut: %s", strerror(errno));
    exec_next(s, left);
}

static bool is_asked(const struct upgrade *u)
{
    for (size_t i = 0; i < UPGRADE_ASKERS_MAX; i++)
        if (u->askers[i])
            return true;
    return false;
}

void upgrade_turn(struct server *s)
{
    struct upgrade *u = &s->upgrade;
    if (s->stopping && (is_under_way(u) || is_asked(u)))
        give_up(s, ERR_SHUTTING_DOWN, "the daemon is stopping");
    /* A process between its clone and its exec bears no mark yet: the next program would not see
     * it. */
    if (!u->due || u->trial || model_to_go(s) || children_starting(s->children)) {
        leave_last_turn(u); /* what has come meanwhile may need a signal to end */
        return;
    }
    if (!u->last_turn) {
        enter_last_turn(u);
        return;
    }
    u->due = false;
    uv_timer_stop(&u->timer);
    run(s);
}

void upgrade_close(struct server *s)
{
    uv_close((uv_handle_t *)&s->upgrade.timer, NULL);
    uv_close((uv_handle_t *)&s->upgrade.spin, NULL);
}

void upgrade_fini(struct server *s)
{
    free_arguments(s->upgrade.argv);
    free(s->upgrade.output);
}
