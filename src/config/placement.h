/* placement.h: the ways in which a model may sit, and how it sleeps. Texts are as in model.h. */
#ifndef CONFIG_PLACEMENT_H
#define CONFIG_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/strings.h"
#include "config/words.h"

/* Of one model, the GPUs that modes name for it besides its own included. CORE_PLACEMENTS_MAX. */
#define CONFIG_PLACEMENTS_MAX 4
/* The only placement that takes no GPU. */
#define CONFIG_HOST_ID "cpu"

enum config_vram { CONFIG_VRAM_UNSET, CONFIG_VRAM_AUTO, CONFIG_VRAM_BYTES };

struct config_placement {
    char *id;                   /* unique in its model: "cpu", "cuda", the name of a GPU */
    bool host;                  /* takes no GPU: nothing below but the command counts */
    struct config_strings gpus; /* names or numbers of allowed devices; empty: any */
    uint32_t gpu_count;         /* devices that it takes at once, >= 1 */
    enum config_vram vram;
    uint64_t vram_bytes;        /* with CONFIG_VRAM_BYTES: on all of its devices together */
    uint64_t free_bytes_min;    /* a wish moves it here only where this much is free */
    char *cmd;                  /* in place of the model's; "" when not given */
    struct config_strings argv; /* cmd, split; count 0: the model's */
};

/* A request to the server of a model that is to sleep or to wake. */
struct config_call {
    enum config_method method;
    char *path; /* with leading '/'; "": there is none to make */
    char *body; /* "" when not given */
};

/* What `suspend` says besides the word. */
struct config_sleep {
    uint32_t level;                     /* vllm: 1 keeps the weights in host memory, 2 drops them */
    char *model, *admin_key;            /* tabby: what it loads again, and its key; "" */
    struct config_call suspend, resume; /* http */
    /* http: it sleeps while the member of what this path answers has this value; "": not asked. */
    char *check_path, *check_member, *check_value;
};

/* What it takes on each of its devices: vram_bytes divided by gpu_count, rounded up. */
uint64_t config_placement_share_bytes(const struct config_placement *p);

#endif
