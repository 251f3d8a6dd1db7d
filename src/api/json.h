/* json.h: pieces of JSON that several answers are made of, and the JSON that requests bring. */
#ifndef API_JSON_H
#define API_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "api/handlers.h"
#include "server/net/peer_user.h"

struct json_t; /* <jansson.h> */

/* Bodies of wharf's own paths are small; no larger tree is built on the loop. */
#define API_BODY_BYTES_MAX (64 * 1024)

/* Each appends a value, without what stands around it. */
void api_put_seconds(struct buf *b, uint64_t ns);
/* How long ago then was; null for 0. */
void api_put_age(struct buf *b, uint64_t then_ns);
/* How long it is until then, 0 when it is over; null for 0. */
void api_put_left(struct buf *b, uint64_t then_ns);
/* A time of the wall clock, RFC 3339. */
void api_put_time(struct buf *b, int64_t seconds);
/* null for NULL and "". */
void api_put_text(struct buf *b, const char *text);
/* ,"name":n, or null for what is not known. */
void api_put_number(struct buf *b, const char *name, bool known, uint64_t n);
/* The id of a model; null for CORE_SLOT_NONE. */
void api_put_model(struct buf *b, const struct server *s, uint32_t slot);
/* All that is known of a model, as an object (model.c). */
void api_put_model_whole(struct server *s, uint32_t slot, struct buf *b);
/* Of all models, a list. */
void api_put_model_list(struct server *s, struct buf *b);
/* The names of the devices of a mask, as a list. */
void api_put_devices(struct buf *b, const struct server *s, uint32_t mask);
/* "devices":[…], all that is known of each (devices.c). */
void api_put_device_list(const struct server *s, struct buf *b);

/* "decisions":[…], the last max that concern a model or lease of that name or id; NULL: all
 * (decisions.c). */
#define API_DECISIONS_DEFAULT 100
void api_put_decisions(struct server *s, const char *name, uint64_t max, struct buf *b);
/* Whether any does. */
bool api_was_decided(const struct server *s, const char *name);
/* What would happen if the model were wanted now, an object (plan.c). */
void api_put_model_plan(struct server *s, uint32_t slot, enum class class, struct buf *b);

/* What requests of that class for the model, which wait for it, wait for: a sentence, or null
 * (queue.c). */
void api_put_model_wait(struct server *s, uint32_t slot, enum class class, struct buf *b);
/* ,"gates":[…], the names of those that are asked for (leases.c). */
struct core_lease_ask;
void api_put_gates(const struct server *s, const struct core_lease_ask *ask, struct buf *b);

/* "backends":[…], the servers that models are left to (status.c). */
void api_put_backends(struct server *s, struct buf *b);

/* The request's body, an object, owned by the caller (json_decref); NULL, and answered, when it is
 * none or too large. */
struct json_t *api_read_json(struct exchange *ex);
/* Whether every member of the object is one of these; false, and answered, for one that is not:
 * what is misspelt must not be as if it had not been said. what: whose members, as in "a move". */
bool api_check_members(struct exchange *ex, const struct json_t *object, const char *what,
                       const char *const *names, size_t count);
/* A text that the body must (or may) have: false, and answered, when it has something else there.
 * *ret: borrowed; NULL when it is absent, which only !required allows. */
bool api_read_text(struct exchange *ex, const struct json_t *body, const char *name, bool required,
                   const char **ret);
/* The class named by the member "class"; *ret stays when there is none. False, and answered, for
 * one that is none. */
bool api_read_class(struct exchange *ex, const struct json_t *body, enum class *ret);
/* What a lease is asked for. False, and answered, when it makes no sense (lease_ask.c). */
bool api_read_lease(struct exchange *ex, const struct json_t *lease, struct core_lease_ask *ret);
/* peer.c: whether an address, as text, is this machine's own; and the process at the other end: the
 * kernel's word for it, else the member "pid" where that can be true. 0: not known. Blocks no
 * longer than a look into /proc. */
bool api_is_loopback(const char *peer);
/* Whose connection it is; not known where that is another machine's. */
struct peer_user api_peer_user(const struct exchange *ex);
pid_t api_peer_pid(const struct exchange *ex, const struct json_t *body);
/* 400 with that sentence. */
void api_fail_body(struct exchange *ex, const char *detail);
/* move.c: the placement that the query or the body of a move names, the first where none is named.
 * False, and answered, when the model has none of that name. The model is a configured one. */
bool api_read_placement(struct server *s, struct exchange *ex, uint32_t slot, uint32_t *ret);

#endif
