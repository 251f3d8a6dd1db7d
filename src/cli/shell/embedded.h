/* embedded.h: the shells' scripts, as tools/embed-text puts them into the program. */
#ifndef CLI_SHELL_EMBEDDED_H
#define CLI_SHELL_EMBEDDED_H

#include <stddef.h>

struct embedded_text {
    const char *name; /* of its file */
    const char *text;
};

/* Ends with a row whose name is NULL. */
extern const struct embedded_text embedded_texts[];

#endif
