#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "base/pure/errors.h"

_Noreturn void check_failed(const char *expr, const char *file, int line)
{
    mock_assert(0, expr, file, line);
    abort();
}

static void test_context_is_added_in_front(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, "no such file"), -1);
    assert_true(e.set);
    assert_int_equal(err_wrap(&e, "load '%s'", "x.yaml"), -1);
    assert_int_equal(err_wrap(&e, "reload"), -1);
    assert_string_equal(e.text, "reload: load 'x.yaml': no such file");
}

static void test_long_messages_are_cut(void **state)
{
    (void)state;
    struct err e = {0};
    char longer[2 * ERR_TEXT_MAX];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(err_set(&e, "%s", longer), -1);
    assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
    assert_int_equal(err_wrap(&e, "%s", longer), -1);
    assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
    assert_int_equal(err_set(&e, "short"), -1);
    assert_string_equal(e.text, "short");
}

/* A client retries by these: a retryable error is the server's, or a matter of time. */
static void test_error_table(void **state)
{
    (void)state;
    for (int i = 0; i < ERR__COUNT; i++) {
        const struct error_info *info = error_info(i);
        assert_ptr_equal(error_info(-i), info);
        assert_non_null(info->text);
        for (const char *c = info->code; *c; c++)
            if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '_')
                fail_msg("code '%s'", info->code);
        for (int k = ERR_NONE + 1; k < i; k++)
            if (strcmp(error_info(k)->code, info->code) == 0)
                fail_msg("code '%s' stands there twice", info->code);
        if (i != ERR_NONE && (info->http_status < 400 || info->http_status > 599))
            fail_msg("code '%s' has status %d", info->code, info->http_status);
        if (info->retryable && info->http_status < 500 && info->http_status != 408 &&
            info->http_status != 429)
            fail_msg("code '%s' is retryable with status %d", info->code, info->http_status);
    }
}

static void test_an_unknown_error_is_a_bug(void **state)
{
    (void)state;
    expect_assert_failure(error_info(ERR__COUNT));
    expect_assert_failure(error_info(-ERR__COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_is_added_in_front),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_error_table),
        cmocka_unit_test(test_an_unknown_error_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
