/* Server-sent events, and addresses: the client's parts without a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/pure/check.h"
#include "client/address.h"
#include "client/sse.h"

/* Lines parted by '|'; events are written as "id/type/data;". */
static void test_events(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *events;
    } cases[] = {
        {"id: 1|event: model_loaded|data: {}||", "1/model_loaded/{};"},
        {"data:x||", "//x;"},
        {"data:  two spaces||", "// two spaces;"},
        {"data: a|data: b||", "//a\nb;"},
        {"data||data|data||", "//;//\n;"},
        {": a comment|retry: 10|unknown: y|data: z||", "//z;"},
        {"id: 7||data: a||data: b||", "7//a;7//b;"},
        {"event: only|| data: not a field||", ""},
        {"event: x||data: y||", "//y;"},
        {"data: unfinished", ""},
        {"id|data: a||", "//a;"},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct sse event;
        struct buf got = {0};
        sse_init(&event);
        buf_text(&got, "");
        for (const char *line = cases[i].lines; *line;) {
            size_t n = strcspn(line, "|");
            if (sse_line(&event, line, n))
                buf_printf(&got, "%s/%s/%s;", event.id.data ? event.id.data : "",
                           event.type.data ? event.type.data : "", event.data.data);
            line += n + (line[n] == '|');
        }
        if (strcmp(got.data, cases[i].events) != 0)
            fail_msg("'%s': '%s', not '%s'", cases[i].lines, got.data, cases[i].events);
        buf_fini(&got);
        sse_fini(&event);
    }
}

/* What is too long is not given out with a hole in it, nor under another name. */
static void test_long_events_are_dropped(void **state)
{
    (void)state;
    static const char *const fields[] = {"data: ", "event: "};
    struct sse event;
    char *line = malloc(1 << 20);
    sse_init(&event);
    for (size_t k = 0; k < countof(fields); k++) {
        memset(line, 'x', 1 << 20);
        memcpy(line, fields[k], strlen(fields[k]));
        for (int i = 0; i < 5; i++)
            assert_false(sse_line(&event, line, 1 << 20));
        assert_false(sse_line(&event, "data: z", 7));
        assert_false(sse_line(&event, "", 0));
        assert_false(sse_line(&event, "data: y", 7));
        assert_true(sse_line(&event, "", 0));
        assert_string_equal(event.data.data, "y");
        assert_int_equal(event.type.len, 0);
    }
    sse_fini(&event);
    free(line);
}

static void test_long_id_is_not_taken(void **state)
{
    (void)state;
    char line[5 + SSE_FIELD_BYTES_MAX] = "id: 7";
    struct sse event;
    sse_init(&event);
    assert_false(sse_line(&event, line, 5));
    memset(line + 4, '8', SSE_FIELD_BYTES_MAX + 1);
    assert_false(sse_line(&event, line, sizeof(line)));
    assert_false(sse_line(&event, "data: y", 7));
    assert_true(sse_line(&event, "", 0));
    assert_string_equal(event.id.data, "7");
    sse_fini(&event);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *url, *text, *base;
        bool is_unix;
    } good[] = {
        {"http://127.0.0.1:8080", "127.0.0.1:8080", "", false},
        {"http://gpu-box:9000/", "gpu-box:9000", "", false},
        {"http://gpu-box", "gpu-box:80", "", false},
        {"http://[::1]:8080/wharf/", "[::1]:8080", "/wharf", false},
        {"unix:/run/wharf/wharf.sock", "unix:/run/wharf/wharf.sock", "", true},
    };
    static const char *const bad[] = {"",        "127.0.0.1:8080", "https://x:1",
                                      "unix:",   "unix:here",      "ftp://x",
                                      "http://", "http://x:99999"};
    for (size_t i = 0; i < countof(good); i++) {
        struct client_address a;
        struct err e = {.set = false};
        if (client_address_parse(good[i].url, &a, &e) < 0)
            fail_msg("%s: %s", good[i].url, e.text);
        assert_string_equal(a.text, good[i].text);
        assert_string_equal(a.base, good[i].base);
        assert_int_equal(a.is_unix, good[i].is_unix);
    }
    for (size_t i = 0; i < countof(bad); i++) {
        struct client_address a;
        struct err e = {.set = false};
        if (client_address_parse(bad[i], &a, &e) == 0)
            fail_msg("'%s' was taken as %s", bad[i], a.text);
        assert_true(e.set);
    }
}

static void test_socket_path_too_long(void **state)
{
    (void)state;
    char url[256] = "unix:/";
    struct client_address a;
    struct err e = {.set = false};
    memset(url + 6, 'x', CLIENT_SOCKET_PATH_MAX - 2);
    assert_int_equal(client_address_parse(url, &a, &e), 0);
    url[6 + CLIENT_SOCKET_PATH_MAX - 2] = 'x';
    assert_int_equal(client_address_parse(url, &a, &e), -1);
}

static void test_default_address(void **state)
{
    (void)state;
    struct stat st;
    struct client_address a;
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/wharf-test-XXXXXX", sub[64];
    if (stat(CLIENT_SOCKET_SYSTEM, &st) == 0)
        skip(); /* a daemon of this machine's own comes first */
    assert_non_null(mkdtemp(folder));
    setenv("XDG_RUNTIME_DIR", folder, 1);
    client_address_default(&a);
    assert_string_equal(a.text, "127.0.0.1:8080");
    snprintf(sub, sizeof(sub), "%s/wharf", folder);
    assert_int_equal(mkdir(sub, 0700), 0);
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/wharf.sock", sub);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    client_address_default(&a);
    assert_true(a.is_unix);
    assert_string_equal(a.socket_path, sa.sun_path);
    close(fd);
    unlink(sa.sun_path);
    rmdir(sub);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_long_events_are_dropped),
        cmocka_unit_test(test_long_id_is_not_taken),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_socket_path_too_long),
        cmocka_unit_test(test_default_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
