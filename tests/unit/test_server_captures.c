/* The ring of captures: whatever is found is whole, and the oldest give way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>
#include <cmocka.h>

#include "base/pure/rng.h"
#include "base/pure/units.h"
#include "server/record/captures.h"

#define BOUND (64 * KIB)

static struct capture *make(struct captures *c, int64_t id, size_t request, size_t answer)
{
    const struct capture_sizes sizes = {
        .request_head = 40, .answer_head = id % 3 ? 24 : 0, .request = request, .answer = answer};
    struct capture *one = captures_make(c, id, &sizes);
    if (!one)
        return NULL;
    memset(one->request_head, (int)id & 0xff, sizes.request_head);
    memset(one->request, (int)(id + 1) & 0xff, request);
    memset(one->answer, (int)(id + 2) & 0xff, answer);
    return one;
}

static bool is_all(const void *data, int byte, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char *)data)[i] != (unsigned char)byte)
            return false;
    return true;
}

static void check_whole(const struct capture *one, int64_t id)
{
    assert_int_equal(one->id, id);
    assert_true(is_all(one->request_head, (int)id & 0xff, 40));
    assert_int_equal(one->answer_head != NULL, id % 3 != 0);
    assert_true(is_all(one->request, (int)(id + 1) & 0xff, one->request_bytes));
    assert_true(is_all(one->answer, (int)(id + 2) & 0xff, one->answer_bytes));
}

static void test_what_is_found_is_whole(void **state)
{
    (void)state;
    struct captures c;
    struct rng rng = {.state = 7};
    captures_init(&c, BOUND);
    for (int64_t id = 1; id <= 5000; id++) {
        size_t request = rng_below(&rng, 3000), answer = rng_below(&rng, id % 50 ? 3000 : 50000);
        struct capture *made = make(&c, id, request, answer);
        assert_true(made && made->request_bytes == request && made->answer_bytes == answer);
        int64_t oldest = id;
        for (int64_t k = id; k > 0 && k > id - 2000; k--) {
            const struct capture *one = captures_find(&c, k);
            if (!one)
                break;
            check_whole(one, k);
            oldest = k;
        }
        assert_null(
            captures_find(&c, oldest - 1)); /* those kept are the last ones, none left out */
        assert_null(captures_find(&c, id + 1));
    }
    captures_fini(&c);
}

static void test_what_is_too_large(void **state)
{
    (void)state;
    struct captures c;
    captures_init(&c, BOUND);
    assert_non_null(make(&c, 1, 100, 100));
    assert_null(make(&c, 2, BOUND, 1));
    assert_non_null(captures_find(&c, 1)); /* nobody had to leave for it */
    assert_non_null(make(&c, 3, BOUND / 2, BOUND / 4));
    assert_non_null(make(&c, 4, BOUND / 2, BOUND / 4));
    assert_null(captures_find(&c, 3));
    captures_fini(&c);
    captures_init(&c, 0);
    assert_null(make(&c, 1, 1, 1));
    captures_fini(&c);
}

static void test_resize(void **state)
{
    (void)state;
    struct captures c;
    captures_init(&c, BOUND);
    assert_non_null(make(&c, 1, 10, 10));
    captures_resize(&c, BOUND);
    check_whole(captures_find(&c, 1), 1);
    captures_resize(&c, 2 * BOUND);
    assert_null(captures_find(&c, 1));
    assert_non_null(make(&c, 2, BOUND, 10));
    captures_fini(&c);
}

static void test_what_is_on_its_way_is_bounded(void **state)
{
    (void)state;
    struct captures c;
    struct buf one = {0}, two = {0};
    char piece[1000] = {0};
    uint32_t pieces = 0;
    captures_init(&c, BOUND);
    while (captures_hold(&c, &one, piece, sizeof(piece)))
        pieces++;
    assert_in_range(pieces, BOUND / 2 / sizeof(piece), BOUND / sizeof(piece));
    assert_false(captures_charge(&c, BOUND));
    captures_let_go(&c, &one);
    assert_true(captures_charge(&c, BOUND));
    assert_false(captures_hold(&c, &two, piece, 1));
    captures_discharge(&c, BOUND);
    captures_let_go(&c, &two);
    captures_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_found_is_whole),
        cmocka_unit_test(test_what_is_too_large),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_what_is_on_its_way_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
