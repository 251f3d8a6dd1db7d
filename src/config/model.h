/* model.h: one model of the configuration. Texts are NUL-terminated UTF-8, owned by the struct
 * config that the model belongs to, and never NULL. Bytes are bytes and times nanoseconds. */
#ifndef CONFIG_MODEL_H
#define CONFIG_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "config/filters.h"
#include "config/words.h"

enum config_vram { CONFIG_VRAM_UNSET, CONFIG_VRAM_AUTO, CONFIG_VRAM_BYTES };

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
    struct config_strings aliases;
    struct config_strings argv; /* cmd, split; may hold "${PORT}"; count 0: no cmd */
    char *cmd;                  /* expanded, comments stripped; may hold "${PORT}" */
    char *cmd_stop;             /* "" when not given; may hold "${PID}" and "${PORT}" */
    struct config_strings stop_argv;
    struct config_strings env; /* "K=V"; may hold "${PORT}" */
    char *proxy;               /* http://host:port/base; may hold "${PORT}" */
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
    enum config_vram vram;
    uint64_t vram_bytes;        /* with CONFIG_VRAM_BYTES: on all of its devices together */
    struct config_strings gpus; /* names or indices of allowed devices; empty: any */
    uint32_t gpu_count;         /* devices that it takes at once, >= 1 */
    uint32_t group;             /* index into groups */
    uint64_t hash_process;      /* over what needs a new process: cmd, env, proxy, gpus */
    uint64_t hash_policy;       /* over everything else */
};

/* What it takes on each of its devices: vram_bytes divided by gpu_count, rounded up. */
uint64_t config_model_share_bytes(const struct config_model *m);

#endif
