/* sources.h: the files that a configuration is read from: one, those of a folder, or both.
 *
 * The file comes first, then the folder's *.yml and *.yaml by their names, which are merged by the
 * rules of merge.h. Environment variables are expanded in each, macros in the whole. */
#ifndef CONFIG_SOURCES_H
#define CONFIG_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

#define SOURCES_MAX 1000u /* files of a folder */

/* One of them is given, or both. Borrowed. */
struct config_sources {
    const char *file, *dir;
};

/* As config_load_file. */
struct config *config_load(const struct config_sources *sources, struct config_report *report);

/* What the sources look like without being read; 0: there is no such thing now. */
struct config_stamp {
    uint64_t file;   /* changes with what the path leads to, its size and its time */
    uint64_t dir;    /* likewise, over all files of the folder; 0 also when it has none */
    uint64_t models; /* changes with the names of the models in modelsDir */
};

/* models_dir: of the configuration in force; "" when there is none. Does not fail. */
struct config_stamp config_stamp_take(const struct config_sources *sources, const char *models_dir);
/* Something is there that was not, or is another. What is gone is no change: it may be about to be
 * replaced. */
bool config_stamp_changed(const struct config_stamp *old, const struct config_stamp *now);

#endif
