#include "server/statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"

static int make_folder(const char *state, const char *name, struct err *err)
{
    char *path = alloc_printf("%s/%s", state, name);
    int rc = mkdir(path, 0700) < 0 && errno != EEXIST
                 ? err_set(err, "cannot create %s: %s (see --state)", path, strerror(errno))
                 : 0;
    free(path);
    return rc;
}

/* One daemon a state directory: two would end each other's models. Held until the process ends. By
 * fcntl and not flock: a child between its clone and its exec has a copy of the descriptor, and may
 * outlive a daemon that is killed by that moment. */
static int lock_state(const char *state, struct err *err)
{
    char *path = alloc_printf("%s/lock", state);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc = 0;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd < 0)
        rc = err_set(err, "cannot open %s: %s", path, strerror(errno));
    else if (fcntl(fd, F_SETLK, &whole) < 0)
        rc = err_set(err, "another wharf uses the state directory %s (see --state)", state);
    free(path);
    return rc;
}

int statedir_open(const char *state, struct err *err)
{
    return make_folder(state, "logs", err) < 0 ? -1 : lock_state(state, err);
}

int statedir_mark(const char *state, char mark[STATEDIR_MARK_BYTES], struct err *err)
{
    char *path = alloc_printf("%s/instance-id", state);
    FILE *f = fopen(path, "re");
    int rc = 0;
    bool known = f && fscanf(f, "%32[0-9a-f]", mark) == 1 && strlen(mark) == 32;
    if (f)
        fclose(f);
    if (!known) {
        unsigned char bytes[16];
        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
            rc = err_set(err, "no random numbers: %s", strerror(errno));
        for (size_t i = 0; i < sizeof(bytes); i++)
            snprintf(mark + 2 * i, 3, "%02x", bytes[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        f = fd < 0 ? NULL : fdopen(fd, "w");
        bool ok = f && fprintf(f, "%s\n", mark) > 0;
        if ((f && fclose(f) != 0) || !ok)
            rc = err_set(err, "cannot write %s: %s (see --state)", path, strerror(errno));
    }
    free(path);
    return rc;
}
