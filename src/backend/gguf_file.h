/* gguf_file.h: the head of a GGUF file on disk. Blocking file reads; call off the loop. */
#ifndef BACKEND_GGUF_FILE_H
#define BACKEND_GGUF_FILE_H

#include "backend/gguf.h"
#include "base/pure/check.h"

/* Reads as much of the file as its metadata takes. 0 with both filled in, where GGUF_CUT says that
 * the file ends within its metadata, or that these are longer than any model's; or an errno, and
 * both are untouched: it cannot be opened, or is no regular file (EINVAL). */
int gguf_read_file(const char *path, struct gguf_model *ret_model,
                   enum gguf_result *ret_result) warn_unused;

#endif
