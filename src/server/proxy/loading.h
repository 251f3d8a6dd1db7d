/* loading.h: an event stream that begins while its request still waits.
 *
 * It is answered 200 before anybody knows what the model's server will say. What that says then is
 * made to fit by a relay filter: its events follow as they are; anything else, such as an error, is
 * one event with the text in it; a failure of wharf's own is an event named error, after which the
 * stream ends properly. A server that stops in the middle of an event still shows as a cut. */
#ifndef SERVER_PROXY_LOADING_H
#define SERVER_PROXY_LOADING_H

#include <stdbool.h>
#include <stdint.h>

struct exchange;

/* Each begins the answer where that has not happened, and returns false when the exchange is gone.
 * For programs: a comment with place and estimate. */
bool loading_comment(struct exchange *ex, uint32_t position, uint32_t estimate_s);
/* llama-swap's loading state, for people: a chat completion's chunk of thoughts (reasoning_content)
 * that says where the request stands, that time passes, or that its model is ready. */
bool loading_place(struct exchange *ex, uint32_t position, uint32_t estimate_s);
bool loading_dot(struct exchange *ex);
bool loading_ready(struct exchange *ex);
/* Its client has had such a stream's beginning, from an earlier program. */
void loading_go_on(struct exchange *ex);

#endif
