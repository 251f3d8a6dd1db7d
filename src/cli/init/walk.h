/* walk.h: looks through folders for GGUF files, within bounds: a home directory may hold anything,
 * on disks that are far away. Blocking file reads. */
#ifndef CLI_INIT_WALK_H
#define CLI_INIT_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pure/check.h"
#include "cli/init/found.h"
#include "cli/init/models.h"

/* HuggingFace's cache is models--X--Y/snapshots/HASH/FOLDER/FILE. */
#define WALK_DEPTH_MAX 6
#define WALK_ENTRIES_MAX 100000
#define WALK_FILES_MAX 1000
#define WALK_SECONDS_MAX 10

struct walk_bounds {
    uint32_t depth_max;   /* folders below the one that is given */
    uint32_t entries_max; /* of all folders together, as the next two */
    uint32_t files_max;
    uint64_t ns_max;
};

struct walk;

struct walk *walk_new(const struct walk_bounds *bounds);
/* Looks through a folder and those below it, links followed, each but once and none that begins
 * with a dot. 0; or an errno: the folder itself cannot be read. Why others could not be is noted.
 */
int walk_folder(struct walk *w, const char *folder, struct found_notes *notes) warn_unused;
/* Reads the heads of the files that were seen. */
void walk_read_heads(struct walk *w);
/* Borrowed, to be put in another order. */
struct gguf_seen *walk_seen(struct walk *w, uint32_t *ret_count);
void walk_free(struct walk *w);

#endif
