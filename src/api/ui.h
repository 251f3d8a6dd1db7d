/* ui.h: the files of the dashboard, as tools/embed-web writes them into the program. */
#ifndef API_UI_H
#define API_UI_H

#include <stdbool.h>
#include <stddef.h>

struct ui_file {
    const char *path;          /* below /ui/ */
    const char *type;          /* Content-Type */
    const char *etag;          /* quoted; of what is sent */
    bool fixed;                /* what it holds is in its name: it never changes under that */
    const unsigned char *data; /* gzip */
    size_t size;
};

/* The last has no path. Empty where the page was not built. */
extern const struct ui_file ui_files[];

#endif
