#include "wharf/api.h"

const char *wharf_version(void)
{
    return WHARF_VERSION; /* from the build */
}
