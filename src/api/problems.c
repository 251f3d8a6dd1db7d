/* Errors in the shapes that clients parse: OpenAI's, and Anthropic's on its paths, both with
 * llama-swap's members besides, and Ollama's on its; a page or a line of text for people. */
#include <string.h>
#include <strings.h>

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

/* Whether Accept names that type; by substring, as llama-swap has it: clients' lists are plain. */
static bool accepts(const struct problem_reader *who, const char *type)
{
    size_t n = strlen(type);
    for (size_t i = 0; i + n <= who->accept_len; i++)
        if (strncasecmp(who->accept + i, type, n) == 0)
            return true;
    return false;
}

static void put_html_text(struct buf *out, const char *text)
{
    for (; *text; text++) {
        const char *as = *text == '<'    ? "&lt;"
                         : *text == '>'  ? "&gt;"
                         : *text == '&'  ? "&amp;"
                         : *text == '"'  ? "&#34;"
                         : *text == '\'' ? "&#39;"
                                         : NULL;
        if (as)
            buf_text(out, as);
        else
            buf_char(out, *text);
    }
}

static void put_anthropic(const struct error_info *info, const char *message, struct buf *out)
{
    buf_printf(out,
               "{\"type\":\"error\",\"src\":\"llama-swap\",\"error\":{\"type\":\"%s\",\"message\":",
               anthropic_type(info->http_status));
    buf_json_text(out, message);
    buf_printf(out, ",\"code\":\"%s\",\"llama_swap_code\":\"%s\"}}\n", info->code,
               info->llama_swap_code);
}

static void put_openai(const struct problem *p, const struct error_info *info, const char *message,
                       struct buf *out)
{
    buf_text(out, "{\"src\":\"llama-swap\",\"error\":{\"message\":");
    buf_json_text(out, message);
    buf_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\",\"llama_swap_code\":\"%s\"",
               openai_type(info->http_status), info->code, info->llama_swap_code);
    if (p->retry_after_s)
        buf_printf(out, ",\"retry_after\":%u", p->retry_after_s);
    buf_text(out, "}}\n");
}

static void put_ollama(const char *message, struct buf *out)
{
    buf_text(out, "{\"error\":");
    buf_json_text(out, message);
    buf_text(out, "}\n");
}

/* llama-swap answers text and pages to whoever names them; wharf only where JSON is not named too,
 * since HTTP libraries write "application/json, text/plain" (axios) and parse what comes. A 429 is
 * always JSON: it is programs that have to understand it. */
const char *api_format_problem(const struct problem *p, const struct problem_reader *who,
                               struct buf *out)
{
    const struct error_info *info = error_info(p->error);
    const char *message = p->detail ? p->detail : info->text;
    if (who->face == FACE_OLLAMA) {
        put_ollama(message, out);
        return "application/json; charset=utf-8";
    }
    bool json = info->http_status == 429 || accepts(who, "application/json");
    if (!json && accepts(who, "text/plain")) {
        buf_printf(out, "llama-swap: %s", message);
        return "text/plain; charset=utf-8";
    }
    if (!json && accepts(who, "text/html")) {
        buf_text(out, "<html><body><h1>llama-swap</h1><p>");
        put_html_text(out, message);
        buf_text(out, "</p></body></html>");
        return "text/html; charset=utf-8";
    }
    if (who->face == FACE_ANTHROPIC)
        put_anthropic(info, message, out);
    else
        put_openai(p, info, message, out);
    return "application/json";
}

void api_fail_reason(struct exchange *ex, uint32_t slot, enum reason why)
{
    struct buf text = {0};
    struct problem p;
    struct effect e = {.model = slot, .reason = why};
    const struct config_model *m = roster_model(&ex->server->roster, slot);
    if (m)
        e.retry_after_s = core_estimate_s(ex->server->runner.core, slot);
    const struct config_placement *place = m ? config_model_on_gpu(m) : NULL;
    if (place && place->vram == CONFIG_VRAM_BYTES)
        e.bytes = place->vram_bytes;
    exchange_describe(ex->server, &e, &p, &text);
    exchange_fail(ex, &p);
    buf_fini(&text);
}
