/* tale.h: prints a tape in the language of the golden traces (tests/golden/README.md). */
#ifndef SIM_TALE_H
#define SIM_TALE_H

#include <stdio.h>

#include "tape.h"

void tale_print(const struct tape *t, FILE *out);

#endif
