/* weights.h: what a worker really holds: a matrix of weights, and the embedding function over it.
 *
 * The matrix follows from the model's name. A move copies it into memory of its own, which stands
 * for the device's, and takes the copy only where it computes the same, bit for bit. */
#ifndef DEMO_WEIGHTS_H
#define DEMO_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#define WEIGHTS_DIMENSIONS 64

/* Makes the matrix, where there is none. */
void weights_load(const char *name);
void weights_unload(void);
/* Copies it; false, and nothing has changed: the copy computes something else. spoil: it will. */
bool weights_move(bool spoil);
/* false: it is not loaded. From any thread. */
bool weights_embed(const char *text, size_t n, float ret[WEIGHTS_DIMENSIONS]);

#endif
