/* wharf's own paths. */
#include "api/routes.h"

/* clang-format off */
static const struct route routes[] = {
    LOCAL("GET", "/wharf/status", READ, api_status),
    LOCAL("GET", "/wharf/devices", READ, api_devices),
    LOCAL("GET", "/wharf/queue", READ, api_queue),
    LOCAL("GET", "/wharf/leases", READ, api_leases),
    LOCAL("POST", "/wharf/leases", OPERATE, api_lease_ask),
    LOCAL("POST", "/wharf/leases/*", OPERATE, api_lease_hold),
    LOCAL("PUT", "/wharf/leases/*", OPERATE, api_lease_renew),
    LOCAL("DELETE", "/wharf/leases/*", OPERATE, api_lease_end),
    LOCAL("POST", "/wharf/plan", READ, api_plan),
    LOCAL("GET", "/wharf/decisions", READ, api_decisions),
    LOCAL("GET", "/wharf/why/*", READ, api_why),
    LOCAL("GET", "/wharf/timeline", READ, api_timeline),
    LOCAL("GET", "/wharf/history/requests", READ, api_history),
    LOCAL("GET", "/wharf/history/swaps", READ, api_history),
    LOCAL("GET", "/wharf/history/leases", READ, api_history),
    LOCAL("GET", "/wharf/history/decisions", READ, api_history),
    LOCAL("GET", "/wharf/history/samples", READ, api_history),
    LOCAL("GET", "/wharf/config", ADMIN, api_config),
    LOCAL("POST", "/wharf/config/check", ADMIN, api_config_check),
    LOCAL("GET", "/wharf/mode", READ, api_mode),
    LOCAL("PUT", "/wharf/mode", ADMIN, api_set_mode),
    LOCAL("POST", "/wharf/workers", ADMIN, api_worker_join),
    LOCAL("POST", "/wharf/workers/*", ADMIN, api_worker_answer),
    LOCAL("DELETE", "/wharf/workers/*", ADMIN, api_worker_leave),
    LOCAL("POST", "/wharf/upgrade", ADMIN, api_upgrade),
    LOCAL("GET", "/wharf/events", READ, api_events),
    LOCAL("GET", "/wharf/models", READ, api_models),
    LOCAL("GET", "/wharf/models/*", READ, api_model),
    LOCAL("POST", "/wharf/models/*", ADMIN, api_model_op),
};
/* clang-format on */

const struct route_table routes_of_wharf = ROUTE_TABLE(routes);
