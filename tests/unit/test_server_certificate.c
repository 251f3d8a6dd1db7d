/* What is said of a certificate, and when that changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/pure/check.h"
#include "server/net/certificate.h"

#define DAY INT64_C(86400)
#define FROM (20000 * DAY) /* 2024-10-04 */

static void check(int64_t days, int64_t now, const char *want, uint32_t next)
{
    const struct certificate_life life = {.from = FROM, .until = FROM + days * DAY};
    char text[CERTIFICATE_TEXT_MAX] = "well";
    bool said = certificate_describe(life, now, text);
    assert_int_equal(said, strcmp(want, "well") != 0);
    if (strncmp(text, want, strlen(want)) != 0)
        fail_msg("of %d days at %lld: '%s', not '%s'", (int)days, (long long)now, text, want);
    assert_int_equal(certificate_next_look_s(life, now), next);
}

static void test_said(void **state)
{
    (void)state;
    check(90, FROM - 1, "is not valid before 2024-10-04T00:00:00Z", 1);
    check(90, FROM - DAY, "is not valid before 2024-10-04T00:00:00Z", 3600);
    check(90, FROM, "well", 3600);
    check(90, FROM + 76 * DAY - 1, "well", 1);
    check(90, FROM + 76 * DAY, "expires in 14 days, on 2025-01-02T00:00:00Z", 1);
    check(90, FROM + 76 * DAY + 1, "expires in 13 days, on 2025-01-02T00:00:00Z", 3600);
    check(90, FROM + 88 * DAY + 1, "expires in 1 day, on", 3600);
    check(90, FROM + 90 * DAY - 5, "expires within a day, on 2025-01-02T00:00:00Z", 6);
    check(90, FROM + 90 * DAY, "expires within a day, on", 1);
    check(90, FROM + 90 * DAY + 1, "has expired, on 2025-01-02T00:00:00Z", 3600);
}

/* Those that are renewed every few days would else never be well. */
static void test_short_lived(void **state)
{
    (void)state;
    check(6, FROM, "well", 3600);
    check(6, FROM + 5 * DAY - 1, "well", 1);
    check(6, FROM + 5 * DAY, "expires in 1 day, on", 1);
    check(6, FROM + 5 * DAY + 1, "expires within a day, on", 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_said),
                                       cmocka_unit_test(test_short_lived)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
