/* Errors in the shapes that clients parse: OpenAI's, and Anthropic's on its paths. */
#include "api/handlers.h"
#include "base/pure/errors.h"
#include "config/config.h"

/* OpenAI's `type` by status. */
static const char *openai_type(int status)
{
    switch (status) {
    case 401:
    case 403:
        return "authentication_error";
    case 429:
        return "rate_limit_error";
    default:
        return status < 500 ? "invalid_request_error" : "server_error";
    }
}

/* Anthropic's `type` by status, from its API's list of errors. */
static const char *anthropic_type(int status)
{
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 503:
        return "overloaded_error";
    default:
        return status < 500 ? "invalid_request_error" : "api_error";
    }
}

void api_format_problem(const struct problem *p, enum route_face face, struct buf *out)
{
    const struct error_info *info = error_info(p->error);
    const char *message = p->detail ? p->detail : info->text;
    if (face == FACE_ANTHROPIC) {
        buf_printf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":",
                   anthropic_type(info->http_status));
        buf_json_text(out, message);
        buf_printf(out, ",\"code\":\"%s\"}}\n", info->code);
        return;
    }
    buf_text(out, "{\"error\":{\"message\":");
    buf_json_text(out, message);
    buf_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"",
               openai_type(info->http_status), info->code);
    if (p->retry_after_s)
        buf_printf(out, ",\"retry_after\":%u", p->retry_after_s);
    buf_text(out, "}}\n");
}

void api_fail_reason(struct exchange *ex, uint32_t slot, enum reason why)
{
    struct buf text = {0};
    struct problem p;
    struct effect e = {.model = slot, .reason = why};
    const struct config_model *m = roster_model(&ex->server->roster, slot);
    if (m && m->vram == CONFIG_VRAM_BYTES)
        e.bytes = m->vram_bytes;
    exchange_describe(ex->server, &e, &p, &text);
    exchange_fail(ex, &p);
    buf_fini(&text);
}
