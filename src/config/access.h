/* access.h: whom the listeners serve, beside the keys: names that wharf is called by, sites whose
 * pages may use it, and who may open its unix sockets. */
#ifndef CONFIG_ACCESS_H
#define CONFIG_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/strings.h"

/* As SCHEME://HOST[:PORT], the form of browsers: all but the longest name and port. */
#define CONFIG_ORIGIN_BYTES_MAX 512

struct config_access {
    struct config_strings hosts;   /* in small letters; without ports */
    struct config_strings origins; /* in small letters, or "*" */
    bool origins_given;            /* else any site's pages may use models */
    uint32_t wrong_keys_max;       /* of an address, within a minute; 0: any number */
    uint32_t socket_mode;
    bool has_group; /* that unix sockets are given to */
    uint32_t socket_gid;
};

#endif
