/* wharf's own paths. */
#include "api/routes.h"

/* clang-format off */
static const struct route routes[] = {
    LOCAL("GET", "/wharf/status", api_status),
    LOCAL("GET", "/wharf/devices", api_devices),
    LOCAL("GET", "/wharf/queue", api_queue),
    LOCAL("GET", "/wharf/leases", api_leases),
    LOCAL("POST", "/wharf/leases", api_lease_ask),
    LOCAL("POST", "/wharf/leases/*", api_lease_hold),
    LOCAL("PUT", "/wharf/leases/*", api_lease_renew),
    LOCAL("DELETE", "/wharf/leases/*", api_lease_end),
    LOCAL("POST", "/wharf/plan", api_plan),
    LOCAL("GET", "/wharf/decisions", api_decisions),
    LOCAL("GET", "/wharf/why/*", api_why),
    LOCAL("GET", "/wharf/mode", api_mode),
    LOCAL("PUT", "/wharf/mode", api_set_mode),
    LOCAL("POST", "/wharf/workers", api_worker_join),
    LOCAL("POST", "/wharf/workers/*", api_worker_answer),
    LOCAL("DELETE", "/wharf/workers/*", api_worker_leave),
    LOCAL("GET", "/wharf/events", api_events),
    LOCAL("GET", "/wharf/models", api_models),
    LOCAL("GET", "/wharf/models/*", api_model),
    LOCAL("POST", "/wharf/models/*", api_model_op),
};
/* clang-format on */

const struct route_table routes_of_wharf = ROUTE_TABLE(routes);
