/* Paths that llama-swap answers itself. */
#include "api/routes.h"

/* clang-format off */
static const struct route routes[] = {
    OPEN("GET", "/health", api_health),
    OPEN("GET", "/wol-health", api_health),
    OPEN("GET", "/ready", api_ready),
    OPEN("GET", "/", api_root),
    OPEN("GET", "/favicon.ico", api_favicon),
    OPEN("GET", "/upstream", api_upstream_page),
    LOCAL("GET", "/models", api_list_models),
    LOCAL("GET", "/running", api_running),
    LOCAL("GET", "/unload", api_unload_all_text),
    LOCAL("POST", "/api/models/unload", api_unload_all_json),
    LOCAL("POST", "/api/models/unload/*", api_unload_one),
    LOCAL("GET", "/api/profiles", api_profiles),
    LOCAL("PUT", "/api/profiles/active", api_set_profile),
    LOCAL("GET", "/api/version", api_version),
    LOCAL("GET", "/api/metrics/activity", api_activity),
    LOCAL("GET", "/api/metrics/stats", api_stats),
    LOCAL("GET", "/api/captures/*", api_capture),
    LOCAL("GET", "/api/inflight", api_inflight),
    LOCAL("POST", "/api/inflight/*", api_inflight_cancel),
    LOCAL("GET", "/api/events", api_llamaswap_events),
    LOCAL("GET", "/api/performance", api_performance),
    LOCAL("GET", "/api/hardware", api_hardware),
    LOCAL("GET", "/metrics", api_metrics),
    LOCAL("GET", "/logs", api_logs),
    LOCAL("GET", "/logs/stream", api_log_stream),
    LOCAL("GET", "/logs/stream/proxy", api_log_stream_own),
    LOCAL("GET", "/logs/stream/upstream", api_log_stream_models),
    LOCAL("GET", "/logs/stream/*", api_model_log_stream),
};
/* clang-format on */

const struct route_table routes_of_llamaswap = ROUTE_TABLE(routes);
