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
#include "config/access.h"
#include "config/complaints.h"
#include "config/gpus.h"
#include "config/key.h"
#include "config/model.h"
#include "config/name.h"
#include "config/observe.h"
#include "config/peer.h"
#include "config/routing.h"
#include "config/selector.h"
#include "config/words.h"

/* More of any of these is a configuration error. */
#define CONFIG_MODELS_MAX 4096
#define CONFIG_PEERS_MAX 1024
#define CONFIG_SELECTORS_MAX 4096
#define CONFIG_PROFILES_MAX 4096
#define CONFIG_TARGETS_MAX 4096 /* of one selector */
#define CONFIG_ENDPOINTS_MAX 8  /* of Ollama: CORE_BACKENDS_MAX */

struct arena;

/* A command that is to run when something happens. */
struct config_hook {
    char *event; /* the type of a public event, as in events.def */
    char *command;
    struct config_strings argv; /* the command, split; at least one word */
};

struct config_listen {
    bool is_unix;
    char *host;    /* address or name; "" = all interfaces */
    uint16_t port; /* 0: any free one */
    char *path;    /* unix socket */
};

struct config_timeouts { /* the listener's own; all in ns, 0 = none */
    uint64_t head_ns, body_ns, idle_ns, write_ns, shutdown_ns;
    uint64_t rate_min; /* bytes a second; 0: any */
};

struct config {
    struct config_model *models;
    uint32_t model_count;
    struct config_group *groups;
    uint32_t group_count;
    struct config_gpu *gpus; /* those of the machine are filled in by config_place_gpus */
    uint32_t gpu_count;
    bool gpus_listed;              /* else gpu_choice says which */
    enum config_gpus gpu_choice;   /* AUTO where they are listed */
    struct config_listen *listens; /* count 0: the caller's default */
    uint32_t listen_count;
    struct config_listen *ollama_listen; /* of Ollama's API alone; NULL: none */
    struct config_key *keys;             /* those of apiKeys stand first */
    uint32_t key_count;
    struct config_access access;
    struct config_peer *peers; /* in ascending byte order of their ids, as the next two */
    uint32_t peer_count;
    struct config_selector *selectors;
    uint32_t selector_count;
    struct config_profile *profiles;
    uint32_t profile_count;
    struct config_observe observe;
    struct config_strings preload; /* model ids */
    struct config_gate *gates;     /* in ascending byte order of their ids */
    uint32_t gate_count;
    struct config_mode *modes; /* likewise; `idle` is always one of them */
    uint32_t mode_count;
    uint32_t start_mode; /* index into modes */
    struct config_hook *hooks;
    uint32_t hook_count;
    uint64_t hook_timeout_ns;  /* then a command is killed */
    uint64_t lease_grace_ns;   /* after a start, for what an earlier daemon granted */
    uint64_t backend_retry_ns; /* between two tries to reach a backend that is down */
    char *state;               /* "" when not given */
    char *models_dir;          /* likewise; its models are among the others */
    char *log_level;
    enum config_scheduler scheduler;
    enum config_planner planner;
    char *planner_why, *scheduler_why; /* one clause for the start-up log */
    struct config_matrix matrix;
    struct config_fair fair;
    enum config_exit on_exit;
    uint64_t suspend_bytes_max; /* host memory for suspended models; 0: none is suspended */
    struct config_timeouts timeouts;
    uint64_t body_bytes_max;
    uint64_t spool_bytes_max;
    uint64_t log_file_bytes_max; /* of each model's */
    uint32_t connections_max;
    struct config_name *names;     /* ascending */
    struct config_origin *origins; /* origins.h */
    uint32_t name_count, origin_count;
    struct arena *memory; /* everything above lives in it; NULL when it was not config_load's */
};

/* Reads one file. Returns the configuration, owned by the caller, or NULL when report->errors > 0.
 * Warnings (unknown keys, with the nearest name) come either way. */
struct config *config_load_file(const char *path, struct config_report *report);
/* Same from memory; name stands for the file in messages. */
struct config *config_load_text(const char *name, const char *text, size_t n,
                                struct config_report *report);
/* Same for a stranger's text: of environment variables only numbers come into it. */
struct config *config_check_text(const char *name, const char *text, size_t n,
                                 struct config_report *report);
void config_free(struct config *c);

/* What that name stands for, or NULL. Ids of models come first, then aliases and the names of
 * setParamsByID, PEER/MODEL, selectors, and what a single peer calls a model. O(log n). */
const struct config_name *config_find_name(const struct config *c, const char *name);
/* The model of that id or alias, or NULL: config_find_name, without peers and selectors. */
const struct config_model *config_find_model(const struct config *c, const char *name);
/* The index of a GPU, by its place in the list, its name, or what `device` says of it; once it was
 * found, by UUID and PCI address as well. UINT32_MAX: there is none. */
uint32_t config_find_gpu(const struct config *c, const char *name);
/* Whether it may use that listed GPU. */
bool config_placement_may_use(const struct config *c, const struct config_placement *p,
                              uint32_t gpu);
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
