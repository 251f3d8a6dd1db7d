/* children_watch.h: the owner of a child under test. It remembers what it is told and fails the
 * test when that comes twice or in the wrong order; and it waits, with a deadline. */
#ifndef TESTS_CHILDREN_WATCH_H
#define TESTS_CHILDREN_WATCH_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <uv.h>
#include <cmocka.h>

#include "server/process/children.h"

#define DEADLINE_MS 240000 /* under valgrind, on a busy machine, scans of /proc take their time */

/* What one child's owner has been told. */
struct watch {
    struct child *child;
    bool spawned, failed, exited, gone;
    pid_t pid;
    int status;
    char text[256];
    uint64_t asked_ns, spawned_ns, exited_ns, gone_ns;
};

static inline void watch_on_spawned(void *owner, struct child *c, pid_t pid)
{
    struct watch *w = owner;
    assert_ptr_equal(w->child, c);
    assert_false(w->spawned || w->failed || w->exited || w->gone);
    assert_int_equal(child_pid(c), pid);
    w->spawned = true;
    w->pid = pid;
    w->spawned_ns = uv_hrtime();
}

static inline void watch_on_spawn_failed(void *owner, struct child *c, const char *text)
{
    struct watch *w = owner;
    assert_ptr_equal(w->child, c);
    assert_false(w->spawned || w->failed || w->exited || w->gone);
    w->failed = true;
    snprintf(w->text, sizeof(w->text), "%s", text);
}

static inline void watch_on_exited(void *owner, struct child *c, int wait_status)
{
    struct watch *w = owner;
    assert_true(w->spawned && !w->failed && !w->exited && !w->gone);
    assert_int_equal(child_pid(c), 0);
    assert_false(child_signal(c, SIGTERM));
    w->exited = true;
    w->status = wait_status;
    w->exited_ns = uv_hrtime();
}

static inline void watch_on_gone(void *owner, struct child *c)
{
    struct watch *w = owner;
    assert_ptr_equal(w->child, c);
    assert_true(w->exited != w->failed && !w->gone);
    w->gone = true;
    w->child = NULL;
    w->gone_ns = uv_hrtime();
}

static const struct child_ops watch_ops = {watch_on_spawned, watch_on_spawn_failed, watch_on_exited,
                                           watch_on_gone};

struct wait {
    uint64_t end_ms;
    bool late;
};

static inline void look_cb(uv_timer_t *timer)
{
    struct wait *wait = timer->data;
    wait->late = uv_now(timer->loop) > wait->end_ms;
}

/* Runs the loop until a condition holds, looked at after every event. */
static inline void run_until(uv_loop_t *loop, bool (*done)(void *arg), void *arg, const char *what)
{
    uv_timer_t timer;
    uv_update_time(loop);
    struct wait wait = {.end_ms = uv_now(loop) + DEADLINE_MS};
    uv_timer_init(loop, &timer);
    timer.data = &wait;
    /* Conditions outside the loop, such as a line in a file, are looked at with each tick. */
    uv_timer_start(&timer, look_cb, 1, 1);
    while (!done(arg) && !wait.late)
        uv_run(loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
    if (wait.late)
        fail_msg("not within %d ms: %s", DEADLINE_MS, what);
}

#endif
