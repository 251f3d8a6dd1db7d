/* models.h: which of the GGUF files that were seen are models, and which belong together. Pure. */
#ifndef CLI_INIT_MODELS_H
#define CLI_INIT_MODELS_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/init/found.h"

/* A file that was seen. */
struct gguf_seen {
    char *path; /* absolute; owned */
    uint64_t bytes;
    uint64_t device, inode; /* of the file itself, where the path is a link */
    int error;              /* an errno: its head could not be read */
    enum gguf_result result;
    struct gguf_model head; /* parts behind the first have none */
};

/* Orders the files by path and makes f->models of them: parts become one, links to one file are
 * one, projectors go to their models, and what is no model for llama-server is left out, with a
 * note where it looks like one. Ids are given by names_assign. */
void models_sort_out(struct gguf_seen *seen, uint32_t count, struct found *f);

#endif
