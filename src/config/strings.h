/* strings.h: a list of texts. */
#ifndef CONFIG_STRINGS_H
#define CONFIG_STRINGS_H

#include <stdint.h>

struct config_strings {
    char **items;
    uint32_t count;
};

#endif
