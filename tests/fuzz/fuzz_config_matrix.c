/* Any lines as the expressions of a matrix, over eight models: no crash, no leak, always done at
 * once, and what it comes to is within its bounds, each set once and none within an earlier one. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/pure/check.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t mask_of(const struct config_matrix *m, uint32_t set)
{
    uint32_t mask = 0;
    for (uint32_t i = set ? m->ends[set - 1] : 0; i < m->ends[set]; i++)
        mask |= 1U << m->members[i];
    return mask;
}

static void check(const struct config_matrix *m)
{
    /* There are 70 sets of four out of eight, and no larger family of which none is within another;
     * those of earlier sets may come first. */
    must(m->set_count > 0 && m->set_count <= 255);
    for (uint32_t i = 0; i < m->set_count; i++)
        for (uint32_t k = 0; k < i; k++)
            must(mask_of(m, i) & ~mask_of(m, k));
}

/* Sets s0, s1, …: a line each. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf text = {0};
    struct config_report report = {0};
    const char *p = (const char *)data, *end = p + size;
    buf_text(&text, "models: {a: &m {cmd: \"${PORT}\"}, b: *m, c: *m, d: *m, e: *m, f: *m, g: *m, "
                    "h: *m}\nmatrix: {vars: {v: a, W.1: b}, sets: {");
    for (uint32_t i = 0; i == 0 || p < end; i++) {
        const char *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        stop = stop ? stop : end;
        buf_printf(&text, "%ss%u: ", i ? ", " : "", i);
        buf_json(&text, p, (size_t)(stop - p));
        p = stop < end ? stop + 1 : end;
    }
    buf_text(&text, "}}\n");
    struct config *c = config_load_text("fuzz", text.data, text.len, &report);
    must((c == NULL) == (report.errors > 0));
    if (c)
        check(&c->matrix);
    config_free(c);
    config_report_fini(&report);
    buf_fini(&text);
    return 0;
}
