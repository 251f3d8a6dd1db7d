#include "base/build.h"

#include "build_commit.h" /* the build writes it */

#ifndef WHARF_VERSION /* the build sets it */
#define WHARF_VERSION "unknown"
#endif

const struct build build = {WHARF_VERSION, BUILD_COMMIT_AND_DATE};
