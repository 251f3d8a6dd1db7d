/* The servers that hold models for wharf, and what others have loaded there. */
#include "api/json.h"

void api_put_backends(const struct server *s, struct buf *b)
{
    struct resident_backend_view all[CORE_BACKENDS_MAX];
    uint32_t count = residents_backends(s, all, CORE_BACKENDS_MAX);
    buf_text(b, "\"backends\":[");
    for (uint32_t i = 0; i < count; i++) {
        const struct resident_backend_view *v = &all[i];
        buf_printf(b, "%s{\"kind\":\"%s\",\"endpoint\":", i ? "," : "", v->kind);
        buf_json_text(b, v->endpoint);
        buf_printf(b, ",\"up\":%s,\"version\":", v->up ? "true" : "false");
        api_put_text(b, v->version);
        buf_text(b, ",\"reason\":");
        api_put_text(b, v->reason);
        buf_text(b, ",\"strangers\":[");
        struct resident_stranger x;
        for (uint32_t k = 0; residents_stranger(s, v->number, k, &x); k++) {
            buf_printf(b, "%s{\"name\":", k ? "," : "");
            buf_json_text(b, x.name);
            api_put_number(b, "bytes", x.bytes != 0, x.bytes);
            api_put_number(b, "vram_bytes", true, x.vram_bytes);
            buf_char(b, '}');
        }
        buf_text(b, "]}");
    }
    buf_char(b, ']');
}
