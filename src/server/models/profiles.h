/* profiles.h: the profile that is active, if any: under it some names stand for others. It is kept
 * by its name over reloads. */
#ifndef SERVER_PROFILES_H
#define SERVER_PROFILES_H

#include <stdbool.h>

struct config;
struct config_pin;
struct config_profile;
struct config_ref;
struct server;

struct profiles {
    char *active; /* owned; NULL: none is */
};

/* Makes it the active one; NULL: none. False, and nothing changed, when there is no such profile.
 */
bool profiles_set(struct server *s, const char *name);
/* The active one as that configuration has it; NULL where it has not, or none is active. */
const struct config_profile *profiles_active(const struct server *s, const struct config *c);
/* What the active one says of that very name, or NULL. */
const struct config_pin *profiles_pin(const struct server *s, const struct config *c,
                                      const char *name);
/* After a reload: one that is no longer configured is given up. */
void profiles_reload(struct server *s, const struct config_ref *old);
void profiles_fini(struct server *s);

#endif
