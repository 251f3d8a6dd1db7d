/* trace.h: reads recorded requests from CSV and JSONL files.
 *
 * Columns (members) are known by name, whatever their case and order; others are ignored:
 *
 *     time           when it came: seconds, or a date such as 2023-11-16 18:15:46.68 or
 *                    2023-11-16T18:15:46Z
 *     timestamp      the same, but a bare number is milliseconds
 *     model          id or alias of a configured model; absent: one is drawn
 *     class          foreground, normal or background; absent: as the configuration says
 *     key            who asks: any text
 *     prompt_tokens  also ContextTokens and input_length
 *     output_tokens  also GeneratedTokens and output_length
 *     seconds        how long it was served; goes before tokens
 *
 * So the traces of Azure (AzurePublicDataset, AzureLLMInferenceTrace_*.csv) and of Mooncake
 * (kvcache-ai/Mooncake, FAST'25) are read as they are. A CSV file (RFC 4180, but a field ends with
 * its line) has the names in its first line; a JSONL file has an object a line. */
#ifndef SIMULATE_TRACE_H
#define SIMULATE_TRACE_H

#include "base/err.h"
#include "config/config.h"
#include "simulate/names.h"
#include "simulate/workload.h"

enum trace_clock { TRACE_CLOCK_NONE, TRACE_CLOCK_DATES, TRACE_CLOCK_NUMBERS };

/* What files that are merged have in common. */
struct trace_context {
    const struct config *config;
    struct names keys;      /* owned */
    enum trace_clock clock; /* all dates or all numbers: else their order would mean nothing */
};

void trace_context_fini(struct trace_context *ctx);
/* Appends the file's rows to w, as they stand there. 0, or -1 with e set to "FILE:LINE: …"; then w
 * holds what came before. */
int trace_read(const char *path, struct trace_context *ctx, struct workload *w,
               struct err *e) warn_unused;

#endif
