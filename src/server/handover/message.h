/* message.h: what a drainer and the program that took its place say to each other, as JSON. The two
 * may be of different versions: members that are missing are zero, others are ignored. */
#ifndef SERVER_HANDOVER_MESSAGE_H
#define SERVER_HANDOVER_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"

struct archive_draft;
struct given_client;
struct store_row;

/* To the new program. */
/* A connection (the first descriptor), and what came of its request (the second). */
json_t *message_client(const struct given_client *g);
/* All that was there at first has been sent. */
json_t *message_settled(void);
json_t *message_ended(struct id waiter, enum ended how);
json_t *message_row(const struct store_row *row);
json_t *message_archived(const struct archive_draft *row);
/* To the drainer: what has not ended after this is cut. */
json_t *message_stop(uint64_t grace_ns);

/* Each: whether it is one; then it is read. */
bool message_is_client(const json_t *msg, struct given_client *ret);
bool message_is_settled(const json_t *msg);
bool message_is_ended(const json_t *msg, struct id *ret_waiter, enum ended *ret_how);
/* From calloc, freed with free(); NULL: it is none. */
struct store_row *message_take_row(const json_t *msg);
/* Texts are borrowed from msg. */
bool message_is_archived(const json_t *msg, struct archive_draft *ret);
bool message_is_stop(const json_t *msg, uint64_t *ret_grace_ns);

/* Members of an object, zero where they are not or are of another type. Texts are borrowed. */
const char *message_text(const json_t *msg, const char *name);
uint64_t message_number(const json_t *msg, const char *name);
bool message_flag(const json_t *msg, const char *name);

#endif
