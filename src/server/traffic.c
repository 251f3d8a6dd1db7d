#include "server/traffic.h"

void traffic_begin(struct exchange *ex)
{
    (void)ex;
}

void traffic_head(struct exchange *ex, unsigned status, const struct http_head *head,
                  const char *bytes)
{
    (void)ex;
    (void)status;
    (void)head;
    (void)bytes;
}

void traffic_bytes(struct exchange *ex, const char *data, size_t n)
{
    (void)ex;
    (void)data;
    (void)n;
}

void traffic_over(struct exchange *ex, enum ended how)
{
    (void)ex;
    (void)how;
}
