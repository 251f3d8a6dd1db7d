/* name.h: what a client may ask for. */
#ifndef CONFIG_NAME_H
#define CONFIG_NAME_H

#include <stdint.h>

enum config_name_kind { CONFIG_NAME_MODEL, CONFIG_NAME_PEER, CONFIG_NAME_SELECTOR };

struct config_name {
    const char *name; /* borrowed from what it names */
    enum config_name_kind kind;
    uint32_t index;      /* into models, peers or selectors */
    uint32_t peer_model; /* of CONFIG_NAME_PEER: index into the peer's models */
};

#endif
