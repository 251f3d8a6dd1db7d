/* model.h: one model of the configuration. Texts are NUL-terminated UTF-8, owned by the struct
 * config that the model belongs to, and never NULL. Bytes are bytes and times nanoseconds. */
#ifndef CONFIG_MODEL_H
#define CONFIG_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "config/filters.h"
#include "config/placement.h"
#include "config/words.h"

/* What lists say about it. */
struct config_capabilities {
    bool configured;               /* something of it is neither empty nor false nor 0 */
    struct config_strings in, out; /* text, audio, image; in the order of the file */
    bool tools, reranker;
    uint64_t context_tokens; /* 0: not said */
};

/* Defaults stand in the settings table (settings.def), which is also their documentation. */
struct config_model {
    char *id;
    char *name, *description; /* "" when not given */
    enum config_backend backend;
    char *endpoint;           /* ollama: where it answers, without a slash at its end; else "" */
    char *backend_model;      /* ollama: the model's name there; else "" */
    uint32_t endpoint_number; /* ollama: from 1, the same for the same endpoint; else 0 */
    struct config_strings aliases;
    struct config_strings argv; /* cmd, split; may hold "${PORT}"; count 0: no cmd */
    char *cmd;                  /* expanded, comments stripped; may hold "${PORT}" */
    char *cmd_stop;             /* "" when not given; may hold "${PID}" and "${PORT}" */
    struct config_strings stop_argv;
    struct config_strings env; /* "K=V"; may hold "${PORT}" */
    char *proxy;               /* http://host:port/base; may hold "${PORT}"; "" for ollama, and for
                                  a worker that names its own */
    char *check_endpoint;      /* path with leading '/'; "" when the check is switched off */
    char *use_model_name;      /* "" when not given */
    struct config_filters filters;
    char *priority_param; /* member of a JSON body that takes its class as a number; "": none */
    char *metadata;       /* a JSON object, "{}" when not given */
    struct config_capabilities capabilities;
    bool unlisted;
    bool sends_loading_state;
    bool ignore_websockets;      /* they do not count as requests */
    bool pin;                    /* never made to leave for another model */
    bool uses_port;              /* "${PORT}" stands in cmd: a free one is found at each start */
    uint16_t port_preferred;     /* tried first; the next free one otherwise */
    enum config_class class;     /* of its requests that name none themselves */
    enum config_suspend suspend; /* how it gives its memory back while it stays */
    struct config_sleep sleep;
    enum config_yield yield;
    enum config_abort on_abort;
    uint32_t concurrency_limit;  /* requests served at once */
    uint32_t queue_max;          /* requests waiting, beyond those served */
    uint32_t load_retries_max;   /* failed loads in a row that those who wait live through */
    int32_t priority;            /* scheduler.settings.fifo.priority; higher goes first */
    uint32_t evict_cost;         /* matrix.evict_costs; 1 where none is given */
    uint64_t ttl_ns;             /* 0: never unloaded for idleness */
    uint64_t load_timeout_ns;    /* healthCheckTimeout */
    uint64_t unload_timeout_ns;  /* from SIGTERM to SIGKILL */
    uint64_t connect_timeout_ns; /* timeouts.connect; 0: none */
    uint64_t header_timeout_ns;  /* timeouts.responseHeader; 0: none */
    uint64_t idle_timeout_ns;    /* timeouts.idleConn: idle pooled connections */
    uint64_t tls_timeout_ns;     /* timeouts.tlsHandshake; 0: none */
    uint64_t keepalive_ns;       /* timeouts.keepalive: between two probes; 0: none are sent */
    uint64_t expect_timeout_ns;  /* timeouts.expectContinue */
    /* In order of preference: those of `devices`, or one that the model's own vram, gpus and
     * gpuCount describe; none for `vram: 0`. */
    struct config_placement *placements;
    uint32_t placement_count;
    bool has_variants;     /* `devices` is given, or goes without saying */
    uint32_t group;        /* index into groups */
    uint64_t hash_process; /* over what needs a new process: cmd, env, proxy, gpus, where it is */
    uint64_t hash_policy;  /* over everything else */
};

/* Its first placement on a GPU, or NULL. */
const struct config_placement *config_model_on_gpu(const struct config_model *m);
/* The place of that variant among its placements, or UINT32_MAX. */
uint32_t config_model_find_placement(const struct config_model *m, const char *id);

#endif
