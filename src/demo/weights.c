#include "weights.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/check.h"
#include "base/pure/rng.h"

#define ROWS 512
#define BYTES (ROWS * WEIGHTS_DIMENSIONS * sizeof(float))

static const char probe[] = "a photo of a harbour at night, seen from above";

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static float *matrix; /* owned; NULL: not loaded; guarded by lock */

/* FNV-1a */
static uint64_t hash_text(const char *text, size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    return hash;
}

void weights_load(const char *name)
{
    struct rng rng = {hash_text(name, strlen(name))};
    float *made = alloc_zeroed(1, BYTES);
    for (size_t i = 0; i < ROWS * WEIGHTS_DIMENSIONS; i++)
        made[i] = (float)rng_below(&rng, 20001) / 10000.0f - 1.0f;
    weights_unload();
    pthread_rwlock_wrlock(&lock);
    matrix = made;
    pthread_rwlock_unlock(&lock);
}

void weights_unload(void)
{
    pthread_rwlock_wrlock(&lock);
    free(matrix);
    matrix = NULL;
    pthread_rwlock_unlock(&lock);
}

/* The sum of the rows that its words stand for, each weighted by its place among them. */
static void embed(const float *from, const char *text, size_t n, float ret[WEIGHTS_DIMENSIONS])
{
    float weight = 1.0f;
    memset(ret, 0, WEIGHTS_DIMENSIONS * sizeof(*ret));
    for (size_t at = 0; at < n;) {
        size_t len = 0;
        while (at + len < n && text[at + len] != ' ')
            len++;
        const float *row = from + hash_text(text + at, len) % ROWS * WEIGHTS_DIMENSIONS;
        for (size_t i = 0; i < WEIGHTS_DIMENSIONS; i++)
            ret[i] += weight * row[i];
        weight *= 0.875f;
        at += len + 1;
    }
}

static bool is_same(const float *a, const float *b)
{
    for (size_t i = 0; i < WEIGHTS_DIMENSIONS; i++)
        if (a[i] < b[i] || a[i] > b[i])
            return false;
    return true;
}

bool weights_move(bool spoil)
{
    float before[WEIGHTS_DIMENSIONS], after[WEIGHTS_DIMENSIONS];
    float *copy = alloc_zeroed(1, BYTES);
    pthread_rwlock_rdlock(&lock);
    must(matrix != NULL);
    memcpy(copy, matrix, BYTES);
    embed(matrix, probe, sizeof(probe) - 1, before);
    pthread_rwlock_unlock(&lock);
    for (size_t i = 0; spoil && i < ROWS * WEIGHTS_DIMENSIONS; i++)
        copy[i] = -copy[i];
    embed(copy, probe, sizeof(probe) - 1, after);
    if (!is_same(before, after)) {
        free(copy);
        return false;
    }
    pthread_rwlock_wrlock(&lock);
    free(matrix);
    matrix = copy;
    pthread_rwlock_unlock(&lock);
    return true;
}

bool weights_embed(const char *text, size_t n, float ret[WEIGHTS_DIMENSIONS])
{
    pthread_rwlock_rdlock(&lock);
    bool loaded = matrix != NULL;
    if (loaded)
        embed(matrix, text, n, ret);
    pthread_rwlock_unlock(&lock);
    return loaded;
}
