/* found.h: what `wharf init` has found on a machine, as plain data: what looks fills it in, what
 * decides and writes only reads it. */
#ifndef CLI_INIT_FOUND_H
#define CLI_INIT_FOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/gguf.h"
#include "gpu/gpu.h"

/* Sentences about what was left out; further ones are only counted. */
#define FOUND_NOTES_MAX 64

struct found_notes {
    char *items[FOUND_NOTES_MAX]; /* owned; any bytes that a file's name may have */
    uint32_t count, more;
};

enum found_kind { FOUND_CHAT, FOUND_EMBEDS, FOUND_RERANKS, FOUND_KIND__COUNT };

/* A model in a GGUF file, or several; texts are owned. */
struct found_model {
    char *id;
    char *path;      /* absolute; of a model in parts, the first */
    char *projector; /* the file by which it sees or hears; NULL: none */
    uint64_t bytes;  /* of all its parts */
    uint64_t projector_bytes;
    enum found_kind kind;
    struct gguf_model head;
};

/* A model that was pulled into Ollama; texts are owned. */
struct found_pulled {
    char *id;
    char *name;
    uint64_t bytes; /* on disk; 0: not said */
    bool embeds;
};

struct found_gpu {
    char name[GPU_TEXT_MAX];
    uint64_t bytes; /* that can be handed out; 0: not known */
    bool used;      /* by a daemon that is told nothing about GPUs */
};

struct found {
    struct found_gpu gpus[GPU_DEVICES_MAX];
    uint32_t gpu_count;
    char *gpu_problem; /* why no GPU is known; NULL: the question was answered */
    char *server;      /* the absolute path of llama-server; NULL: none */
    struct found_model *models;
    uint32_t model_count;
    char *ollama; /* the URL that was asked; NULL: none */
    bool ollama_answers;
    struct found_pulled *pulled;
    uint32_t pulled_count;
    struct found_notes notes;
};

/* All zero is nothing found. */
void found_fini(struct found *f);
void found_note(struct found_notes *notes, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
