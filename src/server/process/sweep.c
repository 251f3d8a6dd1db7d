/* What an earlier daemon with the same mark left behind, ended before this one starts anything. */
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/pure/units.h"
#include "server/process/cgroup.h"
#include "server/process/children_priv.h"
#include "server/process/proctree.h"

/* Ending GPU work may take seconds inside the driver; longer than this is no reason not to start.
 */
#define SWEEP_MS_MAX 5000
#define SWEEP_PAUSE_MS_MAX 64

static uint64_t now_ms(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return ((uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec) / NS_PER_MS;
}

static bool is_adopted(const struct children *cs, pid_t pid)
{
    const struct link *at;
    list_each(at, &cs->all)
        if (child_owns(list_entry(at, struct child, link), pid))
            return true;
    return false;
}

static void drop_adopted(const struct children *cs, struct proc_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count && !list_empty(&cs->all); i++)
        if (!is_adopted(cs, list->items[i].pid))
            list->items[kept++] = list->items[i];
    if (!list_empty(&cs->all))
        list->count = kept;
}

static void add_all(struct proc_list *to, const struct proc_list *from)
{
    for (size_t i = 0; i < from->count; i++)
        (void)proc_list_add(to, from->items[i].pid);
}

/* Kills once what the folder and the mark find. Adds them to seen; true when there was any. found:
 * by the mark, the last time. */
static bool kill_leftovers(const struct children *cs, const struct proc_mark *mark,
                           struct proc_list *found, struct proc_list *seen)
{
    struct proc_list inside = {0};
    if (cs->cgroup_root && cgroup_populated(cs->cgroup_root)) {
        (void)cgroup_list(cs->cgroup_root, &inside);
        drop_adopted(cs, &inside);
        add_all(seen, &inside);
        if (list_empty(&cs->all))
            cgroup_kill(cs->cgroup_root);
        else
            proctree_kill(&inside);
    }
    bool complete = proctree_scan(mark, found);
    drop_adopted(cs, found);
    add_all(seen, found);
    proctree_kill(found);
    bool any = inside.count > 0 || !complete || found->count > 0;
    proc_list_fini(&inside);
    return any;
}

uint32_t children_sweep(struct children *cs)
{
    struct proc_list found = {0}, seen = {0};
    char *text = alloc_printf("WHARF_INSTANCE=%s:", cs->mark);
    const struct proc_mark mark = {.text = text, .prefix = true};
    uint64_t end_ms = now_ms() + SWEEP_MS_MAX;
    int pause_ms = 1;
    unsigned clean = 0;
    while (clean < 2 && now_ms() < end_ms) {
        if (!kill_leftovers(cs, &mark, &found, &seen)) {
            clean++;
            continue;
        }
        clean = 0;
        (void)poll(NULL, 0, pause_ms);
        pause_ms = pause_ms < SWEEP_PAUSE_MS_MAX ? pause_ms * 2 : pause_ms;
    }
    if (clean < 2)
        log_warn_with(NULL, LOG_WITH(LOG_TEXT("mark", cs->mark)),
                      "some processes of an earlier daemon could not be ended");
    if (cs->cgroup_root)
        cgroup_remove_below(cs->cgroup_root);
    uint32_t count = (uint32_t)seen.count;
    proc_list_fini(&found);
    proc_list_fini(&seen);
    free(text);
    /* After an exec in place the leftovers may have been this process's own children. */
    reaper_run(cs);
    return count;
}
