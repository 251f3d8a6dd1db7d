/* answer.h: what a handler does with its exchange: answers of wharf's own, commands to the core,
 * and another request in place of the one that came. */
#ifndef SERVER_PROXY_ANSWER_H
#define SERVER_PROXY_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "server/proxy/exchange.h"

/* reply.c: answers */
/* The problem as an answer, or, when an answer has begun, a visibly cut one. Ends the exchange. */
void exchange_fail(struct exchange *ex, const struct problem *p);
/* Same by its number, of either sign; detail may be NULL. */
void exchange_fail_error(struct exchange *ex, int error, const char *detail);
/* Same for what the model's server did; why may be NULL. */
void exchange_fail_upstream(struct exchange *ex, int error, const char *why);
/* A whole answer. fields: further header lines, each with CRLF, or NULL. Ends the exchange. */
void exchange_reply(struct exchange *ex, int status, const char *content_type, const char *fields,
                    const char *body, size_t n);
/* Begins an answer without an end known; then pieces, then exchange_stream_end. A client that goes
 * away ends it through on_local_end. False: that has just happened. */
bool exchange_stream_begin(struct exchange *ex, const char *content_type);
bool exchange_stream_write(struct exchange *ex, const char *data, size_t n);
bool exchange_stream_full(struct exchange *ex);
/* Begins such a stream, or adds to it, before there is an answer: what a client that waits is told
 * is no traffic, and the exchange stays in its state. */
bool exchange_stream_open(struct exchange *ex, const char *content_type);
bool exchange_stream_put(struct exchange *ex, const char *data, size_t n);
void exchange_stream_end(struct exchange *ex);

/* routing.c: 404, with the nearest names. */
void exchange_fail_unknown(struct exchange *ex, const char *name);

/* For handlers: the path as it came. */
static inline struct http_span exchange_path(const struct exchange *ex)
{
    return ex->head->path;
}

/* exchange.c: the model or peer that it goes to, for messages. */
const char *exchange_target(const struct exchange *ex);

/* request.c: for a route's translate */
/* The same request in words that the model's server understands: a JSON object, posted to a path of
 * its own. */
struct exchange_words {
    const char *path;  /* static */
    const char *model; /* as naming.h knows it; valid during the call */
    const char *body;  /* names a model, in whose name's place `model` comes */
    size_t body_len;
};
/* Goes on with it as if it had come so: the model's filters, the queue, the proxy. exchange->filter
 * should see to the answer. May end the exchange. */
void exchange_translated(struct exchange *ex, const struct exchange_words *words);

/* Same with the body as it came, in which `model` comes in place of the name. */
void exchange_untranslated(struct exchange *ex, const char *model);

/* exchange.c: commands */
/* Starts a command in the core. on_done is called when all that were started are done, possibly
 * from inside this call; a handler that starts several sets commands_held, clears it after the
 * last, and looks at commands_open itself. */
void exchange_command(struct exchange *ex, uint32_t slot, enum command what,
                      void (*on_done)(struct exchange *ex));
/* COMMAND_KEEP: the model's ttl until it is unloaded next; UINT64_MAX: never for being idle. */
void exchange_keep(struct exchange *ex, uint32_t slot, uint64_t ttl_ns,
                   void (*on_done)(struct exchange *ex));
/* COMMAND_MOVE, to that placement. */
void exchange_move(struct exchange *ex, uint32_t slot, uint32_t placement,
                   void (*on_done)(struct exchange *ex));
/* What a refusal tells the client: fills *ret, with its detail in text. */
void exchange_describe(struct server *s, const struct effect *e, struct problem *ret,
                       struct buf *text);

/* The header of errors that are not worth a retry. OpenAI's and Anthropic's clients go by the
 * status alone, and try again after any 409 and 5xx, unless they are told otherwise in this way. */
#define ANSWER_NO_RETRY "X-Should-Retry: false\r\n"

#endif
