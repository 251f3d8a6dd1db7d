#include "server/traffic.h"

#include "server/access.h"
#include "server/proxy/exchange.h"
#include "server/recording.h"

void traffic_arrived(struct exchange *ex)
{
    ex->access = access_begin(ex);
}

void traffic_begin(struct exchange *ex)
{
    recording_begin(ex);
}

void traffic_granted(struct exchange *ex)
{
    recording_granted(ex);
}

void traffic_head(struct exchange *ex, unsigned status, const struct http_head *head,
                  const char *bytes)
{
    access_status(ex->access, status);
    recording_head(ex, status, head, bytes);
}

void traffic_head_done(struct exchange *ex)
{
    recording_head_done(ex);
}

void traffic_bytes(struct exchange *ex, const char *data, size_t n)
{
    access_bytes(ex->access, n);
    recording_bytes(ex, data, n);
}

void traffic_over(struct exchange *ex, enum ended how)
{
    access_end(ex->access);
    ex->access = NULL;
    recording_over(ex, how);
}
