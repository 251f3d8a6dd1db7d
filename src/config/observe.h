/* observe.h: what is kept and shown of what happens: logs, history, captures, measurements. Texts
 * are owned by the struct config. */
#ifndef CONFIG_OBSERVE_H
#define CONFIG_OBSERVE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/strings.h"
#include "config/words.h"

struct config;

/* A compiled regular expression. */
struct config_pattern {
    char *text;
    void *code; /* private */
};

struct config_observe {
    enum config_log_stdout log_stdout;
    bool log_stdout_given;
    enum config_log_format log_format;
    enum config_log_access log_access;
    enum config_log_time log_time;
    bool log_time_given;                        /* else the times have wharf's own form */
    uint32_t activity_rows_max;                 /* of the history in memory */
    uint64_t capture_bytes_max;                 /* 0: nothing is captured */
    char *store_path;                           /* "": in memory */
    bool makes_traces;                          /* for requests that come without one */
    bool history_enabled;                       /* wharf's own history is kept */
    uint64_t history_bytes_max, history_age_ns; /* its bounds; age 0: any */
    struct config_strings session_headers;
    bool performance_disabled;
    uint64_t performance_ns; /* between two measurements */
    bool aliases_in_list;
    struct config_pattern *ignored; /* upstream.ignorePaths; at least one */
    uint32_t ignored_count;
};

/* Whether one of upstream.ignorePaths is found in that path. One that would take too long to tell
 * is not. Any thread may ask. */
bool config_ignores_path(const struct config *c, const char *path, size_t n);

#endif
