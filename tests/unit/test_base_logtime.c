#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/logtime.h"
#include "base/pure/check.h"

/* At one moment, 2026-03-04 15:06:07.080900000 UTC, in two zones: UTC, and one at -03:30. */
static const struct timespec moment = {.tv_sec = 1772636767, .tv_nsec = 80900000};

static const struct {
    const char *name, *utc, *west;
} forms[] = {
    {"", "", ""},
    {"ansic", "Wed Mar  4 15:06:07 2026", "Wed Mar  4 11:36:07 2026"},
    {"unixdate", "Wed Mar  4 15:06:07 UTC 2026", "Wed Mar  4 11:36:07 NST 2026"},
    {"rubydate", "Wed Mar 04 15:06:07 +0000 2026", "Wed Mar 04 11:36:07 -0330 2026"},
    {"rfc822", "04 Mar 26 15:06 UTC", "04 Mar 26 11:36 NST"},
    {"rfc822z", "04 Mar 26 15:06 +0000", "04 Mar 26 11:36 -0330"},
    {"rfc850", "Wednesday, 04-Mar-26 15:06:07 UTC", "Wednesday, 04-Mar-26 11:36:07 NST"},
    {"rfc1123", "Wed, 04 Mar 2026 15:06:07 UTC", "Wed, 04 Mar 2026 11:36:07 NST"},
    {"rfc1123z", "Wed, 04 Mar 2026 15:06:07 +0000", "Wed, 04 Mar 2026 11:36:07 -0330"},
    {"rfc3339", "2026-03-04T15:06:07Z", "2026-03-04T11:36:07-03:30"},
    {"rfc3339nano", "2026-03-04T15:06:07.0809Z", "2026-03-04T11:36:07.0809-03:30"},
    {"kitchen", "3:06PM", "11:36AM"},
    {"stamp", "Mar  4 15:06:07", "Mar  4 11:36:07"},
    {"stampmilli", "Mar  4 15:06:07.080", "Mar  4 11:36:07.080"},
    {"stampmicro", "Mar  4 15:06:07.080900", "Mar  4 11:36:07.080900"},
    {"stampnano", "Mar  4 15:06:07.080900000", "Mar  4 11:36:07.080900000"},
};

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void check_form(const char *name, struct timespec at, const char *want)
{
    char out[LOGTIME_MAX];
    const struct logtime *form = name ? logtime_find(name) : NULL;
    if (name && !form)
        fail_msg("%s is not known", name);
    size_t n = logtime_format(form, at, out);
    if (strcmp(out, want) != 0)
        fail_msg("%s: '%s', not '%s'", name ? name : "own", out, want);
    assert_int_equal(n, strlen(want));
}

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(forms); i++) {
        set_zone("UTC0");
        check_form(forms[i].name, moment, forms[i].utc);
        set_zone("NST3:30");
        check_form(forms[i].name, moment, forms[i].west);
    }
    assert_null(logtime_find("iso"));
}

static void test_the_own_form_knows_no_zone(void **state)
{
    (void)state;
    set_zone("NST3:30");
    check_form(NULL, moment, "2026-03-04T15:06:07.080Z");
}

static void test_edges(void **state)
{
    (void)state;
    set_zone("UTC0");
    check_form("rfc3339nano", (struct timespec){0, 0}, "1970-01-01T00:00:00Z");
    check_form("rfc3339nano", (struct timespec){0, 1}, "1970-01-01T00:00:00.000000001Z");
    check_form("kitchen", (struct timespec){0, 0}, "12:00AM");
    check_form("kitchen", (struct timespec){12L * 3600, 0}, "12:00PM");
    set_zone("CEST-2");
    check_form("rfc3339", (struct timespec){0, 0}, "1970-01-01T02:00:00+02:00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_the_own_form_knows_no_zone),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
