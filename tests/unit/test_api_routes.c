/* The tables of paths: that each row can be reached, and that each API's own paths are there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/pure/check.h"
#include "server/route.h"

/* Everything that b's path can be fits a's. */
static bool path_covers(const char *a, const char *b)
{
    size_t n = strlen(a);
    if (a[n - 1] != '*')
        return strcmp(a, b) == 0;
    return strncmp(a, b, n - 1) == 0 && strlen(b) > n - 1;
}

static bool method_covers(const char *a, const char *b)
{
    if (!a || !b)
        return !a;
    return strcmp(a, b) == 0 || (strcmp(a, "GET") == 0 && strcmp(b, "HEAD") == 0);
}

static uint32_t list(const struct server_api *api, const struct route *out[], uint32_t max)
{
    uint32_t count = 0;
    for (const struct route_table *const *t = api->tables; *t; t++)
        for (uint32_t i = 0; i < (*t)->count; i++) {
            assert_true(count < max);
            out[count++] = &(*t)->routes[i];
        }
    return count;
}

static void check_no_row_hides_another(const struct server_api *api)
{
    const struct route *routes[256];
    uint32_t count = list(api, routes, countof(routes));
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = i + 1; k < count; k++)
            if (method_covers(routes[i]->method, routes[k]->method) &&
                path_covers(routes[i]->path, routes[k]->path))
                fail_msg("%s %s hides %s %s", routes[i]->method, routes[i]->path, routes[k]->method,
                         routes[k]->path);
}

static void test_no_row_hides_another(void **state)
{
    (void)state;
    check_no_row_hides_another(api_table());
    check_no_row_hides_another(api_table_ollama());
}

static const struct route *find(const struct server_api *api, const char *method, const char *path)
{
    const char *allow;
    struct route_request want = {
        .method = method, .path = path, .method_len = strlen(method), .path_len = strlen(path)};
    return api->find(api, &want, &allow);
}

static void test_what_each_api_has(void **state)
{
    static const struct {
        const char *method, *path;
        bool all, ollama;
        enum route_face face;
    } rows[] = {
        {"POST", "/api/chat", true, true, FACE_OLLAMA},
        {"POST", "/api/generate", true, true, FACE_OLLAMA},
        {"POST", "/api/embed", true, true, FACE_OLLAMA},
        {"POST", "/api/embeddings", true, true, FACE_OLLAMA},
        {"GET", "/api/tags", true, true, FACE_OLLAMA},
        {"HEAD", "/api/blobs/sha256:00", true, true, FACE_OLLAMA},
        {"DELETE", "/api/delete", true, true, FACE_OLLAMA},
        {"POST", "/v1/chat/completions", true, true, FACE_OPENAI},
        {"GET", "/v1/models", true, true, FACE_OPENAI},
        {"POST", "/v1/messages", true, true, FACE_ANTHROPIC},
        {"POST", "/api/models/unload", true, false, FACE_OPENAI},
        {"POST", "/api/models/unload/chat", true, false, FACE_OPENAI},
        {"GET", "/api/events", true, false, FACE_OPENAI},
        {"GET", "/running", true, false, FACE_OPENAI},
        {"GET", "/unload", true, false, FACE_OPENAI},
        {"GET", "/logs", true, false, FACE_OPENAI},
        {"GET", "/metrics", true, false, FACE_OPENAI},
        {"POST", "/rerank", true, false, FACE_OPENAI},
        {"GET", "/upstream/m/", true, false, FACE_OPENAI},
        {"GET", "/wharf/status", true, false, FACE_OPENAI},
        {"GET", "/api/nothing", false, false, FACE_OPENAI},
    };
    (void)state;
    for (size_t i = 0; i < countof(rows); i++) {
        const struct route *all = find(api_table(), rows[i].method, rows[i].path);
        const struct route *ollama = find(api_table_ollama(), rows[i].method, rows[i].path);
        if (!all != !rows[i].all || !ollama != !rows[i].ollama ||
            (all && all->face != rows[i].face) || (ollama && ollama != all))
            fail_msg("%s %s", rows[i].method, rows[i].path);
    }
    /* What both answer, each in its own words. */
    assert_true(find(api_table_ollama(), "HEAD", "/")->right == RIGHT_NONE);
    assert_ptr_not_equal(find(api_table_ollama(), "GET", "/"), find(api_table(), "GET", "/"));
    assert_ptr_not_equal(find(api_table_ollama(), "GET", "/api/version"),
                         find(api_table(), "GET", "/api/version"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_row_hides_another),
        cmocka_unit_test(test_what_each_api_has),
    };
    return cmocka_run_group_tests_name("api_routes", tests, NULL, NULL);
}
