/* files.h: whole files of /proc and /sys, which say their length only by their end. */
#ifndef GPU_FILES_H
#define GPU_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define FILES_BYTES_MAX (4 * 1024 * 1024)

/* Puts the text of root/path into out, which it empties before. False (and out is empty text) when
 * it cannot be read. */
bool files_read(const char *root, const char *path, struct buf *out);
/* The rest of the line that begins with name, behind the character that separates both and spaces:
 * true, and cut to fit. False, and out is "", when there is no such line. */
bool files_field(const char *text, const char *name, char separator, char *out, size_t size);

#endif
