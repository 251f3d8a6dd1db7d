#include "gpu/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "gpu/pids.h"

static const struct gpu_reader *const readers[] = {&gpu_nvml, &gpu_drm};

struct probe {
    struct gpu_place place;
    struct gpu_opened opened[countof(readers)];
};

struct gpu_place probe_place(void)
{
    const char *root = getenv("WHARF_GPU_ROOT"), *nvml = getenv("WHARF_NVML");
    return (struct gpu_place){.root = root ? root : "",
                              .nvml_path = nvml && *nvml ? nvml : "libnvidia-ml.so.1"};
}

struct probe *probe_new(const struct gpu_place *where)
{
    struct probe *p = alloc_zeroed(1, sizeof(*p));
    p->place = *where;
    for (size_t i = 0; i < countof(readers); i++)
        readers[i]->open(&p->place, &p->opened[i]);
    return p;
}

void probe_free(struct probe *p)
{
    for (size_t i = 0; i < countof(readers); i++)
        if (p->opened[i].self)
            readers[i]->close(p->opened[i].self);
    free(p);
}

static void add_text(struct gpu_report *r, const char *text)
{
    size_t n = strlen(r->text);
    snprintf(r->text + n, sizeof(r->text) - n, "%s%s", n ? "; " : "", text);
}

static void name_processes(const char *root, struct gpu_device *d)
{
    for (uint32_t i = 0; i < d->use_count; i++)
        d->uses[i].start_ticks = pids_start_ticks(root, d->uses[i].pid);
}

void probe_read(struct probe *p, struct gpu_report *ret)
{
    bool waits = false;
    ret->device_count = 0;
    ret->text[0] = '\0';
    for (size_t i = 0; i < countof(readers); i++) {
        const struct gpu_opened *o = &p->opened[i];
        bool ok = true;
        if (o->self)
            ret->device_count += readers[i]->read(o->self, ret->devices + ret->device_count,
                                                  GPU_DEVICES_MAX - ret->device_count, &ok);
        waits |= o->state == GPU_WAITING || !ok;
    }
    for (uint32_t i = 0; i < ret->device_count; i++)
        name_processes(p->place.root, &ret->devices[i]);
    /* What is missing is of interest where nothing was found, or where it should have been. */
    for (size_t i = 0; i < countof(readers); i++)
        if (p->opened[i].text[0] && (!ret->device_count || p->opened[i].state != GPU_NONE))
            add_text(ret, p->opened[i].text);
    ret->final = !ret->device_count && !waits;
}

int probe_serve(int fd, const struct gpu_place *where)
{
    static struct gpu_report report; /* large */
    struct gpu_question q;
    struct probe *p = NULL;
    bool over = false;
    ssize_t n;
    /* A report goes in one piece. */
    const int room = 2 * (int)sizeof(report);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    while (!over) {
        do
            n = recv(fd, &q, sizeof(q), 0);
        while (n < 0 && errno == EINTR);
        if (n <= 0 || !wire_check_question(&q, (size_t)n))
            break;
        /* Not before: opening may take long, and the daemon counts from its question. */
        if (!p)
            p = probe_new(where);
        report = (struct gpu_report){.magic = WIRE_MAGIC,
                                     .version = WIRE_VERSION,
                                     .device_bytes = sizeof(report.devices[0]),
                                     .number = q.number};
        probe_read(p, &report);
        n = send(fd, &report, wire_report_bytes(&report), MSG_NOSIGNAL);
        over = n < 0 || report.final;
    }
    if (p)
        probe_free(p);
    return 0;
}

/* A driver's library may open whatever it likes; what came by mistake from the daemon is closed. */
static void drop_everything(void)
{
    const struct rlimit none = {0, 0};
#ifdef SYS_close_range
    (void)syscall(SYS_close_range, 3U, ~0U, 0U);
#endif
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)!chdir("/");
}

int probe_main(void)
{
    const struct gpu_place where = probe_place();
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        type != SOCK_SEQPACKET) {
        (void)!write(STDERR_FILENO, "wharf starts this itself\n", 25);
        return 2;
    }
    /* The daemon's death ends it, even inside a driver. Whether it has died already shows in the
     * socket. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    drop_everything();
    return probe_serve(STDIN_FILENO, &where);
}
