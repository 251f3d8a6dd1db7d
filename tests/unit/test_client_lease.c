/* A lease's lines, as its holder reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>

#include "base/pure/check.h"
#include "client/client_lease.h"

static const char *or_none(const char *text)
{
    return text ? text : "-";
}

/* "state id token why code position estimate grace" */
static void describe(const struct client_lease_line *l, char *out, size_t size)
{
    snprintf(out, size, "%d %s %s '%s' %s %lld %g %g", (int)l->state, or_none(l->id),
             or_none(l->token), or_none(l->why), or_none(l->code), (long long)l->position,
             l->estimate_s, l->grace_s);
}

static void test_lines(void **state)
{
    static const struct {
        const char *line, *understood; /* NULL: it is no line of a lease */
    } cases[] = {
        {"{\"ping\":true}", "0 - - '-' - -1 -1 -1"},
        {"{\"lease\":\"a\",\"token\":\"t\",\"state\":\"waiting\",\"position\":3,\"estimate_s\":12."
         "5,"
         "\"for\":\"room\"}",
         "1 a t 'room' - 3 12.5 -1"},
        {"{\"lease\":\"a\",\"state\":\"granted\",\"devices\":[]}", "2 a - '-' - -1 -1 -1"},
        {"{\"lease\":\"a\",\"state\":\"revoked\",\"reason\":\"r\",\"grace_s\":30}",
         "3 a - 'r' - -1 -1 30"},
        {"{\"lease\":\"a\",\"state\":\"ended\",\"reason\":\"r\"}", "4 a - 'r' - -1 -1 -1"},
        {"{\"lease\":\"a\",\"state\":\"refused\",\"error\":{\"code\":\"c\",\"message\":\"m\"}}",
         "5 a - 'm' c -1 -1 -1"},
        {"{\"state\":\"waiting\",\"position\":-2,\"estimate_s\":-1,\"for\":7}",
         "1 - - '-' - -1 -1 -1"},
        {"{\"state\":\"waiting\",\"position\":\"3\",\"estimate_s\":null}", "1 - - '-' - -1 -1 -1"},
        {"{\"state\":\"else\"}", NULL},
        {"{\"lease\":\"a\"}", NULL},
        {"[]", NULL},
        {"nonsense", NULL},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        struct client_lease_line l;
        char got[160] = "";
        int rc = client_lease_line_take(json_loads(cases[i].line, 0, NULL), &l);
        if ((rc == 0) != (cases[i].understood != NULL))
            fail_msg("'%s': %d", cases[i].line, rc);
        if (rc < 0)
            continue;
        describe(&l, got, sizeof(got));
        assert_string_equal(got, cases[i].understood);
        client_lease_line_fini(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
