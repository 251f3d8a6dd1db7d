#include "cli/top/known.h"

#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/pure/units.h"

#define SILENCE_MS_MAX 5000

uint64_t top_now_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* 0 with *ret owned by the caller; else *ret_trouble is. */
static int ask_one(const struct client_options *opt, const char *path, json_t **ret,
                   char **ret_trouble)
{
    const struct client_request rq = {
        .method = "GET", .path = path, .silence_ms_max = SILENCE_MS_MAX};
    struct client_reply reply;
    struct err e = {.set = false};
    struct buf why = {0};
    int rc = client_fetch(opt, &rq, &reply, &e);
    if (rc < 0) {
        *ret_trouble = alloc_text(e.set ? e.text : "interrupted");
        return rc;
    }
    if (client_reply_ok(&reply) && reply.json) {
        *ret = json_incref(reply.json);
    } else {
        client_reply_explain(&reply, &why);
        *ret_trouble = buf_take(&why);
        rc = -CLIENT_BROKEN;
    }
    client_reply_fini(&reply);
    return rc;
}

int top_known_ask(const struct client_options *opt, struct top_known *ret)
{
    struct top_known k = {.at_ns = top_now_ns()};
    const struct {
        const char *path;
        json_t **answer;
    } questions[] = {{"/wharf/status", &k.status},
                     {"/wharf/queue?limit=200", &k.queue},
                     {"/wharf/mode", &k.mode}};
    int rc = 0;
    for (size_t i = 0; i < countof(questions) && rc == 0; i++)
        rc = ask_one(opt, questions[i].path, questions[i].answer, &k.trouble);
    if (rc < 0) {
        json_decref(k.status);
        json_decref(k.queue);
        k.status = k.queue = NULL;
    }
    *ret = k;
    return rc;
}

void top_known_take(struct top_known *into, struct top_known *from)
{
    if (!from->status) {
        free(into->trouble);
        into->trouble = from->trouble;
    } else {
        top_known_fini(into);
        *into = *from;
    }
    *from = (struct top_known){.at_ns = 0};
}

void top_known_fini(struct top_known *k)
{
    json_decref(k->status);
    json_decref(k->queue);
    json_decref(k->mode);
    free(k->trouble);
    *k = (struct top_known){.at_ns = 0};
}
