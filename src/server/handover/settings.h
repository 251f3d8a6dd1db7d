/* settings.h: what the daemon was told while it ran, and a configuration does not say: the mode,
 * the profile, pins, how long models are kept, and that the preloads are over. */
#ifndef SERVER_HANDOVER_SETTINGS_H
#define SERVER_HANDOVER_SETTINGS_H

#include <jansson.h>

struct server;

/* As a new JSON object. */
json_t *settings_put(const struct server *s);
/* Sets all that again, as far as the configuration still knows it; once the core knows the models,
 * before BOOT_DONE. */
void settings_take(struct server *s, const json_t *settings);

#endif
