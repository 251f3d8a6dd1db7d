#include "cli/init/found.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/buf.h"

void found_fini(struct found *f)
{
    for (uint32_t i = 0; i < f->model_count; i++) {
        free(f->models[i].id);
        free(f->models[i].path);
        free(f->models[i].projector);
    }
    for (uint32_t i = 0; i < f->pulled_count; i++) {
        free(f->pulled[i].id);
        free(f->pulled[i].name);
    }
    for (uint32_t i = 0; i < f->notes.count; i++)
        free(f->notes.items[i]);
    free(f->models);
    free(f->pulled);
    free(f->gpu_problem);
    free(f->server);
    free(f->ollama);
    *f = (struct found){.gpu_count = 0};
}

void found_note(struct found_notes *notes, const char *fmt, ...)
{
    struct buf text = {0};
    va_list ap;
    if (notes->count == FOUND_NOTES_MAX) {
        notes->more++;
        return;
    }
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    notes->items[notes->count++] = buf_take(&text);
}
