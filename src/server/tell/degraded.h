/* degraded.h: what is not as it should be while the daemon goes on without it: a device that cannot
 * be read, a backend that does not answer, a store that cannot be written, a limit that keeps
 * people out, a certificate that nobody will trust. Each is told in the log and as an event,
 * `degraded` and later `recovered`, and stands in /wharf/status meanwhile. */
#ifndef SERVER_DEGRADED_H
#define SERVER_DEGRADED_H

#include <stdint.h>

struct server;

enum degraded_what {
    DEGRADED_GPU,
    DEGRADED_BACKEND,
    DEGRADED_STORE,
    DEGRADED_LIMIT,
    DEGRADED_CERTIFICATE,
    DEGRADED__COUNT
};
extern const char *const degraded_words[DEGRADED__COUNT];

/* In place of a name: all of that kind together; told as null. */
#define DEGRADED_ALL ""

struct degradation {
    enum degraded_what what;
    char *name, *reason; /* owned */
    uint64_t since_ns;
    uint32_t *models; /* owned: slots of those that it is about */
    uint32_t model_count;
};

struct degraded {
    struct degradation *items; /* owned; oldest first */
    uint32_t count, cap;
};

/* It is not well, or for another reason than before: told once for each reason. All is copied.
 * models: slots of those that it is about; NULL, 0: none in particular. */
void degraded_set(struct server *s, enum degraded_what what, const char *name, const char *reason,
                  const uint32_t *models, uint32_t model_count);
/* All is well with it, as it may have been all the time. */
void degraded_clear(struct server *s, enum degraded_what what, const char *name);
/* NULL: it is well. */
const struct degradation *degraded_find(const struct server *s, enum degraded_what what,
                                        const char *name);
/* Why the model's backend does not answer; NULL: it does. Borrowed. */
const char *degraded_backend_of(const struct server *s, uint32_t slot);
void degraded_fini(struct server *s);

#endif
