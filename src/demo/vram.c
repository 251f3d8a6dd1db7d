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

/* The claims that hold. Any thread may end the process. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct {
    char *path; /* owned */
    int fd;
} claims[VRAM_DEVICES_MAX];
static unsigned claim_count;

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

static int check_fit(const char *folder, uint64_t bytes, struct err *err)
{
    uint64_t capacity;
    struct sim_reading reading;
    char want[UNITS_TEXT_MAX], used[UNITS_TEXT_MAX], all[UNITS_TEXT_MAX];
    if (read_capacity(folder, &capacity, err) != 0 || sim_read(folder, &reading, err) != 0)
        return -1;
    if (reading.used_bytes <= capacity && bytes <= capacity - reading.used_bytes)
        return 0;
    return err_set(err, "out of memory (allocating %s; %s of %s in use)",
                   units_format_bytes(bytes, want), units_format_bytes(reading.used_bytes, used),
                   units_format_bytes(capacity, all));
}

/* Written before it is locked: a claim that counts is never half written. The file stays open,
 * because closing any descriptor of it would drop the lock. */
static int write_claim(const char *folder, uint64_t bytes, struct err *err)
{
    char *path = alloc_printf("%s/%d", folder, (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || dprintf(fd, "%" PRIu64 "\n", bytes) < 0 || lock_whole(fd, F_SETLK) != 0) {
        err_set(err, "claim memory in '%s': %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        free(path);
        return -1;
    }
    pthread_mutex_lock(&table_lock);
    must(claim_count < VRAM_DEVICES_MAX);
    claims[claim_count].path = path;
    claims[claim_count++].fd = fd;
    pthread_mutex_unlock(&table_lock);
    return 0;
}

static int claim_one(const char *folder, uint64_t bytes, struct err *err)
{
    auto_free char *path = alloc_printf("%s/lock", folder);
    auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || lock_whole(fd, F_SETLKW) != 0)
        return err_set(err, "no device at '%s': %s", folder, strerror(errno));
    if (check_fit(folder, bytes, err) != 0)
        return -1;
    return write_claim(folder, bytes, err);
}

int vram_claim(const char *folders, uint64_t bytes, struct err *err)
{
    auto_free char *list = alloc_text(folders);
    char *rest = list, *folder;
    uint64_t count = 1;
    pthread_mutex_lock(&table_lock);
    must(claim_count == 0);
    pthread_mutex_unlock(&table_lock);
    for (const char *p = list; *p; p++)
        count += *p == '\n';
    uint64_t share = bytes / count + (bytes % count != 0);
    while ((folder = strsep(&rest, "\n")))
        if (claim_one(folder, share, err) != 0)
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
