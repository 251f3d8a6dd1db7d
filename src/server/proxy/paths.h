/* paths.h: requests whose path says more than which route it is. */
#ifndef SERVER_PROXY_PATHS_H
#define SERVER_PROXY_PATHS_H

#include <stdbool.h>
#include <stddef.h>

struct exchange;
struct route;

/* The route of that path for the request's method; as server_api's find. */
const struct route *paths_find(const struct exchange *ex, const char *path, size_t n,
                               const char **ret_allow);
/* A path without a route that has one without its doubled slashes and dots: redirects there, with
 * 307 as Go's servers do, so that a body comes along. False: there is none, and nothing was said.
 */
bool paths_redirect_clean(struct exchange *ex);
/* ROUTE_MODEL_PATH: into the queue of the longest name that stands in the path, or a redirect to
 * the slash behind it. Paths of upstream.ignorePaths do not bring a model in: 409. */
void paths_route(struct exchange *ex);
/* ROUTE_MODEL_FIXED: same with the route's model; only its first page brings it in. */
void paths_route_fixed(struct exchange *ex);

#endif
