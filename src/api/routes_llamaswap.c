/* Paths that llama-swap answers itself. */
#include "api/routes.h"

/* clang-format off */
static const struct route routes[] = {
    LOCAL("GET", "/health", NONE, api_health),
    LOCAL("GET", "/wol-health", NONE, api_health),
    LOCAL("GET", "/ready", NONE, api_ready),
    LOCAL("GET", "/", NONE, api_root),
    LOCAL("GET", "/ui", NONE, api_ui_redirect),
    LOCAL("GET", "/ui/", NONE, api_ui_page),
    LOCAL("GET", "/ui/*", NONE, api_ui_file),
    LOCAL("GET", "/favicon.ico", NONE, api_favicon),
    LOCAL("GET", "/upstream", NONE, api_upstream_page),
    LOCAL("GET", "/models", LIST, api_list_models),
    LOCAL("GET", "/running", READ, api_running),
    LOCAL("GET", "/unload", OPERATE, api_unload_all_text),
    LOCAL("POST", "/api/models/unload", OPERATE, api_unload_all_json),
    LOCAL("POST", "/api/models/unload/*", OPERATE, api_unload_one),
    LOCAL("GET", "/api/profiles", READ, api_profiles),
    LOCAL("PUT", "/api/profiles/active", OPERATE, api_set_profile),
    LOCAL("GET", "/api/version", LIST, api_version),
    LOCAL("GET", "/api/metrics/activity", READ, api_activity),
    LOCAL("GET", "/api/metrics/stats", READ, api_stats),
    LOCAL("GET", "/api/captures/*", READ, api_capture),
    LOCAL("GET", "/api/inflight", READ, api_inflight),
    LOCAL("POST", "/api/inflight/*", OPERATE, api_inflight_cancel),
    LOCAL("GET", "/api/events", READ, api_llamaswap_events),
    LOCAL("GET", "/api/performance", READ, api_performance),
    LOCAL("GET", "/api/hardware", READ, api_hardware),
    LOCAL("GET", "/metrics", READ, api_metrics),
    LOCAL("GET", "/logs", READ, api_logs),
    LOCAL("GET", "/logs/stream", READ, api_log_stream),
    LOCAL("GET", "/logs/stream/proxy", READ, api_log_stream_own),
    LOCAL("GET", "/logs/stream/upstream", READ, api_log_stream_models),
    LOCAL("GET", "/logs/stream/*", READ, api_model_log_stream),
};
/* clang-format on */

const struct route_table routes_of_llamaswap = ROUTE_TABLE(routes);
