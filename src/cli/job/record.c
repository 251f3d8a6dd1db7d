#include "record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/output.h"

#define RECORD_BYTES_MAX (256 * 1024)

static const char *const files[] = {"record.json", "record.new", "log", "lock"};

/* NULL when no folder is known for the user. */
static char *jobs_folder(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0] == '/')
        return alloc_printf("%s/wharf/jobs", state);
    return home && home[0] == '/' ? alloc_printf("%s/.local/state/wharf/jobs", home) : NULL;
}

static int make_folders(const char *folder, struct err *e)
{
    auto_free char *path = alloc_text(folder);
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return err_set(e, "cannot create %s: %s", path, strerror(errno));
        *p = '/';
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_set(e, "cannot create %s: %s", path, strerror(errno));
    return 0;
}

/* 0: it is no job's number. */
static uint32_t parse_id(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    if (digits == 0 || digits > 9 || name[digits] || name[0] == '0')
        return 0;
    return (uint32_t)strtoul(name, NULL, 10);
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The numbers that are taken, in order; the caller frees them. */
static uint32_t *list_ids(const char *folder, size_t *ret_count)
{
    uint32_t *ids = NULL;
    size_t count = 0, max = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;) {
        uint32_t id = parse_id(d->d_name);
        if (id == 0)
            continue;
        if (count == max) {
            max = max ? max * 2 : 64;
            ids = alloc_grow(ids, max, sizeof(*ids));
        }
        ids[count++] = id;
    }
    if (dir)
        closedir(dir);
    if (count > 0)
        qsort(ids, count, sizeof(*ids), compare_ids);
    *ret_count = count;
    return ids;
}

char *record_path(const char *id, const char *file)
{
    struct stat st;
    auto_free char *folder = jobs_folder();
    if (!folder || parse_id(id) == 0)
        return NULL;
    char *path = alloc_printf("%s/%s/%s", folder, id, file);
    if (stat(path, &st) == 0)
        return path;
    free(path);
    return NULL;
}

/* -1 when nobody holds it, or there is none. */
static int open_held_lock(const char *id)
{
    auto_free char *path = record_path(id, "lock");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool record_is_live(const char *id)
{
    auto_close int fd = open_held_lock(id);
    return fd >= 0;
}

int record_wait(const char *id)
{
    auto_close int fd = open_held_lock(id);
    return fd < 0 ? 0 : flock(fd, LOCK_SH);
}

static void remove_record(const char *folder, const char *id)
{
    for (size_t i = 0; i < countof(files); i++) {
        auto_free char *path = alloc_printf("%s/%s/%s", folder, id, files[i]);
        (void)unlink(path);
    }
    auto_free char *path = alloc_printf("%s/%s", folder, id);
    (void)rmdir(path);
}

static void prune(const char *folder, const uint32_t *ids, size_t count)
{
    char id[16];
    size_t ended = 0;
    for (size_t i = count; i > 0; i--) {
        snprintf(id, sizeof(id), "%u", ids[i - 1]);
        if (!record_is_live(id) && ++ended > RECORD_ENDED_MAX)
            remove_record(folder, id);
    }
}

static int save(const struct record *r)
{
    auto_free char *path = alloc_printf("%s/record.json", r->folder);
    auto_free char *fresh = alloc_printf("%s/record.new", r->folder);
    if (json_dump_file(r->json, fresh, JSON_INDENT(1)) != 0 || rename(fresh, path) != 0)
        return -1;
    return 0;
}

/* Nobody is there to be told by an exit status; the log is. */
static void save_or_complain(const struct record *r)
{
    if (save(r) < 0)
        output_complain("cannot write %s/record.json: %s", r->folder, strerror(errno));
}

static void set_text(json_t *json, const char *name, const char *text)
{
    json_object_set_new(json, name, text ? json_string(text) : json_null());
}

/* Through buf_json, which makes U+FFFD of bytes that are no UTF-8: Jansson would refuse them. */
static json_t *command_of(const struct job_ask *ask)
{
    json_t *command = json_array();
    for (char **a = ask->argv; *a; a++) {
        struct buf text = {0};
        buf_json_text(&text, *a);
        json_array_append_new(command, json_loads(text.data, JSON_DECODE_ANY, NULL));
        buf_fini(&text);
    }
    return command;
}

static json_t *describe(uint32_t id, const struct hold *h)
{
    json_t *json = json_object();
    auto_free char *folder = getcwd(NULL, 0);
    json_object_set_new(json, "id", json_integer(id));
    set_text(json, "name", h->ask->lease.name);
    json_object_set_new(json, "command", command_of(h->ask));
    set_text(json, "folder", folder);
    set_text(json, "class", h->ask->lease.class ? h->ask->lease.class : "background");
    json_object_set_new(json, "bytes",
                        h->ask->lease.vram_bytes
                            ? json_integer((json_int_t)h->ask->lease.vram_bytes)
                            : json_null());
    set_text(json, "daemon", h->session->options.address.text);
    json_object_set_new(json, "pid", json_integer(getpid()));
    json_object_set_new(json, "submitted", json_integer((json_int_t)time(NULL)));
    return json;
}

static int make_one(const char *folder, uint32_t id, struct record *ret, struct err *e)
{
    struct record r = {.id = id, .folder = alloc_printf("%s/%u", folder, id), .lock_fd = -1};
    if (mkdir(r.folder, 0700) == 0) {
        auto_free char *lock = alloc_printf("%s/lock", r.folder);
        r.lock_fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (r.lock_fd >= 0 && flock(r.lock_fd, LOCK_EX) == 0) {
            *ret = r;
            return 0;
        }
    }
    int error = errno;
    if (error != EEXIST)
        err_set(e, "cannot make %s: %s", r.folder, strerror(error));
    record_fini(&r);
    return error == EEXIST ? 1 : -1;
}

int record_make(const struct hold *h, struct record *ret, struct err *e)
{
    size_t count;
    int rc = 1;
    auto_free char *folder = jobs_folder();
    if (!folder)
        return err_set(e, "neither $XDG_STATE_HOME nor $HOME says where jobs are to be kept");
    if (make_folders(folder, e) < 0)
        return -1;
    auto_free uint32_t *ids = list_ids(folder, &count);
    uint32_t id = count > 0 ? ids[count - 1] : 0;
    /* Somebody else may have taken it meanwhile. */
    while (rc == 1)
        rc = make_one(folder, ++id, ret, e);
    if (rc < 0)
        return -1;
    prune(folder, ids, count);
    ret->json = describe(id, h);
    record_lease(ret, h);
    return 0;
}

void record_lease(struct record *r, const struct hold *h)
{
    bool is_granted = h->line.state == CLIENT_LEASE_GRANTED;
    set_text(r->json, "lease", h->id);
    set_text(r->json, "state", is_granted ? "running" : "waiting");
    if (is_granted) {
        json_object_set_new(r->json, "started", json_integer((json_int_t)time(NULL)));
        json_t *devices = json_object_get(h->line.json, "devices");
        if (devices)
            json_object_set(r->json, "devices", devices);
    }
    save_or_complain(r);
}

void record_end(struct record *r, const struct front_end *end, int exit_status)
{
    bool by_signal = end->was_run && WIFSIGNALED(end->status);
    set_text(r->json, "state", "ended");
    json_object_set_new(r->json, "ended", json_integer((json_int_t)time(NULL)));
    json_object_set_new(r->json, "was_run", json_boolean(end->was_run));
    json_object_set_new(r->json, "cancelled", json_boolean(end->was_cancelled));
    json_object_set_new(r->json, "signal",
                        by_signal ? json_integer(WTERMSIG(end->status)) : json_null());
    json_object_set_new(r->json, "exit",
                        by_signal
                            ? json_null()
                            : json_integer(end->was_run ? WEXITSTATUS(end->status) : exit_status));
    save_or_complain(r);
}

void record_fini(struct record *r)
{
    free(r->folder);
    json_decref(r->json);
    if (r->lock_fd >= 0)
        close(r->lock_fd);
    *r = (struct record){.lock_fd = -1};
}

/* NULL: there is none yet, or it is no record. */
static json_t *load(const char *folder, uint32_t id)
{
    auto_free char *path = alloc_printf("%s/%u/record.json", folder, id);
    char name[16];
    struct stat st;
    if (stat(path, &st) != 0 || st.st_size > RECORD_BYTES_MAX)
        return NULL;
    snprintf(name, sizeof(name), "%u", id);
    /* Looked at first: a job that ends in between has written its end by then. */
    bool is_live = record_is_live(name);
    json_t *json = json_load_file(path, 0, NULL);
    const char *state = json_string_value(json_object_get(json, "state"));
    if (!state) {
        json_decref(json);
        return NULL;
    }
    if (!is_live && strcmp(state, "ended") != 0)
        set_text(json, "state", "lost");
    return json;
}

struct json_t *record_find(const char *id)
{
    auto_free char *folder = jobs_folder();
    auto_free char *path = record_path(id, "record.json");
    return folder && path ? load(folder, (uint32_t)strtoul(id, NULL, 10)) : NULL;
}

int record_list(struct json_t **ret, struct err *e)
{
    size_t count;
    auto_free char *folder = jobs_folder();
    if (!folder)
        return err_set(e, "neither $XDG_STATE_HOME nor $HOME says where jobs are kept");
    auto_free uint32_t *ids = list_ids(folder, &count);
    *ret = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *json = load(folder, ids[i]);
        if (json)
            json_array_append_new(*ret, json);
    }
    return 0;
}
