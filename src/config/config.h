/* config.h: the validated configuration, as everything else sees it.
 *
 * config_load reads YAML sources, expands environment variables and macros, binds values through
 * the settings table, resolves references, and either returns one immutable struct or a list of
 * every error found. Text in the struct is NUL-terminated UTF-8, owned by the struct, and never
 * NULL unless said so. Models are in ascending byte order of their ids. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pure/check.h"

struct config_strings {
    char **items;
    uint32_t count;
};

struct arena;

#define CONFIG_MODELS_MAX 4096 /* more is a configuration error */
#define CONFIG_GROUPS_MAX 4096

enum config_vram { CONFIG_VRAM_UNSET, CONFIG_VRAM_AUTO, CONFIG_VRAM_BYTES };

/* Defaults stand in the settings table (settings.def), which is also their documentation. */
struct config_model {
    char *id;
    char *name, *description; /* "" when not given */
    struct config_strings aliases;
    struct config_strings argv; /* cmd, split; may hold "${PORT}"; count 0: no cmd */
    char *cmd;                  /* expanded, comments stripped; may hold "${PORT}" */
    char *cmd_stop;             /* "" when not given; may hold "${PID}" and "${PORT}" */
    struct config_strings stop_argv;
    struct config_strings env; /* "K=V"; may hold "${PORT}" */
    char *proxy;               /* http://host:port/base; may hold "${PORT}" */
    char *check_endpoint;      /* path with leading '/'; "" when the check is switched off */
    char *use_model_name;      /* "" when not given */
    bool unlisted;
    bool uses_port;              /* "${PORT}" stands in cmd: a free one is found at each start */
    uint16_t port_preferred;     /* tried first; the next free one otherwise */
    uint32_t concurrency_limit;  /* requests served at once */
    uint32_t queue_max;          /* requests waiting, beyond those served */
    int32_t priority;            /* scheduler.settings.fifo.priority; higher goes first */
    uint64_t ttl_ns;             /* 0: never unloaded for idleness */
    uint64_t load_timeout_ns;    /* healthCheckTimeout */
    uint64_t unload_timeout_ns;  /* from SIGTERM to SIGKILL */
    uint64_t connect_timeout_ns; /* timeouts.connect; 0: none */
    uint64_t header_timeout_ns;  /* timeouts.responseHeader; 0: none */
    uint64_t idle_timeout_ns;    /* timeouts.idleConn: idle pooled connections */
    enum config_vram vram;
    uint64_t vram_bytes;        /* with CONFIG_VRAM_BYTES */
    struct config_strings gpus; /* names or indices of allowed devices; empty: any */
    uint32_t group;             /* index into groups */
    uint64_t hash_process;      /* over what needs a new process: cmd, env, proxy, gpus */
    uint64_t hash_policy;       /* over everything else */
};

struct config_group {
    char *id; /* "(default)" for models that are in no group */
    bool swap, exclusive, persistent;
};

struct config_gpu {
    bool sim; /* a simulated device; others are found on the machine */
    char *name;
    uint64_t memory_bytes; /* sim */
    char *folder;          /* sim: where engines write their claims; "" = STATE/sim/INDEX */
    uint64_t reserve_bytes;
    uint32_t limit_permille; /* share of the memory that wharf may hand out; 1000 = all */
    uint64_t sample_ns;
};

enum config_scheduler { CONFIG_SCHED_FIFO, CONFIG_SCHED_SERIAL };
enum config_planner { CONFIG_PLAN_GROUP, CONFIG_PLAN_FIT };

struct config_listen {
    bool is_unix;
    char *host;    /* address or name; "" = all interfaces */
    uint16_t port; /* 0: any free one */
    char *path;    /* unix socket */
};

struct config_timeouts { /* the listener's own; all in ns, 0 = none */
    uint64_t head_ns, body_ns, idle_ns, write_ns, shutdown_ns;
};

struct config {
    struct config_model *models;
    uint32_t model_count;
    struct config_group *groups;
    uint32_t group_count;
    struct config_gpu *gpus;
    uint32_t gpu_count;
    struct config_listen *listens; /* count 0: the caller's default */
    uint32_t listen_count;
    struct config_strings api_keys;
    struct config_strings preload; /* model ids */
    char *state;                   /* "" when not given */
    char *log_level;
    enum config_scheduler scheduler;
    enum config_planner planner;
    char *planner_why, *scheduler_why; /* one clause for the start-up log */
    struct config_timeouts timeouts;
    uint64_t body_bytes_max;
    uint64_t spool_bytes_max;
    uint32_t connections_max;
    /* private: sorted names for config_find_model */
    struct config_name *names;
    uint32_t name_count;
    struct arena *memory; /* everything above lives in it; NULL when it was not config_load's */
};

struct config_name {
    const char *name; /* an id or alias; borrowed from the model */
    uint32_t model;   /* index into models */
};

/* Errors and warnings, each a line "file:line:column: error: text", in the order of the file. */
struct config_report {
    struct buf text;
    uint32_t errors, warnings;
};

/* Reads one file. Returns the configuration, owned by the caller, or NULL when report->errors > 0.
 * Warnings (unknown keys, with the nearest name) come either way. */
struct config *config_load_file(const char *path, struct config_report *report);
/* Same from memory; name stands for the file in messages. */
struct config *config_load_text(const char *name, const char *text, size_t n,
                                struct config_report *report);
void config_free(struct config *c);
void config_report_fini(struct config_report *report);

/* The model of that id or alias (ids first), or NULL. O(log n). */
const struct config_model *config_find_model(const struct config *c, const char *name);
/* Up to max ids or aliases that are nearest to name by edit distance, best first, for error
 * messages. Returns how many were written; the texts are borrowed from c. */
uint32_t config_nearest_models(const struct config *c, const char *name, const char **out,
                               uint32_t max);
/* The resolved configuration as YAML, for `wharf check --print`. Secrets are replaced by "***". */
void config_print(const struct config *c, struct buf *out);

/* "HOST:PORT", ":PORT", "[V6]:PORT" or "unix:/PATH". 0, or -1 when it is none of these; then
 * *ret_listen is untouched. */
int config_parse_listen(const char *text, struct config_listen *ret_listen) warn_unused;
void config_listen_fini(struct config_listen *listen);

#endif
