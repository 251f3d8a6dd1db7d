/* Feeds: what followers are told while they end, and add to what they follow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "server/tell/feed.h"

static struct feed feed;

struct reader {
    struct feed_follower follower; /* first */
    struct reader *ends;           /* leaves when this one is told */
    const char *adds;              /* says that, once */
    uint32_t told, read;
    uint64_t missed;
};

static void on_news(struct feed_follower *f)
{
    struct reader *r = (struct reader *)f;
    uint64_t id, missed;
    r->told++;
    while (feed_read(&feed, f, &id, &missed)) {
        r->read++;
        r->missed += missed;
    }
    if (r->adds) {
        const char *text = r->adds;
        r->adds = NULL;
        feed_add(&feed, NULL, text, strlen(text));
    }
    if (r->ends)
        feed_unfollow(&feed, &r->ends->follower);
}

static void follow(struct reader *r, uint64_t from)
{
    r->follower.on_news = on_news;
    feed_follow(&feed, &r->follower, from);
}

static int begin(void **state)
{
    (void)state;
    feed_init(&feed, 1000);
    return 0;
}

static int end(void **state)
{
    (void)state;
    feed_fini(&feed);
    return 0;
}

static void test_all_are_told(void **state)
{
    struct reader a = {0}, b = {0};
    (void)state;
    follow(&a, feed.next);
    feed_add(&feed, NULL, "x", 1);
    follow(&b, feed.first);
    feed_add(&feed, NULL, "y", 1);
    assert_int_equal(a.read, 2);
    assert_int_equal(b.read, 2);
}

static void test_one_ends_itself_and_the_next(void **state)
{
    struct reader a = {0}, b = {0}, c = {0}, d = {0};
    (void)state;
    follow(&a, 1);
    follow(&b, 1);
    follow(&c, 1);
    follow(&d, 1);
    a.ends = &a;
    b.ends = &c; /* told next, but for this */
    feed_add(&feed, NULL, "x", 1);
    assert_int_equal(a.read, 1);
    assert_int_equal(b.read, 1);
    assert_int_equal(c.told, 0);
    assert_int_equal(d.read, 1);
    feed_add(&feed, NULL, "y", 1);
    assert_int_equal(a.read, 1);
    assert_int_equal(d.read, 2);
    d.ends = &d;
    b.ends = &d; /* the last */
    feed_add(&feed, NULL, "z", 1);
    assert_int_equal(b.read, 3);
    assert_int_equal(d.read, 2);
}

static void test_one_adds_while_it_is_told(void **state)
{
    struct reader a = {0}, b = {.adds = "more"}, c = {0};
    (void)state;
    follow(&a, 1);
    follow(&b, 1);
    follow(&c, 1);
    feed_add(&feed, NULL, "x", 1);
    assert_int_equal(a.read, 2);
    assert_int_equal(b.read, 2);
    assert_int_equal(c.read, 2);
}

static void test_who_lags_is_told_what_it_missed(void **state)
{
    struct reader a = {0};
    char text[400] = {0};
    (void)state;
    for (int i = 0; i < 5; i++)
        feed_add(&feed, NULL, text, sizeof(text));
    follow(&a, 1);
    feed_add(&feed, NULL, text, sizeof(text));
    assert_int_equal(a.missed, 4);
    assert_int_equal(a.read, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_are_told, begin, end),
        cmocka_unit_test_setup_teardown(test_one_ends_itself_and_the_next, begin, end),
        cmocka_unit_test_setup_teardown(test_one_adds_while_it_is_told, begin, end),
        cmocka_unit_test_setup_teardown(test_who_lags_is_told_what_it_missed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
