/* service.h without libsystemd: nobody is told anything, and nothing is handed over. */
#include "server/service.h"

void service_init(struct server *s)
{
    (void)s;
}

int service_start(struct server *s, struct err *err)
{
    (void)s;
    (void)err;
    return 0;
}

void service_reloading(struct server *s)
{
    (void)s;
}

void service_reloaded(struct server *s, bool ok)
{
    (void)s;
    (void)ok;
}

void service_stopping(struct server *s, uint64_t ns_max)
{
    (void)s;
    (void)ns_max;
}

void service_close(struct server *s)
{
    (void)s;
}

void service_fini(struct server *s)
{
    (void)s;
}

void service_before_exec(const struct server *s)
{
    (void)s;
}

void service_store(struct server *s, int fd, const char *where)
{
    (void)s;
    (void)fd;
    (void)where;
}

void service_forget(struct server *s, const char *where)
{
    (void)s;
    (void)where;
}
