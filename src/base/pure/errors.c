#include "errors.h"

#include <string.h>

#include "check.h"

static const struct error_info infos[ERR__COUNT] = {
    [ERR_NONE] = {"ok", "ok", "no error", 200, false},
#define ERROR(name, code, theirs, status, retryable, text)                                         \
    [ERR_##name] = {code, theirs, text, status, retryable},
#include "errors.def"
#undef ERROR
};

const struct error_info *error_info(int error)
{
    int index = error < 0 ? -error : error;
    must(index < ERR__COUNT);
    return &infos[index];
}

int error_find(const char *code)
{
    for (int i = 0; i < ERR__COUNT; i++)
        if (strcmp(infos[i].code, code) == 0)
            return i;
    return ERR_NONE;
}
