#include "server/traffic.h"

#include "server/access.h"
#include "server/proxy/exchange.h"

void traffic_arrived(struct exchange *ex)
{
    ex->access = access_begin(ex);
}

void traffic_begin(struct exchange *ex)
{
    (void)ex;
}

void traffic_head(struct exchange *ex, unsigned status, const struct http_head *head,
                  const char *bytes)
{
    (void)head;
    (void)bytes;
    access_status(ex->access, status);
}

void traffic_bytes(struct exchange *ex, const char *data, size_t n)
{
    (void)data;
    access_bytes(ex->access, n);
}

void traffic_over(struct exchange *ex, enum ended how)
{
    (void)how;
    access_end(ex->access);
    ex->access = NULL;
}
