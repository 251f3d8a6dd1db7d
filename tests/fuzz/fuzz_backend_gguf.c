/* The input is a file. Nothing outside it may be read, which a sanitizer sees since it lies alone
 * in memory; what is known of a file's beginning stays so when more of it is there. */
#include <stdlib.h>
#include <string.h>

#include "backend/estimate.h"
#include "backend/gguf.h"
#include "base/pure/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static enum gguf_result read_exact(const uint8_t *input, size_t n, struct gguf_model *ret)
{
    uint8_t *alone = malloc(n ? n : 1);
    must(alone != NULL);
    memcpy(alone, input, n);
    enum gguf_result result = gguf_read(alone, n, ret);
    free(alone);
    must(ret->layers <= GGUF_LAYERS_MAX);
    must(ret->metadata_bytes <= n && (ret->metadata_bytes == 0) == (result != GGUF_OK));
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct gguf_model whole, part;
    enum gguf_result result = read_exact(input, size, &whole);
    enum gguf_result half = read_exact(input, size / 2, &part);
    if (half == GGUF_OK)
        must(result == GGUF_OK && memcmp(&whole, &part, sizeof(whole)) == 0);
    if (half == GGUF_BAD)
        must(result == GGUF_BAD);
    if (result == GGUF_OK) {
        must(read_exact(input, whole.metadata_bytes, &part) == GGUF_OK);
        must(whole.metadata_bytes == 0 ||
             read_exact(input, whole.metadata_bytes - 1, &part) == GGUF_CUT);
    }
    struct estimate_args args;
    estimate_read_args(NULL, 0, &args);
    for (uint32_t layers = 0; layers < 4; layers++) {
        struct estimate_part some = {.context = UINT64_C(1) << 32, .layers = layers * 1000};
        uint64_t bytes = estimate_part_bytes(&whole, size, &some, &args);
        some.layers += 1000;
        must(bytes <= estimate_part_bytes(&whole, size, &some, &args));
    }
    return 0;
}
