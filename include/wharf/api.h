/* wharf/api.h: what all of libwharf has in common.
 *
 * Functions that can fail return 0 or a negative errno, named at each. Times are nanoseconds,
 * memory is bytes. Nothing is global: every object is made by its _new and ended by its _free, which
 * takes NULL as well. Objects may be used by any threads at once, except where it is said that one
 * thread owns them; no call may be under way when an object is freed. */
#ifndef WHARF_API_H
#define WHARF_API_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WHARF_API __attribute__((visibility("default")))

/* The version of this header; wharf_version is that of the library. */
#define WHARF_VERSION_MAJOR 0
#define WHARF_VERSION_MINOR 1
#define WHARF_VERSION_PATCH 0
/* "0.1.0". Never freed. */
WHARF_API const char *wharf_version(void);

/* Who waits for whom; lower goes first. */
enum wharf_class { WHARF_FOREGROUND = 0, WHARF_NORMAL = 50, WHARF_BACKGROUND = 100 };

/* As a timeout: wait without end. 0: do not wait. */
#define WHARF_FOREVER INT64_C(-1)

/* Ends blocking calls from another thread. One may be given to any number of calls. */
struct wharf_cancel;
WHARF_API struct wharf_cancel *wharf_cancel_new(void); /* NULL: no memory */
/* Every call that it was given to, and every later one, ends with -ECANCELED where it would wait. */
WHARF_API void wharf_cancel_set(struct wharf_cancel *c);
WHARF_API void wharf_cancel_free(struct wharf_cancel *c);

/* What has been granted to those who do not block: one for each event loop. One thread owns an
 * inbox and the waits that end in it; grants may come from any thread. */
struct wharf_inbox;
WHARF_API struct wharf_inbox *wharf_inbox_new(void); /* NULL: errno says why */
/* Readable while there is something in it; only for poll and the like. The inbox closes it. */
WHARF_API int wharf_inbox_fd(const struct wharf_inbox *i);
/* The next of those that were granted, in the order of their grants: ret_arg is what its wait was
 * begun with, and the wait is over. False: there is none, and the descriptor is no longer readable. */
WHARF_API bool wharf_inbox_next(struct wharf_inbox *i, void **ret_arg);
/* No wait may be under way in it. */
WHARF_API void wharf_inbox_free(struct wharf_inbox *i);

#ifdef __cplusplus
}
#endif

#endif
