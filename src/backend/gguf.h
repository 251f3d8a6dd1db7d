/* gguf.h: what the head of a GGUF file says of the model in it; and what that takes while it runs.
 *
 * The format is that of ggml's docs/gguf.md, versions 2 and 3, little endian: a magic number,
 * counts, then metadata as pairs of a key and a typed value, of which a few are of interest here;
 * what follows (where the tensors are) is not read. A file may hold anything: nothing outside the
 * bytes that are given is looked at, and numbers that no model has count as not known. */
#ifndef BACKEND_GGUF_H
#define BACKEND_GGUF_H

#include <stddef.h>
#include <stdint.h>

/* The metadata of any model lies within so many bytes: vocabularies are most of it. */
#define GGUF_HEAD_BYTES_MAX (16 * 1024 * 1024)
#define GGUF_LAYERS_MAX 4096
/* Texts are cut to this, their NUL included. They are whatever somebody wrote into the file. */
#define GGUF_TEXT_MAX 64

enum gguf_result {
    GGUF_OK,
    GGUF_CUT, /* so far it is right, and goes on behind the bytes that are given */
    GGUF_BAD, /* not such a file */
};

/* How a model makes one vector, or one number, of a text: llama.cpp's llama_pooling_type. */
enum gguf_pooling {
    GGUF_POOLING_UNKNOWN, /* not said */
    GGUF_POOLING_NONE,
    GGUF_POOLING_MEAN,
    GGUF_POOLING_CLS,
    GGUF_POOLING_LAST,
    GGUF_POOLING_RANK,
    GGUF_POOLING__COUNT
};

/* Of a language model; 0 and "": not said. What a file says layer by layer is summed up. */
struct gguf_model {
    char architecture[GGUF_TEXT_MAX]; /* general.architecture */
    char name[GGUF_TEXT_MAX];         /* general.name */
    char type[GGUF_TEXT_MAX];         /* general.type: model, adapter, mmproj, imatrix, … */
    uint64_t tensors;                 /* none: the file is a vocabulary alone */
    uint64_t pooling;                 /* enum gguf_pooling, of *.pooling_type */
    uint64_t layers;                  /* *.block_count */
    uint64_t context;                 /* *.context_length: tokens that it was made for */
    uint64_t embedding;               /* *.embedding_length */
    uint64_t heads;                   /* *.attention.head_count, the most of any layer */
    uint64_t kv_heads;                /* *.attention.head_count_kv, of all layers together */
    uint64_t key_length;              /* *.attention.key_length, of one head */
    uint64_t value_length;            /* *.attention.value_length */
    uint64_t metadata_bytes;          /* up to the end of the metadata */
};

/* Reads the first n bytes of a file; ret is filled as far as it is known, whatever the result. */
enum gguf_result gguf_read(const void *data, size_t n, struct gguf_model *ret);

/* Bytes of 32 elements of a cache, by llama.cpp's word for their type (f16, q8_0, …); 0: unknown.
 */
uint32_t gguf_cache_block_bytes(const char *word);
/* What the keys and values of so many tokens take, with that many bytes for 32 of them; 0: the file
 * does not say enough. */
uint64_t gguf_cache_bytes(const struct gguf_model *m, uint64_t tokens, uint32_t key_block_bytes,
                          uint32_t value_block_bytes);

#endif
