/* init_finds.h: finds of `wharf init`, made up. */
#ifndef INIT_FINDS_H
#define INIT_FINDS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/pure/check.h"
#include "base/pure/units.h"
#include "cli/init/found.h"
#include "cli/init/models.h"

/* Of a model such as Llama 3 8B. */
static inline struct gguf_model finds_head(const char *architecture, const char *name,
                                           uint64_t context)
{
    struct gguf_model m = {.type = "model",
                           .tensors = 291,
                           .layers = 32,
                           .context = context,
                           .embedding = 4096,
                           .heads = 32,
                           .kv_heads = 256,
                           .metadata_bytes = 8 * MIB};
    snprintf(m.architecture, sizeof(m.architecture), "%s", architecture);
    snprintf(m.name, sizeof(m.name), "%s", name);
    return m;
}

/* Its inode is its number, so that no two are links to one file. */
static inline struct gguf_seen *finds_see(struct gguf_seen *seen, uint32_t *count, const char *path,
                                          uint64_t bytes)
{
    struct gguf_seen *s = &seen[(*count)++];
    *s = (struct gguf_seen){.path = alloc_text(path),
                            .bytes = bytes,
                            .device = 1,
                            .inode = *count,
                            .head = finds_head("llama", "", 8192)};
    return s;
}

static inline void finds_gpu(struct found *f, const char *name, uint64_t bytes)
{
    struct found_gpu *g = &f->gpus[f->gpu_count++];
    *g = (struct found_gpu){.bytes = bytes, .used = true};
    snprintf(g->name, sizeof(g->name), "%s", name);
}

static inline void finds_free(struct gguf_seen *seen, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(seen[i].path);
}

#endif
