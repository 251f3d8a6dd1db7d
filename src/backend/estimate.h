/* estimate.h: what a model's server will take of a GPU, guessed from its command line and files
 * before it has ever run. Decides, and reads no file itself.
 *
 * For a GGUF file: its bytes less its metadata, by the share of layers that go to the GPU; the
 * cache of keys and values for the whole context; and what contexts of the driver and buffers for
 * computing take. What is known of a command line are the flags of llama.cpp's llama-server, which
 * many others share. For any other file: its size, and the same for the driver. */
#ifndef BACKEND_ESTIMATE_H
#define BACKEND_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/gguf.h"

/* The driver's context and the buffers for computing, of one process. */
#define ESTIMATE_OVERHEAD_BYTES (UINT64_C(512) * 1024 * 1024)
/* A file that nobody calls a model's is only taken for one when it is as large as this. */
#define ESTIMATE_FILE_BYTES_MIN (UINT64_C(16) * 1024 * 1024)
#define ESTIMATE_BESIDES_MAX 8
#define ESTIMATE_ALL_LAYERS UINT64_MAX

/* No machine has so much: who says that a model takes more says nothing. */
#define ESTIMATE_BYTES_MAX (UINT64_C(1) << 50)

/* One file of a model, and how it is loaded. */
struct estimate_part {
    const char *path;   /* borrowed from the arguments; NULL: none is named */
    uint64_t context;   /* tokens; 0: as many as it was made for */
    uint64_t layers;    /* on the GPU; ESTIMATE_ALL_LAYERS */
    bool cache_on_host; /* the keys and values stay in the host's memory */
};

struct estimate_args {
    struct estimate_part model, draft;
    const char *besides[ESTIMATE_BESIDES_MAX]; /* loaded whole: projectors, adapters; borrowed */
    uint32_t besides_count;
    uint32_t key_block_bytes, value_block_bytes; /* of the cache, see gguf.h */
};

/* argv without the program's own name, or with it. */
void estimate_read_args(const char *const *argv, uint32_t count, struct estimate_args *ret);

/* What one part takes; UINT64_MAX: more than can be counted. file_bytes: of all its files together.
 */
uint64_t estimate_part_bytes(const struct gguf_model *m, uint64_t file_bytes,
                             const struct estimate_part *part, const struct estimate_args *args);

/* UINT64_MAX where the sum is larger than can be counted. */
uint64_t estimate_plus(uint64_t a, uint64_t b);

/* A model in several files, NAME-00001-of-00003.gguf: how many there are, by the name of the first;
 * 1 for any other name. */
uint32_t estimate_file_count(const char *path);
/* The name of file i, from 0. The caller frees it. */
char *estimate_file_name(const char *path, uint32_t i);

#endif
