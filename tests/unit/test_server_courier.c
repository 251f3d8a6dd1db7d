/* Messages between two processes of wharf, with descriptors; and what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "server/handover/courier.h"
#include "server/handover/message.h"
#include "server/proxy/given.h"
#include "store/store.h"

#define MANY 3000

/* One end; what it has heard. */
struct end {
    struct courier *courier;
    uint64_t count, last, fds;
    bool in_order, takes, gone;
};

static void on_message(void *owner, const json_t *msg, int fds[COURIER_FDS_MAX])
{
    struct end *e = owner;
    uint64_t number = message_number(msg, "number");
    e->in_order &= number == e->last + 1;
    e->last = number;
    e->count++;
    for (int i = 0; i < COURIER_FDS_MAX; i++) {
        if (fds[i] < 0)
            continue;
        e->fds++;
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        if (e->takes) {
            close(fds[i]);
            fds[i] = -1;
        }
    }
}

static void on_gone(void *owner)
{
    ((struct end *)owner)->gone = true;
}

static const struct courier_ops ops = {on_message, on_gone};
static const int no_fds[COURIER_FDS_MAX] = {-1, -1};

static struct end begin(void)
{
    return (struct end){.in_order = true, .takes = true};
}

static void open_ends(uv_loop_t *loop, struct end *a, struct end *b)
{
    int pair[2];
    assert_int_equal(uv_loop_init(loop), 0);
    assert_int_equal(courier_pair(pair), 0);
    *a = begin();
    *b = begin();
    a->courier = courier_new(loop, pair[0], &ops, a);
    b->courier = courier_new(loop, pair[1], &ops, b);
    log_level_min = LOG_ERROR + 1;
}

static void end_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static int open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static json_t *numbered(uint64_t n)
{
    return json_pack("{sI}", "number", (json_int_t)n);
}

/* More than the socket takes at once, and more descriptors than may be under way. */
static void test_order_and_descriptors(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct end a, b;
    int before = open_fds();
    open_ends(&loop, &a, &b);
    b.takes = false; /* those that it leaves are closed for it */
    for (uint64_t i = 1; i <= MANY; i++) {
        int fds[COURIER_FDS_MAX] = {-1, -1};
        for (uint64_t k = 0; k < i % 3 && i < 300; k++)
            fds[k] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        courier_send(a.courier, numbered(i), fds);
    }
    assert_false(courier_idle(a.courier));
    while (b.count < MANY)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(b.in_order);
    assert_int_equal(b.fds, 100 + 2 * 100);
    while (!courier_idle(a.courier))
        uv_run(&loop, UV_RUN_ONCE);
    courier_send(b.courier, numbered(1), no_fds); /* and the other way */
    while (!a.count)
        uv_run(&loop, UV_RUN_ONCE);
    courier_close(a.courier);
    while (!b.gone)
        uv_run(&loop, UV_RUN_ONCE);
    courier_send(b.courier, numbered(2), no_fds); /* to nobody */
    assert_true(courier_idle(b.courier));
    courier_close(b.courier);
    end_loop(&loop);
    assert_int_equal(open_fds(), before);
}

/* What is queued when it ends, or when the other side does, is closed too. */
static void test_ends(void **state)
{
    (void)state;
    for (int who = 0; who < 2; who++) {
        uv_loop_t loop;
        struct end a, b;
        int before = open_fds();
        open_ends(&loop, &a, &b);
        for (uint64_t i = 1; i <= MANY; i++) {
            int fds[COURIER_FDS_MAX] = {i < 400 ? dup(STDIN_FILENO) : -1, -1};
            courier_send(a.courier, numbered(i), fds);
        }
        assert_false(courier_idle(a.courier));
        courier_close(who ? a.courier : b.courier);
        while (!(who ? b.gone : a.gone))
            uv_run(&loop, UV_RUN_ONCE);
        courier_close(who ? b.courier : a.courier);
        end_loop(&loop);
        assert_int_equal(open_fds(), before);
    }
}

/* What is no message is thrown away, with its descriptors, and the next one is heard. */
static void test_junk(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "x", "{", "[1]", "null", "{\"number\":", "\xff\xfe", "7"};
    uv_loop_t loop;
    int pair[2], before = open_fds();
    struct end b = begin();
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(courier_pair(pair), 0);
    b.courier = courier_new(&loop, pair[1], &ops, &b);
    for (size_t i = 1; i < countof(texts); i++)
        assert_int_equal(send(pair[0], texts[i], strlen(texts[i]), 0), (ssize_t)strlen(texts[i]));
    char long_text[COURIER_BYTES_MAX + 100];
    memset(long_text, '{', sizeof(long_text));
    assert_int_equal(send(pair[0], long_text, sizeof(long_text), 0), (ssize_t)sizeof(long_text));
    assert_int_equal(send(pair[0], "{\"number\":1}", 12, 0), 12);
    while (!b.count)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(b.in_order && b.count == 1 && !b.gone);
    close(pair[0]);
    while (!b.gone)
        uv_run(&loop, UV_RUN_ONCE);
    courier_close(b.courier);
    end_loop(&loop);
    assert_int_equal(open_fds(), before);
}

static void test_too_long(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct end a, b;
    open_ends(&loop, &a, &b);
    char *text = malloc(COURIER_BYTES_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', COURIER_BYTES_MAX);
    text[COURIER_BYTES_MAX] = '\0';
    courier_send(a.courier, json_pack("{ss}", "text", text), (int[]){dup(STDIN_FILENO), -1});
    courier_send(a.courier, NULL, no_fds);
    text[COURIER_BYTES_MAX - 100] = '\0';
    courier_send(a.courier, json_pack("{sIss}", "number", (json_int_t)1, "text", text), no_fds);
    while (!b.count)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(b.count, 1);
    free(text);
    courier_close(a.courier);
    courier_close(b.courier);
    end_loop(&loop);
}

/* ---- what they say ---- */

static void test_client(void **state)
{
    (void)state;
    const struct given_client sent = {.is_unix = true,
                                      .tls = true,
                                      .ollama = true,
                                      .user = {.known = true, .uid = UINT32_MAX, .pid = 77},
                                      .peer = "2001:db8::1",
                                      .request = {.since_ns = UINT64_MAX / 2,
                                                  .begun = true,
                                                  .late = true,
                                                  .upgrade = true,
                                                  .lease_id = "0123",
                                                  .lease_token = "4567"}};
    struct given_client got;
    json_t *m = message_client(&sent);
    assert_true(message_is_client(m, &got));
    assert_true(got.is_unix && !got.is_local && got.tls && got.ollama);
    assert_true(got.user.known && got.user.uid == UINT32_MAX && got.user.pid == 77);
    assert_string_equal(got.peer, sent.peer);
    assert_true(got.request.since_ns == sent.request.since_ns);
    assert_true(got.request.begun && !got.request.chunked);
    assert_true(got.request.late && got.request.upgrade);
    assert_string_equal(got.request.lease_id, "0123");
    assert_string_equal(got.request.lease_token, "4567");
    assert_false(message_is_settled(m));
    json_decref(m);
}

static void test_ends_and_stops(void **state)
{
    (void)state;
    struct id id;
    enum ended how;
    uint64_t ns;
    for (int i = ENDED_DONE; i <= ENDED_CUT; i++) {
        json_t *m = message_ended((struct id){UINT32_MAX, 7}, (enum ended)i);
        assert_true(message_is_ended(m, &id, &how));
        assert_true(id.slot == UINT32_MAX && id.gen == 7 && (int)how == i);
        json_decref(m);
    }
    json_t *m = message_stop(12345678901234);
    assert_true(message_is_stop(m, &ns) && ns == 12345678901234);
    assert_false(message_is_ended(m, &id, &how));
    json_decref(m);
    m = message_settled();
    assert_true(message_is_settled(m));
    json_decref(m);
}

static void test_row(void **state)
{
    (void)state;
    const struct store_row sent = {.created_s = 5,
                                   .model = "m\"\xc3\xa4",
                                   .path = "/v1",
                                   .content_type = "",
                                   .error = "no\nuse",
                                   .metadata = "{\"a\":1}",
                                   .status = 200,
                                   .cached = -1,
                                   .input = INT64_MAX,
                                   .duration_ms = 17,
                                   .prompt_per_second = -1,
                                   .output_per_second = 12.5,
                                   .waited_ms = -1,
                                   .ended = "done"};
    json_t *m = message_row(&sent);
    struct store_row *got = message_take_row(m);
    assert_non_null(got);
    assert_string_equal(got->model, sent.model);
    assert_string_equal(got->error, sent.error);
    assert_string_equal(got->metadata, sent.metadata);
    assert_string_equal(got->ended, "done");
    assert_true(got->created_s == 5 && got->status == 200 && got->cached == -1);
    assert_true(got->input == INT64_MAX && got->duration_ms == 17 && got->waited_ms == -1);
    assert_true(got->prompt_per_second == -1 && got->output_per_second == 12.5);
    free(got);
    json_decref(m);
    m = message_row(&(struct store_row){.model = "\xff", .path = NULL});
    got = message_take_row(m);
    assert_non_null(got);
    assert_string_equal(got->model, ""); /* what is no UTF-8 */
    free(got);
    json_decref(m);
}

/* Of another version, or of nobody's: missing members are zero, others are not looked at. */
static void test_other_versions(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"type\":7}",
        "{\"type\":\"unheard of\"}",
        "{\"type\":\"client\"}",
        "{\"type\":\"client\",\"peer\":7,\"uid\":\"x\",\"unix\":1,\"sinceNs\":1.5,\"new\":[]}",
        "{\"type\":\"client\",\"peer\":"
        "\"0123456789012345678901234567890123456789012345678901234567\"}"};
    for (size_t i = 0; i < countof(texts); i++) {
        json_t *m = json_loads(texts[i], 0, NULL);
        struct given_client got;
        struct id id;
        enum ended how;
        uint64_t ns;
        assert_int_equal(message_is_client(m, &got), i >= 3);
        if (i >= 3)
            assert_true(strlen(got.peer) < sizeof(got.peer) && !got.is_unix && !got.user.uid &&
                        !got.request.since_ns && !*got.request.lease_id);
        assert_false(message_is_settled(m) || message_is_ended(m, &id, &how) ||
                     message_is_stop(m, &ns) || message_take_row(m));
        json_decref(m);
    }
    json_t *m = json_loads("{\"type\":\"ended\",\"how\":\"somehow\"}", 0, NULL);
    struct id id;
    enum ended how;
    assert_true(message_is_ended(m, &id, &how) && how == ENDED_CUT && id.slot == 0);
    json_decref(m);
}

/* The library's own, once a process. */
static int open_librarys(void **state)
{
    uv_loop_t loop;
    (void)state;
    return uv_loop_init(&loop) == 0 ? uv_loop_close(&loop) : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_descriptors),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_junk),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_client),
        cmocka_unit_test(test_ends_and_stops),
        cmocka_unit_test(test_row),
        cmocka_unit_test(test_other_versions),
    };
    return cmocka_run_group_tests(tests, open_librarys, NULL);
}
