#include "tale.h"
void tale_print(const struct tape *t, FILE *out)
{
    fprintf(out, "# %zu events\n", t->count);
}
