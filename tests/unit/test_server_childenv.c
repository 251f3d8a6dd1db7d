/* What the processes that wharf starts find in their environment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/pure/check.h"
#include "server/process/childenv.h"

static const char *value_of(char **env, const char *name)
{
    for (char **e = env; *e; e++)
        if (strncmp(*e, name, strlen(name)) == 0 && (*e)[strlen(name)] == '=')
            return *e + strlen(name) + 1;
    return NULL;
}

static void test_what_is_kept(void **state)
{
    (void)state;
    static const char *const own[] = {"PATH=/bin",
                                      "WHARF_KEY=k1",
                                      "WHARF_KEY_CI=k2",
                                      "WHARF_URL=u",
                                      "NOTIFY_SOCKET=/n",
                                      "LISTEN_FDS=1",
                                      "LISTEN_ADDRESS=a",
                                      "WATCHDOG_USEC=1",
                                      "MY_SECRET=shown",
                                      "MY_OTHER=shown-no",
                                      "EMPTY=",
                                      "CUDA_CACHE=c",
                                      "BARE",
                                      "CREDENTIALS_DIRECTORY=/c",
                                      NULL};
    static const char *const more[] = {"ADDED=shown", "PATH=/other", NULL};
    static const char *const hidden[] = {"other", "shown", NULL};
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"PATH", "/other"},
        {"WHARF_KEY", NULL},
        {"WHARF_KEY_CI", NULL},
        {"WHARF_URL", "u"},
        {"NOTIFY_SOCKET", NULL},
        {"LISTEN_FDS", NULL},
        {"LISTEN_ADDRESS", "a"},
        {"WATCHDOG_USEC", NULL},
        {"MY_SECRET", NULL},
        {"MY_OTHER", "shown-no"},
        {"EMPTY", ""},
        {"CUDA_CACHE", "c"},
        {"CREDENTIALS_DIRECTORY", NULL},
        {"ADDED", "shown"},
        {"MARK", "m"},
    };
    char **env = childenv_make(own, more, "MARK=m", hidden);
    assert_string_equal(env[0], "MARK=m");
    for (size_t i = 0; i < countof(rows); i++) {
        const char *value = value_of(env, rows[i].name);
        if (!value != !rows[i].value || (value && strcmp(value, rows[i].value) != 0))
            fail_msg("%s is %s, not %s", rows[i].name, value ? value : "absent",
                     rows[i].value ? rows[i].value : "absent");
    }
    childenv_free(env);
}

static void test_nothing_to_hide(void **state)
{
    (void)state;
    static const char *const own[] = {"A=1", "MARK=another's", NULL};
    char **env = childenv_make(own, NULL, "MARK=m", NULL);
    assert_string_equal(env[0], "MARK=m");
    assert_string_equal(env[1], "A=1");
    assert_null(env[2]);
    childenv_free(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_is_kept),
                                       cmocka_unit_test(test_nothing_to_hide)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
