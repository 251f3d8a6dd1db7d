/* /ui/: the dashboard. Its files hold nothing of this machine, so nobody needs a key for them; what
 * they show comes by the paths that do. */
#include "api/ui.h"

#include <string.h>

#include "api/handlers.h"
#include "base/pure/errors.h"

#define INDEX "index.html"

/* Everything that a page is made of comes from wharf itself. Pictures and sounds of the playground
 * are made in the page. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "img-src 'self' data: blob:; media-src blob:; frame-ancestors 'none'; base-uri 'none'; "       \
    "form-action 'none'"

static const struct ui_file *find(const char *path)
{
    for (const struct ui_file *f = ui_files; f->path; f++)
        if (strcmp(f->path, path) == 0)
            return f;
    return NULL;
}

/* Whether one of the tags of If-None-Match is the file's. */
static bool is_known(const struct exchange *ex, const struct ui_file *f)
{
    const struct http_field *field = http_head_find_text(ex->head, ex->bytes, "if-none-match");
    return field &&
           memmem(ex->bytes + field->value.off, field->value.len, f->etag, strlen(f->etag));
}

static void send_file(struct exchange *ex, const struct ui_file *f)
{
    struct buf fields = {0};
    bool known = is_known(ex, f);
    buf_printf(&fields,
               "ETag: %s\r\nCache-Control: %s\r\nX-Content-Type-Options: nosniff\r\n"
               "Referrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n"
               "Cross-Origin-Opener-Policy: same-origin\r\n"
               "Content-Security-Policy: " POLICY "\r\n",
               f->etag, f->fixed ? "public, max-age=31536000, immutable" : "no-cache");
    /* Kept compressed alone: all browsers take it, and nothing else asks for these files. */
    if (!known)
        buf_text(&fields, "Content-Encoding: gzip\r\n");
    exchange_reply(ex, known ? 304 : 200, f->type, fields.data, known ? "" : (const char *)f->data,
                   known ? 0 : f->size);
    buf_fini(&fields);
}

bool api_ui_is_there(void)
{
    return find(INDEX) != NULL;
}

/* Parts of the page stand behind a '#', so that there is one document alone. */
void api_ui_page(struct server *s, struct exchange *ex)
{
    (void)s;
    if (api_ui_is_there())
        send_file(ex, find(INDEX));
    else
        exchange_fail(ex, &(struct problem){
                              .error = ERR_ROUTE_UNKNOWN,
                              .detail = "this wharf was built without its page, since npm or its "
                                        "packages were not there; the commands tell the same: "
                                        "wharf status, ps, queue, devices, why"});
}

void api_ui_file(struct server *s, struct exchange *ex)
{
    char path[API_NAME_MAX];
    (void)s;
    if (!api_path_tail(ex, path, sizeof(path)))
        return;
    const struct ui_file *f = find(path);
    if (f)
        send_file(ex, f);
    else
        exchange_fail(ex, &(struct problem){.error = ERR_ROUTE_UNKNOWN});
}

/* Relative, as is all that leads to the page: there may be a prefix before it that only a proxy
 * knows. */
void api_ui_redirect(struct server *s, struct exchange *ex)
{
    (void)s;
    exchange_reply(ex, 307, NULL, "Location: ui/\r\n", "", 0);
}
