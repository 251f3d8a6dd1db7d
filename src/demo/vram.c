#include "vram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/pure/units.h"
#include "gpu/sim.h"

/* One on each GPU. Its file stays open while it holds, because closing any descriptor of it would
 * drop the lock. */
struct claim {
    char *path;
    int fd;
    uint64_t bytes;
};

static struct claim claims[VRAM_DEVICES_MAX];
static unsigned claim_count; /* those that hold */
/* Of both; any thread may end the process. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static int lock_whole(int fd, int command)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc;
    do
        rc = fcntl(fd, command, &lock);
    while (rc != 0 && errno == EINTR);
    return rc;
}

static int read_capacity(const char *folder, uint64_t *ret_bytes, struct err *err)
{
    auto_free char *path = alloc_printf("%s/capacity", folder);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[UNITS_TEXT_MAX + 1];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n < 0)
        return err_set(err, "no device at '%s': %s", folder, strerror(errno));
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    if (!units_parse_bytes(text, ret_bytes))
        return err_set(err, "no device at '%s': its capacity can't be read", folder);
    return 0;
}

/* had: of this process already. */
static int check_fit(const char *folder, uint64_t bytes, uint64_t had, struct err *err)
{
    uint64_t capacity;
    struct sim_reading reading;
    char want[UNITS_TEXT_MAX], used[UNITS_TEXT_MAX], all[UNITS_TEXT_MAX];
    if (read_capacity(folder, &capacity, err) != 0 ||
        sim_read_others(folder, getpid(), &reading, err) != 0)
        return -1;
    uint64_t others = reading.used_bytes;
    if (others <= capacity && bytes <= capacity - others)
        return 0;
    return err_set(err, "out of memory (allocating %s; %s of %s in use)",
                   units_format_bytes(bytes - had, want), units_format_bytes(others + had, used),
                   units_format_bytes(capacity, all));
}

/* All claims are of the same length, so that one that changes is never read as something else. */
static bool write_bytes(int fd, uint64_t bytes)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%020" PRIu64 "\n", bytes);
    return pwrite(fd, text, (size_t)n, 0) == n;
}

/* Written before it is locked: a claim that counts is never half written. */
static int open_claim(const char *folder, uint64_t bytes, struct err *err)
{
    struct claim c = {.path = alloc_printf("%s/%d", folder, (int)getpid()), .bytes = bytes};
    c.fd = open(c.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (c.fd < 0 || !write_bytes(c.fd, bytes) || lock_whole(c.fd, F_SETLK) != 0) {
        err_set(err, "claim memory in '%s': %s", c.path, strerror(errno));
        if (c.fd >= 0)
            close(c.fd);
        free(c.path);
        return -1;
    }
    pthread_mutex_lock(&table_lock);
    claims[claim_count++] = c;
    pthread_mutex_unlock(&table_lock);
    return 0;
}

static int set_one(uint32_t number, const char *folder, uint64_t bytes, struct err *err)
{
    must(number < VRAM_DEVICES_MAX);
    struct claim *c = &claims[number];
    pthread_mutex_lock(&table_lock);
    bool here = number < claim_count;
    pthread_mutex_unlock(&table_lock);
    auto_free char *path = alloc_printf("%s/lock", folder);
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || lock_whole(fd, F_SETLKW) != 0)
        return err_set(err, "no device at '%s': %s", folder, strerror(errno));
    if (check_fit(folder, bytes, here ? c->bytes : 0, err) != 0)
        return -1;
    if (!here)
        return open_claim(folder, bytes, err);
    if (!write_bytes(c->fd, bytes))
        return err_set(err, "claim memory in '%s': %s", c->path, strerror(errno));
    c->bytes = bytes;
    return 0;
}

int vram_set(const char *folders, uint64_t bytes, struct err *err)
{
    auto_free char *list = alloc_text(folders);
    char *rest = list, *folder;
    uint64_t count = 1;
    for (const char *p = list; *p; p++)
        count += *p == '\n';
    uint64_t share = bytes / count + (bytes % count != 0);
    for (uint32_t i = 0; (folder = strsep(&rest, "\n")); i++)
        if (set_one(i, folder, share, err) != 0)
            return -1;
    return 0;
}

void vram_drop(void)
{
    pthread_mutex_lock(&table_lock);
    for (; claim_count > 0; claim_count--) {
        unlink(claims[claim_count - 1].path);
        free(claims[claim_count - 1].path);
        close(claims[claim_count - 1].fd);
    }
    pthread_mutex_unlock(&table_lock);
}

/* The lock is kept, so that nothing is claimed any more. */
void vram_release(void)
{
    pthread_mutex_lock(&table_lock);
    for (unsigned i = 0; i < claim_count; i++)
        unlink(claims[i].path);
}
