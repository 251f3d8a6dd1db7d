/* report_past.h: records made of JSON lines, for tests of what is made of them. */
#ifndef TESTS_REPORT_PAST_H
#define TESTS_REPORT_PAST_H

#include <jansson.h>

#include "report/report.h"

/* Single quotes stand for double ones. Returns what past_take did. */
static inline bool past_add(struct past *p, enum past_kind kind, const char *line)
{
    char text[2048];
    size_t n = 0;
    for (; line[n] && n + 1 < sizeof(text); n++)
        text[n] = line[n] == '\'' ? '"' : line[n];
    text[n] = '\0';
    json_t *object = json_loads(text, 0, NULL);
    bool taken = past_take(p, kind, object);
    json_decref(object);
    return taken;
}

/* Seconds after midnight of 2024-01-01, UTC. */
#define PAST_BEGIN_NS (UINT64_C(1704067200) * NS_PER_S)

static inline void past_add_request(struct past *p, int at_s, const char *model, const char *key,
                                    int waited_s)
{
    char line[512];
    snprintf(line, sizeof(line),
             "{'arrived':'2024-01-01T%02d:%02d:%02dZ','model':'%s','key':'%s','class':'normal',"
             "'status':200,'waited_ms':%d,'total_ms':%d}",
             at_s / 3600, at_s / 60 % 60, at_s % 60, model, key, waited_s * 1000,
             waited_s * 1000 + 1000);
    (void)past_add(p, PAST_REQUESTS, line);
}

/* rest: further members, with their comma, or "". */
static inline void past_add_swap(struct past *p, int at_s, const char *kind, const char *model,
                                 int took_s, const char *rest)
{
    char line[512];
    snprintf(line, sizeof(line),
             "{'at':'2024-01-01T%02d:%02d:%02dZ','kind':'%s','model':'%s','seconds':%d,"
             "'devices':['g'],'bytes':1000%s}",
             at_s / 3600, at_s / 60 % 60, at_s % 60, kind, model, took_s, rest);
    (void)past_add(p, PAST_SWAPS, line);
}

#endif
