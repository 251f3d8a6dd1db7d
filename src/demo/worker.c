#include "worker.h"

#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "client/client.h"
#include "client/reply.h"
#include "vram.h"
#include "weights.h"

#define HOST "cpu"
#define NONE "none"
/* Between two attempts to register. */
#define RETRY_NS (100 * NS_PER_MS)

static const struct flags *flags;
static struct client_address address;
static char place[64]; /* where it is: HOST, NONE, or a GPU's */
static bool hanging;   /* since an order of this connection */

static bool is_gpu(const char *where)
{
    return strcmp(where, HOST) != 0 && strcmp(where, NONE) != 0;
}

static void settle(const char *where)
{
    snprintf(place, sizeof(place), "%s", where);
}

int worker_init(const struct flags *f, struct err *err)
{
    flags = f;
    if (client_address_parse(f->worker, &address, err) < 0)
        return err_wrap(err, "--worker");
    if (is_gpu(f->device) && f->vram && vram_set(f->gpu_folder, f->vram, err) < 0)
        return err_wrap(err, "--device %s", f->device);
    if (strcmp(f->device, NONE) != 0)
        weights_load(f->name);
    settle(f->device);
    return 0;
}

static struct client_options options(void)
{
    return (struct client_options){.address = address,
                                   .key = getenv("WHARF_KEY"),
                                   .connect_ms_max = CLIENT_CONNECT_MS_DEFAULT,
                                   .stop_fd = -1};
}

/* ---- orders ---- */

static void unload(void)
{
    vram_drop();
    weights_unload();
    settle(NONE);
}

/* Goes there: memory first, then the copy and its check, then what was left behind is given back.
 * NULL, or why it could not be done, with nothing changed; err holds the text. */
static const char *go(const char *to, const char *folder, struct err *err)
{
    bool from_gpu = is_gpu(place);
    /* One claim at a time: it moves between the host and a GPU, or comes anew. */
    if (is_gpu(to) && from_gpu)
        vram_drop();
    if (is_gpu(to) && flags->vram && vram_set(folder, flags->vram, err) < 0) {
        if (from_gpu)
            unload(); /* neither the one nor the other */
        return err->text;
    }
    engine_sleep(flags->move_time);
    if (strcmp(place, NONE) == 0) {
        weights_load(flags->name);
    } else if (!weights_move(flags->bad_check)) {
        if (is_gpu(to) && !from_gpu)
            vram_drop();
        return "the probe text has another embedding there";
    }
    if (from_gpu && !is_gpu(to) && !flags->lie_on_move)
        vram_drop();
    settle(to);
    return NULL;
}

/* {"id", "ok", "device", "checked", "error"} */
static json_t *answer_order(const json_t *order, const char *what)
{
    const char *to = json_string_value(json_object_get(order, "device")), *why = NULL;
    const char *folder =
        json_string_value(json_object_get(json_object_get(order, "env"), "WHARF_SIM_FOLDER"));
    struct err err = {0};
    bool goes = strcmp(what, "load") == 0 || strcmp(what, "move") == 0;
    if (goes && flags->vanish_on_move)
        engine_crash("vanished in the middle of a move, as told");
    if (goes)
        why = to ? go(to, folder ? folder : flags->gpu_folder, &err) : "no device was named";
    else if (strcmp(what, "unload") == 0)
        unload();
    json_t *answer = json_object();
    json_object_set_new(answer, "id", json_incref(json_object_get(order, "id")));
    json_object_set_new(answer, "ok", json_boolean(!why));
    json_object_set_new(answer, "device", strcmp(place, NONE) ? json_string(place) : json_null());
    json_object_set_new(answer, "checked", json_boolean(!why));
    if (why)
        json_object_set_new(answer, "error", json_string(why));
    return answer;
}

static void post(const char *token, const json_t *answer)
{
    struct client_options o = options();
    struct client_reply reply;
    struct err err = {0};
    auto_free char *path = alloc_printf("/wharf/workers/%s", token);
    char *text = json_dumps(answer, JSON_COMPACT);
    const struct client_request rq = {
        .method = "POST", .path = path, .body = text, .body_len = strlen(text)};
    if (client_fetch(&o, &rq, &reply, &err) < 0) {
        engine_say("worker: %s", err.text);
    } else {
        if (!client_reply_ok(&reply))
            engine_say("worker: the answer was refused: %.*s", (int)reply.body.len,
                       reply.body.data);
        client_reply_fini(&reply);
    }
    free(text);
}

static void carry_out(const json_t *order, const char *token)
{
    const char *what = json_string_value(json_object_get(order, "do"));
    if (!what || strcmp(what, "ping") == 0 || hanging)
        return;
    engine_say("worker: told to %s %s", what,
               json_is_string(json_object_get(order, "device"))
                   ? json_string_value(json_object_get(order, "device"))
                   : "");
    if (strcmp(what, "bye") == 0)
        return;
    if (flags->hang_on_move && strcmp(what, "move") == 0) {
        hanging = true;
        return;
    }
    json_t *answer = answer_order(order, what);
    post(token, answer);
    json_decref(answer);
}

/* ---- the connection ---- */

static uint16_t port_of(int listen_fd)
{
    struct sockaddr_in a = {0};
    socklen_t n = sizeof(a);
    must(getsockname(listen_fd, (struct sockaddr *)&a, &n) == 0);
    return ntohs(a.sin_port);
}

static char *registration(int listen_fd)
{
    json_t *body = json_pack("{s:s, s:i}", "model", flags->name, "pid", (int)getpid());
    json_t *devices = json_array();
    auto_free char *names = alloc_text(flags->devices);
    auto_free char *proxy = alloc_printf("http://%s:%u", flags->host, port_of(listen_fd));
    char *rest = names, *name;
    while ((name = strsep(&rest, ",")))
        json_array_append_new(devices, json_string(name));
    json_object_set_new(body, "devices", devices);
    if (strcmp(place, NONE) != 0)
        json_object_set_new(body, "device", json_string(place));
    if (!flags->no_proxy)
        json_object_set_new(body, "proxy", json_string(proxy));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

/* Lines until the connection ends; the first of them has the token. */
static void follow(struct client_answer *a)
{
    char token[64] = "";
    struct buf line = {0};
    struct err err = {0};
    hanging = false;
    while (client_read_line(a, &line, &err) > 0) {
        json_t *order = json_loadb(line.data, line.len, 0, NULL);
        const char *given = json_string_value(json_object_get(order, "worker"));
        if (given)
            snprintf(token, sizeof(token), "%s", given);
        else if (order)
            carry_out(order, token);
        json_decref(order);
    }
    buf_fini(&line);
}

static void serve_once(int listen_fd)
{
    struct client_options o = options();
    struct client_answer *a = NULL;
    struct err err = {0};
    char *body = registration(listen_fd);
    const struct client_request rq = {
        .method = "POST", .path = "/wharf/workers", .body = body, .body_len = strlen(body)};
    int rc = client_open(&o, &rq, &a, &err);
    free(body);
    if (rc == 0 && client_status(a) == 200) {
        engine_say("worker: registered for %s, at %s", flags->name, place);
        follow(a);
        engine_say("worker: the connection has ended");
    } else {
        struct client_reply reply = {0};
        struct buf why = {0};
        if (rc == 0 && client_collect(a, &reply, &err) == 0) {
            client_reply_explain(&reply, &why);
            client_reply_fini(&reply);
        }
        engine_say("worker: not registered: %s", why.len ? why.data : err.text);
        buf_fini(&why);
    }
    client_close(a);
}

void worker_run(struct engine *e, int listen_fd)
{
    while (!engine_ready(e))
        engine_sleep(NS_PER_MS);
    for (;;) {
        serve_once(listen_fd);
        engine_sleep(RETRY_NS);
    }
}
