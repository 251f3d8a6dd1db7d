/* Clients and leases through the public headers, against a daemon that answers what a test has
 * written down, one connection after the other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <wharf/lease.h>

#define MS INT64_C(1000000)
#define MINUTE (60000 * MS)
#define JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
#define LINES "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
#define EVENTS "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
#define WAITING                                                                                    \
    "{\"lease\":\"L1\",\"token\":\"S3\",\"state\":\"waiting\",\"position\":3,\"estimate_s\":12,"   \
    "\"for\":\"others\"}\n"
#define DEVICES                                                                                    \
    "\"devices\":[{\"name\":\"gpu0\",\"uuid\":\"GPU-1\",\"bytes\":6442450944}],"                   \
    "\"environment\":{\"CUDA_VISIBLE_DEVICES\":\"GPU-1\",\"WHARF_LEASE\":\"L1:S3\"}"
#define GRANTED "{\"lease\":\"L1\",\"state\":\"granted\"," DEVICES "}\n"
#define AT_ONCE "{\"lease\":\"L1\",\"token\":\"S3\",\"state\":\"granted\"," DEVICES "}\n"

/* What is sent on one connection: a part, then, whenever the test says go, the next. After the last
 * the connection is closed; held: when the client has. */
struct script {
    const char *parts[4];
    bool held;
};

struct daemon {
    char folder[32], url[80];
    int fd;
    pthread_t thread;
    const struct script *scripts;
    size_t count;
    char asked[4096]; /* all requests, the test reads it when it has had their answers */
    sem_t had;        /* a request */
    sem_t go;
    sem_t gone; /* a client has closed a held one */
};

/* A head and its body. */
static void receive(struct daemon *d, int fd)
{
    char text[2048];
    size_t n = 0, whole = 0;
    while (!whole || n < whole) {
        ssize_t got = recv(fd, text + n, sizeof(text) - 1 - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
        text[n] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");
        if (end)
            whole = (size_t)(end + 4 - text) + (length ? strtoul(length + 16, NULL, 10) : 0);
    }
    const char *body = n ? strstr(text, "\r\n\r\n") : NULL;
    const char *id = body ? strstr(text, "Last-Event-ID: ") : NULL;
    size_t at = strlen(d->asked);
    snprintf(d->asked + at, sizeof(d->asked) - at, "%.*s %s%s%.2s\n", (int)strcspn(text, "\r"),
             text, body ? body + 4 : "", id ? "after " : "", id ? id + 15 : "");
}

static void *serve(void *arg)
{
    struct daemon *d = arg;
    for (size_t i = 0; i < d->count; i++) {
        char byte;
        int fd = accept(d->fd, NULL, NULL);
        receive(d, fd);
        sem_post(&d->had);
        for (size_t p = 0; p < 4 && d->scripts[i].parts[p]; p++) {
            if (p)
                sem_wait(&d->go);
            const char *part = d->scripts[i].parts[p];
            if (send(fd, part, strlen(part), MSG_NOSIGNAL) < 0)
                break;
        }
        if (d->scripts[i].held) {
            while (recv(fd, &byte, 1, 0) > 0)
                ;
            sem_post(&d->gone);
        }
        close(fd);
    }
    return NULL;
}

static struct wharf_client *start(struct daemon *d, const struct script *scripts, size_t count)
{
    *d = (struct daemon){.folder = "/tmp/wharf-lib-XXXXXX", .scripts = scripts, .count = count};
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(d->folder));
    snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/socket", d->folder);
    snprintf(d->url, sizeof(d->url), "unix:%s/socket", d->folder);
    d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(d->fd, 8), 0);
    assert_int_equal(sem_init(&d->had, 0, 0) | sem_init(&d->go, 0, 0) | sem_init(&d->gone, 0, 0),
                     0);
    assert_int_equal(pthread_create(&d->thread, NULL, serve, d), 0);
    struct wharf_client *c = wharf_client_new(&(struct wharf_client_options){.url = d->url});
    assert_non_null(c);
    return c;
}

static void stop(struct daemon *d, struct wharf_client *c)
{
    char path[64];
    wharf_client_free(c);
    pthread_join(d->thread, NULL);
    close(d->fd);
    snprintf(path, sizeof(path), "%s/socket", d->folder);
    unlink(path);
    rmdir(d->folder);
    sem_destroy(&d->had);
    sem_destroy(&d->go);
    sem_destroy(&d->gone);
}

static const struct wharf_limits soon = {.timeout_ns = 20 * MS}, at_once = {.timeout_ns = 0},
                                 minute = {.timeout_ns = MINUTE};

static void expect_text(char *text, const char *wanted)
{
    assert_non_null(text);
    assert_string_equal(text, wanted);
    wharf_text_free(text);
}

static void test_requests(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {.parts = {JSON "{\"a\":1}"}}, {.parts = {JSON "{}"}}, {.parts = {JSON "{}"}},
        {.parts = {JSON "{}"}},        {.parts = {JSON "{}"}}, {.parts = {JSON "{}"}},
        {.parts = {JSON "{}"}},        {.parts = {JSON "{}"}}, {.parts = {JSON "{}"}}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 9);
    char *text;
    assert_int_equal(wharf_client_status(c, &minute, &text), 0);
    expect_text(text, "{\"a\":1}");
    assert_int_equal(wharf_client_devices(c, NULL, NULL), 0);
    assert_int_equal(wharf_client_models(c, NULL, NULL), 0);
    assert_int_equal(wharf_client_load(c, "a/b c", NULL, NULL), 0);
    assert_int_equal(wharf_client_unload(c, "a", NULL, NULL), 0);
    assert_int_equal(wharf_client_move(c, "a", "cpu", NULL, NULL), 0);
    assert_int_equal(wharf_client_set_mode(c, "re\"c", true, NULL, NULL), 0);
    assert_int_equal(wharf_client_mode(c, NULL, NULL), 0);
    const struct wharf_request rq = {"POST", "/wharf/plan", "{\"model\":\"a\"}"};
    assert_int_equal(wharf_client_request(c, &rq, NULL, NULL), 0);
    stop(&d, c);
    assert_string_equal(d.asked, "GET /wharf/status HTTP/1.1 \n"
                                 "GET /wharf/devices HTTP/1.1 \n"
                                 "GET /wharf/models HTTP/1.1 \n"
                                 "POST /wharf/models/a%2Fb%20c/load HTTP/1.1 \n"
                                 "POST /wharf/models/a/unload HTTP/1.1 \n"
                                 "POST /wharf/models/a/move?device=cpu HTTP/1.1 \n"
                                 "PUT /wharf/mode?wait=1 HTTP/1.1 {\"mode\":\"re\\\"c\"}\n"
                                 "GET /wharf/mode HTTP/1.1 \n"
                                 "POST /wharf/plan HTTP/1.1 {\"model\":\"a\"}\n");
}

#define REFUSED(status)                                                                            \
    "HTTP/1.1 " status " X\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"         \
    "{\"error\":{\"code\":\"x\",\"message\":\"it says " status "\"}}"

static void test_refusals(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {.parts = {REFUSED("400")}}, {.parts = {REFUSED("401")}},
        {.parts = {REFUSED("404")}}, {.parts = {REFUSED("429")}},
        {.parts = {REFUSED("503")}}, {.parts = {REFUSED("507")}},
        {.parts = {REFUSED("500")}}, {.parts = {"no HTTP at all\r\n\r\n"}}};
    static const struct {
        int rc;
        const char *text;
    } wanted[] = {{-EINVAL, "it says 400"}, {-EACCES, "it says 401"}, {-ENOENT, "it says 404"},
                  {-EAGAIN, "it says 429"}, {-EAGAIN, "it says 503"}, {-ENOSPC, "it says 507"},
                  {-EIO, "it says 500"},    {-EPROTO, NULL}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 8);
    for (size_t i = 0; i < 8; i++) {
        char *text = NULL;
        assert_int_equal(wharf_client_load(c, "m", &minute, &text), wanted[i].rc);
        if (wanted[i].text)
            assert_string_equal(text, wanted[i].text);
        assert_non_null(text);
        wharf_text_free(text);
    }
    stop(&d, c);
}

static void test_what_cannot_be_asked(void **state)
{
    (void)state;
    static const struct wharf_request wrong[] = {
        {"GET", "status", NULL}, {"GET", "/a b", NULL}, {"GET", "/a\r\n", NULL}, {"", "/", NULL},
        {"GET x", "/", NULL},    {NULL, "/", NULL},     {"GET", NULL, NULL}};
    struct wharf_client *c =
        wharf_client_new(&(struct wharf_client_options){.url = "unix:/nowhere/at/all"});
    char *text = NULL;
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(wharf_client_request(c, &wrong[i], NULL, NULL), -EINVAL);
    assert_int_equal(wharf_client_status(c, NULL, &text), -ECONNREFUSED);
    assert_non_null(strstr(text, "/nowhere/at/all"));
    wharf_text_free(text);
    struct wharf_lease *s;
    const struct wharf_lease_ask nothing = {.name = "n"}, no_class = {.bytes = 1, .wharf_class = 3};
    assert_int_equal(wharf_lease_begin(c, &nothing, NULL, &s, NULL), -EINVAL);
    assert_int_equal(wharf_lease_begin(c, &no_class, NULL, &s, NULL), -EINVAL);
    wharf_client_free(c);
    assert_null(wharf_client_new(&(struct wharf_client_options){.url = "ftp://x"}));
    assert_int_equal(errno, EINVAL);
    assert_null(wharf_client_new(&(struct wharf_client_options){.key = "a\nb"}));
    assert_int_equal(errno, EINVAL);
    wharf_client_free(NULL);
}

struct canceller {
    struct daemon *d;
    struct wharf_cancel *cancel;
};

/* Once the daemon has two requests. */
static void *cancel_second(void *arg)
{
    struct canceller *c = arg;
    sem_wait(&c->d->had);
    sem_wait(&c->d->had);
    wharf_cancel_set(c->cancel);
    return NULL;
}

static void test_time_and_cancel(void **state)
{
    (void)state;
    static const struct script scripts[] = {{.held = true}, {.held = true}, {.parts = {JSON "{}"}}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 3);
    struct canceller canceller = {.d = &d, .cancel = wharf_cancel_new()};
    const struct wharf_limits l = {.timeout_ns = MINUTE, .cancel = canceller.cancel};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, cancel_second, &canceller), 0);
    assert_int_equal(wharf_client_load(c, "m", &soon, NULL), -ETIMEDOUT);
    assert_int_equal(wharf_client_load(c, "m", &l, NULL), -ECANCELED);
    pthread_join(thread, NULL);
    assert_int_equal(wharf_client_load(c, "m", &l, NULL), -ECANCELED);
    assert_int_equal(wharf_client_load(c, "m", &minute, NULL), 0);
    stop(&d, c);
    wharf_cancel_free(canceller.cancel);
}

static void test_events(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {.parts =
             {EVENTS,
              "id: 7\nevent: model_loaded\ndata: {\"model\":\"a\"}\n\n: ping\n\nid: 8\ndata: {",
              "}\n\n"}},
        {.parts = {REFUSED("401")}}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 2);
    struct wharf_events *e;
    struct wharf_daemon_event event;
    assert_int_equal(wharf_events_open(c, "6", &minute, &e, NULL), 0);
    assert_int_equal(wharf_events_next(e, &at_once, &event), -ETIMEDOUT);
    sem_post(&d.go);
    struct pollfd fd = {.fd = wharf_events_fd(e), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 60000), 1);
    assert_int_equal(wharf_events_next(e, &minute, &event), 0);
    assert_string_equal(event.id, "7");
    assert_string_equal(event.type, "model_loaded");
    assert_string_equal(event.data, "{\"model\":\"a\"}");
    assert_int_equal(wharf_events_next(e, &soon, &event), -ETIMEDOUT); /* half of it has come */
    sem_post(&d.go);
    assert_int_equal(wharf_events_next(e, &minute, &event), 0);
    assert_string_equal(event.id, "8");
    assert_string_equal(event.data, "{}");
    assert_int_equal(wharf_events_next(e, &minute, &event), -EPROTO);
    assert_int_equal(wharf_events_next(e, &minute, &event), -EPROTO);
    assert_int_equal(wharf_events_fd(e), -1);
    wharf_events_close(e);
    char *text;
    assert_int_equal(wharf_events_open(c, NULL, &minute, &e, &text), -EACCES);
    expect_text(text, "it says 401");
    stop(&d, c);
    assert_non_null(strstr(d.asked, "GET /wharf/events HTTP/1.1 after 6"));
}

static struct wharf_lease_info info_of(const struct wharf_lease *s)
{
    struct wharf_lease_info info;
    wharf_lease_info(s, &info);
    return info;
}

static void expect_ask(const struct daemon *d)
{
    char wanted[512];
    snprintf(wanted, sizeof(wanted),
             "POST /wharf/leases HTTP/1.1 {\"class\":\"background\",\"pid\":%ld,"
             "\"name\":\"tr\\\"ain\",\"vram\":6442450944,\"gpus\":1,\"devices\":[\"gpu0\"],"
             "\"gates\":[\"mlx\",\"disk\"],\"wait\":60.000000000,\"run\":1.500000000,"
             "\"revocable\":true,\"grace\":30.000000000}\n",
             (long)getpid());
    assert_string_equal(d->asked, wanted);
}

static void test_a_held_lease(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {.parts = {
             LINES WAITING,
             "{\"ping\":true}\n{\"lease\":\"L1\",\"state\":\"waiting\",\"position\":2,"
             "\"estimate_s\":8,\"for\":\"one\"}\n" GRANTED,
             "{\"lease\":\"L1\",\"state\":\"revoked\",\"reason\":\"wanted\",\"grace_s\":30}\n",
             "{\"lease\":\"L1\",\"state\":\"ended\",\"reason\":\"grace\"}\n"}}};
    static const char *const devices[] = {"gpu0"}, *const gates[] = {"mlx", "disk"};
    const struct wharf_lease_ask ask = {.name = "tr\"ain",
                                        .bytes = 6442450944,
                                        .devices = devices,
                                        .devices_listed = 1,
                                        .gates = gates,
                                        .gate_count = 2,
                                        .wharf_class = WHARF_BACKGROUND,
                                        .wait_ns = MINUTE,
                                        .run_ns = 1500 * MS,
                                        .revocable = true,
                                        .grace_ns = 30000 * MS};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 1);
    struct wharf_lease *s;
    char *text;
    const char *name, *value;
    assert_int_equal(wharf_lease_begin(c, &ask, &minute, &s, NULL), 0);
    struct wharf_lease_info info = info_of(s);
    assert_int_equal(info.state, WHARF_LEASE_WAITS);
    assert_string_equal(info.id, "L1");
    assert_string_equal(info.token, "S3");
    assert_string_equal(info.why, "others");
    assert_int_equal(info.position, 3);
    assert_true(info.estimate_s > 11.9 && info.estimate_s < 12.1);
    assert_null(wharf_lease_device(s, 0));
    assert_int_equal(wharf_lease_wait(s, &soon, &text), -ETIMEDOUT);
    expect_text(text, "it still waits");
    sem_post(&d.go);
    assert_int_equal(wharf_lease_wait(s, &minute, NULL), 0);
    info = info_of(s);
    assert_int_equal(info.device_count, 1);
    assert_true(info.bytes == 6442450944);
    assert_string_equal(info.token, "S3");
    assert_string_equal(wharf_lease_device(s, 0), "gpu0");
    assert_null(wharf_lease_device(s, 1));
    assert_true(wharf_lease_environment(s, 0, &name, &value));
    assert_string_equal(name, "CUDA_VISIBLE_DEVICES");
    assert_string_equal(value, "GPU-1");
    assert_true(wharf_lease_environment(s, 1, &name, &value));
    assert_false(wharf_lease_environment(s, 2, &name, &value));
    assert_int_equal(wharf_lease_next(s, &at_once, NULL), -ETIMEDOUT);
    sem_post(&d.go);
    struct pollfd fd = {.fd = wharf_lease_fd(s), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 60000), 1);
    assert_int_equal(wharf_lease_next(s, &minute, &text), 0);
    assert_non_null(strstr(text, "revoked"));
    wharf_text_free(text);
    assert_int_equal(info_of(s).state, WHARF_LEASE_REVOKED);
    assert_string_equal(info_of(s).why, "wanted");
    assert_string_equal(wharf_lease_device(s, 0), "gpu0"); /* still */
    sem_post(&d.go);
    assert_int_equal(wharf_lease_next(s, &minute, NULL), 0);
    assert_int_equal(info_of(s).state, WHARF_LEASE_ENDED);
    assert_int_equal(wharf_lease_next(s, &minute, NULL), -EIO);
    assert_int_equal(wharf_lease_end(s, NULL), 0);
    stop(&d, c);
    expect_ask(&d);
}

static void test_a_lease_ends_with_its_connection(void **state)
{
    (void)state;
    static const struct script scripts[] = {{.parts = {LINES AT_ONCE}, .held = true}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 1);
    struct wharf_lease *s;
    const struct wharf_lease_ask ask = {.bytes = 1, .wait_ns = WHARF_FOREVER};
    assert_int_equal(wharf_lease_begin(c, &ask, &minute, &s, NULL), 0);
    assert_int_equal(wharf_lease_wait(s, &at_once, NULL), 0);
    assert_int_equal(wharf_lease_end(s, NULL), 0);
    assert_int_equal(sem_wait(&d.gone), 0);
    stop(&d, c);
    assert_null(strstr(d.asked, "wait"));
}

static void test_refused_leases(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {.parts = {REFUSED("507")}},
        {.parts = {LINES WAITING "{\"lease\":\"L1\",\"state\":\"refused\",\"error\":"
                                 "{\"code\":\"wait_expired\",\"message\":\"too long\"}}\n"}},
        {.parts = {LINES "not JSON\n"}},
        {.parts = {LINES WAITING}}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 4);
    struct wharf_lease *s;
    char *text;
    const struct wharf_lease_ask ask = {.bytes = 1, .wharf_class = WHARF_NORMAL};
    assert_int_equal(wharf_lease_begin(c, &ask, &minute, &s, &text), -ENOSPC);
    expect_text(text, "it says 507");
    assert_int_equal(wharf_lease_begin(c, &ask, &minute, &s, NULL), 0);
    assert_int_equal(wharf_lease_wait(s, &minute, &text), -EAGAIN);
    expect_text(text, "too long");
    assert_string_equal(info_of(s).why, "too long");
    assert_int_equal(wharf_lease_end(s, NULL), 0);
    assert_int_equal(wharf_lease_begin(c, &ask, &minute, &s, NULL), -EPROTO);
    assert_int_equal(wharf_lease_begin(c, &ask, &minute, &s, NULL), 0);
    assert_int_equal(wharf_lease_wait(s, &minute, &text), -EPROTO);
    wharf_text_free(text);
    assert_int_equal(wharf_lease_end(s, NULL), 0);
    stop(&d, c);
}

static void test_a_lease_outlives_the_daemon(void **state)
{
    (void)state;
    static const struct script scripts[] = {{.parts = {LINES AT_ONCE}},
                                            {.parts = {REFUSED("503")}},
                                            {.parts = {LINES AT_ONCE}},
                                            {.parts = {REFUSED("404")}}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 4);
    struct wharf_lease *s;
    char *text;
    const struct wharf_lease_ask ask = {.bytes = 1};
    assert_int_equal(wharf_lease_begin(c, &ask, &minute, &s, NULL), 0);
    assert_int_equal(wharf_lease_next(s, &minute, NULL), -EPROTO);
    assert_int_equal(wharf_lease_resume(s, &minute, &text), -EAGAIN);
    expect_text(text, "it says 503");
    assert_int_equal(wharf_lease_resume(s, &minute, NULL), 0);
    assert_int_equal(info_of(s).state, WHARF_LEASE_GRANTED);
    assert_int_equal(wharf_lease_next(s, &minute, NULL), -EPROTO);
    assert_int_equal(wharf_lease_resume(s, &minute, NULL), -ENOENT);
    assert_int_equal(info_of(s).state, WHARF_LEASE_ENDED);
    assert_int_equal(wharf_lease_resume(s, &minute, NULL), -EINVAL);
    assert_int_equal(wharf_lease_end(s, NULL), 0);
    stop(&d, c);
    assert_non_null(strstr(d.asked, "POST /wharf/leases/L1 HTTP/1.1 {\"token\":\"S3\"}\n"));
}

#define CREATED                                                                                    \
    "HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n{\"lease\":\"L1\",\"token\":\"S3\","         \
    "\"state\":\"granted\"," DEVICES ",\"expires_s\":30}"

static void test_a_lease_with_a_ttl(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {.parts = {CREATED}},
        {.parts = {JSON "{\"state\":\"granted\",\"expires_s\":29.5}"}},
        {.parts = {JSON "{\"state\":\"revoked\",\"expires_s\":9}"}},
        {.parts = {"HTTP/1.1 204 No Content\r\n\r\n"}}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 4);
    struct wharf_lease *s;
    const struct wharf_lease_ask ask = {.bytes = 1, .ttl_ns = 30000 * MS, .wait_ns = 0};
    assert_int_equal(wharf_lease_begin(c, &ask, &minute, &s, NULL), 0);
    assert_int_equal(wharf_lease_wait(s, &at_once, NULL), 0);
    assert_int_equal(wharf_lease_fd(s), -1);
    assert_true(info_of(s).expires_s > 29.9);
    assert_int_equal(wharf_lease_resume(s, &minute, NULL), -EINVAL);
    assert_int_equal(wharf_lease_renew(s, &minute, NULL), 0);
    assert_true(info_of(s).expires_s < 29.9);
    assert_int_equal(info_of(s).state, WHARF_LEASE_GRANTED);
    assert_int_equal(wharf_lease_renew(s, &minute, NULL), 0);
    assert_int_equal(info_of(s).state, WHARF_LEASE_REVOKED);
    assert_string_equal(wharf_lease_device(s, 0), "gpu0");
    assert_string_equal(info_of(s).token, "S3");
    assert_int_equal(wharf_lease_end(s, &minute), 0);
    stop(&d, c);
    assert_non_null(strstr(d.asked, "\"wait\":0.000000000,\"ttl\":30.000000000"));
    assert_non_null(strstr(d.asked, "PUT /wharf/leases/L1 HTTP/1.1 {\"token\":\"S3\"}\n"
                                    "DELETE /wharf/leases/L1 HTTP/1.1 {\"token\":\"S3\"}\n"));
}

static void test_a_gate_of_the_daemon(void **state)
{
    (void)state;
    static const struct script scripts[] = {
        {.parts = {LINES "{\"lease\":\"L1\",\"token\":\"S3\",\"state\":\"granted\"}\n"},
         .held = true},
        {.parts = {LINES WAITING}, .held = true},
        {.parts = {REFUSED("503")}}};
    struct daemon d;
    struct wharf_client *c = start(&d, scripts, 3);
    struct wharf_lease *s;
    assert_int_equal(wharf_client_gate(c, "mlx", WHARF_FOREGROUND, &minute, &s), 0);
    assert_int_equal(wharf_lease_end(s, NULL), 0);
    assert_int_equal(wharf_client_gate(c, "mlx", WHARF_FOREGROUND, &soon, &s), -ETIMEDOUT);
    assert_int_equal(wharf_client_gate(c, "mlx", WHARF_FOREGROUND, &at_once, &s), -ETIMEDOUT);
    stop(&d, c);
    assert_non_null(strstr(d.asked, "\"gates\":[\"mlx\"],\"wait\":60.000000000}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_what_cannot_be_asked),
        cmocka_unit_test(test_time_and_cancel),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_a_held_lease),
        cmocka_unit_test(test_a_lease_ends_with_its_connection),
        cmocka_unit_test(test_refused_leases),
        cmocka_unit_test(test_a_lease_outlives_the_daemon),
        cmocka_unit_test(test_a_lease_with_a_ttl),
        cmocka_unit_test(test_a_gate_of_the_daemon),
    };
    unsetenv("WHARF_URL");
    unsetenv("WHARF_KEY");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
