/* models_dir.h: the GGUF files of a folder as models, each made from one template. */
#ifndef CONFIG_MODELS_DIR_H
#define CONFIG_MODELS_DIR_H

#include "config/diag.h"
#include "config/node.h"

struct model_file {
    const char *id;   /* the file's name without .gguf and, of a model in parts, without the part */
    const char *path; /* of a model in parts, the first */
};

/* The models of a folder, by their ids; further parts, and the projectors that go with a model
 * (mmproj*), are left out. 0 or an errno. */
int models_dir_list(struct arena *a, const char *dir, struct model_file **ret_files,
                    uint32_t *ret_n) warn_unused;
/* Adds a model of modelTemplate to `models` for each file of modelsDir whose id nobody has, with
 * its path as the macro MODEL_FILE. Takes modelTemplate out of the tree; modelsDir stays. Before
 * macros are expanded, after environment variables. */
void models_dir_expand(struct arena *a, struct diag *d, struct node *root);

#endif
