#include "server/process/listening.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define TCP_LISTEN 0x0a
/* Sockets of one address: IPv4 and IPv6, and workers that share a port. */
#define INODES_MAX 16

struct inodes {
    uint64_t items[INODES_MAX];
    uint32_t count;
};

static void note(struct inodes *all, uint64_t inode)
{
    if (inode && all->count < INODES_MAX)
        all->items[all->count++] = inode;
}

static uint16_t port_of(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)a)->sin_port)
                                   : ntohs(((const struct sockaddr_in6 *)a)->sin6_port);
}

/* A socket that listens for all addresses, or for this one. The kernel writes addresses as words in
 * the machine's order. */
static bool takes(const struct sockaddr_storage *a, const char *text)
{
    size_t n = strlen(text);
    struct in6_addr is;
    if (strspn(text, "0") == n)
        return true;
    if (n == 8 && a->ss_family == AF_INET)
        return strtoul(text, NULL, 16) == ((const struct sockaddr_in *)a)->sin_addr.s_addr;
    for (size_t i = 0; n == 32 && i < 4; i++) {
        char word[9] = {0};
        memcpy(word, text + 8 * i, 8);
        uint32_t value = (uint32_t)strtoul(word, NULL, 16);
        memcpy(is.s6_addr + 4 * i, &value, sizeof(value));
    }
    if (n == 32 && a->ss_family == AF_INET && IN6_IS_ADDR_V4MAPPED(&is))
        return memcmp(is.s6_addr + 12, &((const struct sockaddr_in *)a)->sin_addr, 4) == 0;
    return n == 32 && a->ss_family == AF_INET6 &&
           memcmp(&is, &((const struct sockaddr_in6 *)a)->sin6_addr, sizeof(is)) == 0;
}

static void look_tcp(const char *path, const struct sockaddr_storage *a, struct inodes *ret)
{
    char line[512], local[64];
    unsigned port, state;
    uint64_t inode;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, " %*d: %63[0-9A-Fa-f]:%x %*[^ ] %x %*s %*s %*s %*u %*u %" SCNu64, local,
                   &port, &state, &inode) == 4 &&
            state == TCP_LISTEN && port == port_of(a) && takes(a, local))
            note(ret, inode);
    if (f)
        fclose(f);
}

static void look_unix(const char *path, struct inodes *ret)
{
    char line[512], name[128];
    uint64_t inode;
    FILE *f = fopen("/proc/net/unix", "re");
    /* Flags 00010000: it listens. */
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "%*x: %*x %*x 00010000 %*x %*x %" SCNu64 " %127[^\n]", &inode, name) ==
                2 &&
            strcmp(name, path) == 0)
            note(ret, inode);
    if (f)
        fclose(f);
}

static bool holds(pid_t pid, const struct inodes *all)
{
    char path[64], target[64];
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && !found && (e = readdir(dir)) != NULL;) {
        uint64_t inode;
        ssize_t n = readlinkat(dirfd(dir), e->d_name, target, sizeof(target) - 1);
        if (n <= 0)
            continue;
        target[n] = '\0';
        if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1)
            continue;
        for (uint32_t i = 0; i < all->count; i++)
            found |= all->items[i] == inode;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* A parent is older than its children; numbers may have come round, but rarely. Process 1 may hold
 * sockets for others. */
static pid_t find_holder(const struct inodes *all)
{
    pid_t first = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (pid > 1 && (first == 0 || pid < first) && holds(pid, all))
            first = pid;
    }
    if (dir)
        closedir(dir);
    return first;
}

pid_t listening_process(const struct sockaddr_storage *address)
{
    struct inodes all = {.count = 0};
    if (address->ss_family == AF_UNIX) {
        look_unix(((const struct sockaddr_un *)address)->sun_path, &all);
    } else {
        if (address->ss_family == AF_INET)
            look_tcp("/proc/net/tcp", address, &all);
        look_tcp("/proc/net/tcp6", address, &all);
    }
    return all.count ? find_holder(&all) : 0;
}

bool listening_is_here(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_UNIX)
        return true;
    /* Nobody can bind to what is not his. */
    struct sockaddr_storage probe = *address;
    socklen_t n =
        address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    if (address->ss_family == AF_INET)
        ((struct sockaddr_in *)&probe)->sin_port = 0;
    else
        ((struct sockaddr_in6 *)&probe)->sin6_port = 0;
    int fd = socket(address->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool here = fd >= 0 && bind(fd, (const struct sockaddr *)&probe, n) == 0;
    if (fd >= 0)
        close(fd);
    return here;
}
