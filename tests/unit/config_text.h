/* config_text.h: configurations of a test's own text, which is "c" in what is said of it. Include
 * it after cmocka. */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include <stdbool.h>
#include <string.h>

#include "config/config.h"

/* Fails the test where it is refused; rule: what the text is about. The caller frees it. */
static inline struct config *config_of_rule(const char *rule, const char *text)
{
    struct config_report report = {0};
    struct config *c = config_load_text("c", text, strlen(text), &report);
    if (!c)
        fail_msg("%s: refused:\n%s%s", rule, text, report.text.data);
    config_report_fini(&report);
    return c;
}

static inline struct config *config_of(const char *text)
{
    return config_of_rule("", text);
}

/* One row of a table of reports: that the text is refused just where an error is wanted, and that
 * what is said is wanted, to the letter. False, with both printed, if not. */
static inline bool config_says(const char *rule, const char *text, size_t n, const char *wanted)
{
    struct config_report report = {0};
    struct config *c = config_load_text("c", text, n, &report);
    const char *got = report.text.data ? report.text.data : "";
    bool as_wanted = strcmp(got, wanted) == 0 && !c == (strstr(wanted, ": error: ") != NULL);
    if (!as_wanted)
        print_error("%s: %s\n%s-- instead of\n%s", rule, c ? "loaded" : "refused", got, wanted);
    config_free(c);
    config_report_fini(&report);
    return as_wanted;
}

#endif
