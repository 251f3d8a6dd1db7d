#include "cli/progress.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/units.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/text.h"

#define BEGINS_MS 1000    /* what is over by then needs no bar */
#define BEGINS_TOLD_MS 50 /* what is not granted at once is waited for, mostly for long */
#define DRAW_MS 200
#define ASK_MS 500 /* how old what is drawn may be */
#define BAR_WIDTH 20
#define COLUMNS_DEFAULT 80
#define SILENCE_MS_MAX 2000
#define CLEAR_LINE "\r\033[K"

struct progress {
    struct client_options options; /* stop_fd is end_fd */
    char *path;                    /* owned; what is asked; NULL: nothing, it is told */
    char *label;                   /* owned; safe: "qwen: " */
    bool is_mode;
    bool on_terminal, is_utf8;
    int end_fd;
    pthread_t thread;
    uint64_t begun_ns;
    /* The thread's own, for what is asked. */
    struct buf words, phase;
    int permille;
    uint64_t asked_ns;
    bool is_shown;
    pthread_mutex_t lock; /* guards what follows, for what is told */
    struct buf told;
    double told_left_s; /* -1: not known */
    uint64_t told_ns;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static double since_s(uint64_t then_ns)
{
    return (double)(now_ns() - then_ns) / (double)NS_PER_S;
}

/* ---- what there is to say ---- */

/* How many are as it wants them, and of the others the first. */
static void take_mode(struct progress *p, const json_t *answer)
{
    const json_t *models = json_object_get(answer, "models");
    size_t count = json_array_size(models), reached = 0;
    buf_clear(&p->words);
    buf_clear(&p->phase);
    for (size_t i = 0; i < count; i++)
        reached += json_is_true(json_object_get(json_array_get(models, i), "reached"));
    buf_printf(&p->words, "%zu of %zu models", reached, count);
    buf_append(&p->phase, p->words.data, p->words.len);
    for (size_t i = 0; i < count; i++) {
        const json_t *m = json_array_get(models, i);
        if (json_is_true(json_object_get(m, "reached")))
            continue;
        buf_text(&p->words, "; ");
        text_escape_all(&p->words, TEXT_LINE, show_text(m, "model"));
        buf_printf(&p->words, " is %s", show_text(m, "state"));
        break;
    }
    p->permille = count ? (int)(reached * 1000 / count) : -1;
}

/* While it waits, the time is that until it could be used. */
static void take_model(struct progress *p, const json_t *answer)
{
    const json_t *model = json_object_get(answer, "model");
    const json_t *left = json_object_get(json_object_get(answer, "plan"), "seconds");
    double waited = since_s(p->begun_ns);
    buf_clear(&p->words);
    buf_clear(&p->phase);
    progress_words(answer, &p->words);
    buf_text(&p->phase, show_text(model, "state"));
    p->permille = progress_permille(json_object_get(model, "operation"));
    if (!json_is_object(json_object_get(model, "operation")) && json_number_value(left) > 0)
        p->permille = (int)(waited / (waited + json_number_value(left)) * 1000);
}

static void ask(struct progress *p)
{
    const struct client_request rq = {
        .method = "GET", .path = p->path, .silence_ms_max = SILENCE_MS_MAX};
    struct client_reply reply;
    struct err e = {.set = false};
    p->asked_ns = now_ns();
    if (client_fetch(&p->options, &rq, &reply, &e) < 0)
        return; /* whoever waits will hear of it */
    if (client_reply_ok(&reply) && reply.json && p->is_mode)
        take_mode(p, reply.json);
    else if (client_reply_ok(&reply) && reply.json)
        take_model(p, reply.json);
    client_reply_fini(&reply);
}

/* The estimate is of when it was told, and time goes on. */
static void take_told(struct progress *p)
{
    pthread_mutex_lock(&p->lock);
    buf_clear(&p->words);
    if (p->told.len > 0)
        buf_append(&p->words, p->told.data, p->told.len);
    double waited = since_s(p->begun_ns);
    double left = p->told.len > 0 ? p->told_left_s - since_s(p->told_ns) : 0;
    p->permille = -1;
    if (p->told_left_s >= 0)
        p->permille = left > 0 ? (int)(waited / (waited + left) * 1000) : 990;
    pthread_mutex_unlock(&p->lock);
}

/* ---- drawing ---- */

static size_t terminal_columns(void)
{
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    return known ? size.ws_col : COLUMNS_DEFAULT;
}

/* Without a bar, what turns shows that somebody is there. */
static void draw(struct progress *p)
{
    static const char turns[] = "|/-\\";
    struct buf line = {0};
    double waited = since_s(p->begun_ns);
    buf_text(&line, p->label);
    if (p->permille >= 0) {
        progress_bar(&line, p->permille, BAR_WIDTH, p->is_utf8);
        buf_printf(&line, " %d%% ", p->permille / 10);
    } else {
        buf_printf(&line, "%c %.0fs ", turns[(uint64_t)(waited * 5) % 4], waited);
    }
    if (p->words.len > 0)
        buf_append(&line, p->words.data, p->words.len);
    size_t len = text_cut(line.data, terminal_columns() - 1);
    fprintf(stderr, CLEAR_LINE "%.*s%s", (int)len, line.data,
            line.data[len] ? text_ellipsis() : "");
    fflush(stderr);
    p->is_shown = true;
    buf_fini(&line);
}

/* Each phase once. */
static void print(const struct progress *p, struct buf *last)
{
    if (p->phase.len == 0 || (last->len && strcmp(last->data, p->phase.data) == 0))
        return;
    fprintf(stderr, "wharf: %s%s\n", p->label, p->words.data);
    buf_clear(last);
    buf_append(last, p->phase.data, p->phase.len);
}

static bool is_over(const struct progress *p, int ms)
{
    struct pollfd end = {.fd = p->end_fd, .events = POLLIN};
    return poll(&end, 1, ms) > 0;
}

static void *run(void *arg)
{
    struct progress *p = arg;
    struct buf last = {0};
    bool ends = is_over(p, p->path ? BEGINS_MS : BEGINS_TOLD_MS);
    while (!ends) {
        if (!p->path)
            take_told(p);
        else if (now_ns() - p->asked_ns >= ASK_MS * NS_PER_MS)
            ask(p);
        /* What was asked may have come as late as the end. */
        ends = is_over(p, 0);
        if (!ends && !p->on_terminal)
            print(p, &last);
        else if (!ends && (p->path || p->words.len))
            draw(p);
        ends = ends || is_over(p, p->on_terminal ? DRAW_MS : ASK_MS);
    }
    buf_fini(&last);
    return NULL;
}

/* ---- its life ---- */

/* Without what it needs there is no bar, and that is all. */
static struct progress *begin(struct progress *p)
{
    sigset_t all, before;
    p->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->options.stop_fd = p->end_fd;
    p->on_terminal = isatty(STDERR_FILENO);
    p->is_utf8 = text_locale_is_utf8();
    p->begun_ns = p->begun_ns ? p->begun_ns : now_ns();
    p->permille = -1;
    pthread_mutex_init(&p->lock, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = p->end_fd < 0 ? EMFILE : pthread_create(&p->thread, NULL, run, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return p;
    if (p->end_fd >= 0)
        close(p->end_fd);
    free(p->path);
    free(p->label);
    free(p);
    return NULL;
}

static struct progress *new_asking(const struct session *s)
{
    struct progress *p = alloc_zeroed(1, sizeof(*p));
    p->options = s->options;
    return p;
}

struct progress *progress_of_model(const struct session *s, const char *id)
{
    struct buf path = {0}, label = {0};
    if (output_mode() != OUTPUT_TEXT)
        return NULL;
    struct progress *p = new_asking(s);
    buf_text(&path, "/wharf/why/");
    client_encode_segment(&path, id);
    buf_text(&path, "?limit=1");
    text_escape_all(&label, TEXT_LINE, id);
    buf_text(&label, ": ");
    p->path = buf_take(&path);
    p->label = buf_take(&label);
    return begin(p);
}

struct progress *progress_of_mode(const struct session *s)
{
    if (output_mode() != OUTPUT_TEXT)
        return NULL;
    struct progress *p = new_asking(s);
    p->is_mode = true;
    p->path = alloc_text("/wharf/mode");
    p->label = alloc_text("mode: ");
    return begin(p);
}

struct progress *progress_of_wait(uint64_t since_ns)
{
    struct progress *p = alloc_zeroed(1, sizeof(*p));
    p->label = alloc_text("wharf: ");
    p->begun_ns = since_ns;
    return begin(p);
}

void progress_tell(struct progress *p, const char *text, double left_s)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    buf_clear(&p->told);
    buf_text(&p->told, text);
    p->told_left_s = left_s;
    p->told_ns = now_ns();
    pthread_mutex_unlock(&p->lock);
}

void progress_end(struct progress *p)
{
    const uint64_t one = 1;
    if (!p)
        return;
    (void)!write(p->end_fd, &one, sizeof(one));
    pthread_join(p->thread, NULL);
    if (p->is_shown) {
        fputs(CLEAR_LINE, stderr);
        fflush(stderr);
    }
    close(p->end_fd);
    pthread_mutex_destroy(&p->lock);
    buf_fini(&p->told);
    buf_fini(&p->words);
    buf_fini(&p->phase);
    free(p->path);
    free(p->label);
    free(p);
}
