#include "config/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>

#include "base/pure/check.h"

#define MESSAGE_MAX 256
#define PATTERN_BYTES_MAX 4096
#define NESTING_MAX 100
/* Steps, nested calls and KiB that a match may take; a path takes a few hundred of the first. */
#define MATCH_LIMIT 100000
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT 1024

/* What is compiled goes with the arena. */
static void *take(size_t n, void *arena)
{
    return arena_alloc(arena, 1, n);
}

static void release(void *piece, void *arena)
{
    (void)piece;
    (void)arena;
}

void *pattern_compile(struct arena *a, const char *text, const char **ret_problem, size_t *ret_at)
{
    static const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_DOLLAR_ENDONLY |
                                    PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;
    int error = 0;
    PCRE2_SIZE at = 0;
    pcre2_general_context *general = pcre2_general_context_create(take, release, a);
    pcre2_compile_context *context = pcre2_compile_context_create(general);
    must(context);
    pcre2_set_max_pattern_length(context, PATTERN_BYTES_MAX);
    pcre2_set_parens_nest_limit(context, NESTING_MAX);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &error, &at, context);
    if (!code) {
        unsigned char message[MESSAGE_MAX] = "";
        pcre2_get_error_message(error, message, sizeof(message));
        *ret_problem = arena_text(a, (const char *)message);
        *ret_at = at;
    }
    return code;
}

bool pattern_found(const void *pattern, const char *text, size_t n)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    must(limits && data);
    pcre2_set_match_limit(limits, MATCH_LIMIT);
    pcre2_set_depth_limit(limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(limits, HEAP_LIMIT);
    int rc = pcre2_match(pattern, (PCRE2_SPTR)text, n, 0, 0, data, limits);
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    return rc >= 0;
}
