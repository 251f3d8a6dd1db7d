/* build.h: which build of wharf this is. */
#ifndef BASE_BUILD_H
#define BASE_BUILD_H

struct build {
    const char *version; /* "0.1.0" */
    const char *commit;  /* short; "unknown" where it was built outside a checkout */
    const char *date;    /* of that commit, RFC 3339, so that builds can be repeated */
};

extern const struct build build;

#endif
