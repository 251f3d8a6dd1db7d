/* Preloaded (LD_PRELOAD), a fault for the soak's judge to find: for each connection that is
 * accepted, memory that nobody gives back, and for each fifth a descriptor. The process's own
 * children have nothing of it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LEAK_BYTES (512 * 1024)
#define LEAK_EACH 5

__attribute__((constructor)) static void keep_to_oneself(void)
{
    unsetenv("LD_PRELOAD");
}

int accept4(int fd, __SOCKADDR_ARG addr, socklen_t *restrict len, int flags)
{
    static unsigned accepted;
    static void *volatile last;
    int found = (int)syscall(SYS_accept4, fd, addr.__sockaddr__, len, flags);
    if (found < 0)
        return found;
    last = malloc(LEAK_BYTES);
    if (last)
        memset(last, 1, LEAK_BYTES);
    if (++accepted % LEAK_EACH == 0)
        (void)open("/dev/null", O_RDONLY | O_CLOEXEC);
    return found;
}
