/* canned.h: endpoints with JSON other than text generation. Each answers the request that was read;
 * false: the connection must end. */
#ifndef DEMO_CANNED_H
#define DEMO_CANNED_H

#include "engine.h"
#include "http.h"

bool canned_embeddings(struct engine *e, struct http_conn *c);
bool canned_rerank(struct engine *e, struct http_conn *c);
bool canned_tokenize(struct engine *e, struct http_conn *c);
bool canned_count_tokens(struct engine *e, struct http_conn *c);
bool canned_moderation(struct engine *e, struct http_conn *c);

#endif
