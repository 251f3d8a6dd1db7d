/* model_op.h: what the daemon can be asked to do with one model: one table, for the commands that
 * do so and wait for it, and for the keys of `wharf top`. */
#ifndef CLI_MODEL_OP_H
#define CLI_MODEL_OP_H

#include "cli/session.h"

struct json_t; /* <jansson.h> */

enum model_verb {
    MODEL_DO_LOAD,
    MODEL_DO_UNLOAD,
    MODEL_DO_SUSPEND,
    MODEL_DO_RESUME,
    MODEL_DO_MOVE,
    MODEL_DO_PIN,
    MODEL_DO_UNPIN,
    MODEL_DO__COUNT
};

/* The words of each, as in its path and in messages. */
extern const char *const model_verb_words[MODEL_DO__COUNT];

/* Texts are borrowed. */
struct model_op {
    enum model_verb verb;
    const char *id;
    const char *place; /* of a move; NULL: the model's first one */
    bool is_forced;    /* of an unload: what runs there ends with an error */
};

/* The path of its POST, with its query. */
void model_op_path(const struct model_op *op, struct buf *path);
/* One line about what came of it, by the model as it answered, without a line feed. True: it is
 * done; false: the line says why it is not, though nothing was refused. */
bool model_op_tell(const struct model_op *op, const struct json_t *answer, struct buf *out);
/* Has it done, without a time limit, and prints what came of it. Returns the exit status. */
int model_op(const struct session *s, const struct model_op *op);

#endif
