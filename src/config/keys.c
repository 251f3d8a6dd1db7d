/* Who may come in: apiKeys, and keys with what they may do; a key stands in the file, in one of its
 * own, or is a user of this machine. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/resolve.h"

#define FILE_BYTES_MAX (256 * 1024)
#define BLANKS " \t\r\n"

bool config_key_fits(const struct config_key *k, const char *name)
{
    bool fits = k->models.count == 0;
    for (uint32_t i = 0; i < k->models.count && !fits; i++)
        fits = fnmatch(k->models.items[i], name, 0) == 0;
    return fits;
}

bool config_key_fits_model(const struct config_key *k, const struct config_model *m)
{
    bool fits = config_key_fits(k, m->id);
    for (uint32_t i = 0; i < m->aliases.count && !fits; i++)
        fits = config_key_fits(k, m->aliases.items[i]);
    for (uint32_t i = 0; i < m->filters.variant_count && !fits; i++)
        fits = config_key_fits(k, m->filters.variants[i].id);
    return fits;
}

/* What is wrong with a key, or NULL. Never the key itself in a message. */
static const char *key_problem(const char *key)
{
    if (*key == '\0')
        return "is empty";
    if (strlen(key) > CONFIG_KEY_BYTES_MAX)
        return "is longer than 4096 bytes";
    return strpbrk(key, BLANKS) ? "holds a blank" : NULL;
}

static struct config_key *add(struct resolver *r, const struct config_key *like, const char *key)
{
    struct config *c = r->config;
    struct config_key *k = &c->keys[c->key_count++];
    *k = *like;
    k->key = arena_text(r->arena, key);
    return k;
}

/* ---- files ---- */

/* The whole file in the scratch arena, or NULL, and why. */
static char *read_file(struct resolver *r, const char *path, struct stat *st, const char **why)
{
    char *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *why = NULL;
    if (fd < 0 || fstat(fd, st) < 0) {
        *why = strerror(errno);
    } else if (!S_ISREG(st->st_mode)) {
        *why = "it is no file";
    } else if (st->st_size > FILE_BYTES_MAX) {
        *why = "it is larger than 256 KiB";
    } else {
        size_t n = 0;
        ssize_t got = 1;
        text = arena_alloc(r->scratch, (size_t)st->st_size + 1, 1);
        while (got > 0 && n < (size_t)st->st_size)
            if ((got = read(fd, text + n, (size_t)st->st_size - n)) > 0)
                n += (size_t)got;
        if (got < 0) {
            *why = strerror(errno);
            text = NULL;
        }
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* The next line that says something, without blanks around it; cut out of the text. NULL: none. */
static char *next_line(char **text)
{
    char *line = *text;
    while (line && *line) {
        char *end = line + strcspn(line, "\n"), *from = line + strspn(line, BLANKS);
        bool last = *end == '\0';
        while (end > from && strchr(BLANKS, end[-1]))
            end--;
        bool said = from < end && *from != '#';
        line += strcspn(line, "\n") + !last;
        *text = line;
        if (said) {
            *end = '\0';
            return from;
        }
    }
    return NULL;
}

static void add_file(struct resolver *r, const struct value *v, struct config_key *like)
{
    const char *why, *path = like->file, *line;
    struct stat st;
    char *text = read_file(r, path, &st, &why);
    uint32_t number = 0;
    if (!text) {
        diag_error(r->diag, v->at, "keyFile %s cannot be read: %s", diag_quote(r->diag, path), why);
        return;
    }
    if (st.st_mode & S_IROTH)
        diag_warn(r->diag, v->at, "keyFile %s can be read by every user of this machine",
                  diag_quote(r->diag, path));
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) || (st.st_uid != geteuid() && st.st_uid != 0))
        diag_warn(r->diag, v->at, "keyFile %s can be changed by users other than wharf's and root",
                  diag_quote(r->diag, path));
    while ((line = next_line(&text)) && r->config->key_count < CONFIG_KEYS_MAX) {
        const char *problem = key_problem(line);
        number++;
        if (problem)
            diag_error(r->diag, v->at, "keyFile %s: key %u %s", diag_quote(r->diag, path), number,
                       problem);
        else
            add(r, like, line);
    }
    if (number == 0)
        diag_error(r->diag, v->at, "keyFile %s holds no key", diag_quote(r->diag, path));
    if (line)
        diag_error(r->diag, v->at, "more than %d keys", CONFIG_KEYS_MAX);
}

/* ---- entries of keys ---- */

static void read_user(struct resolver *r, const struct value *v, struct config_key *key)
{
    char *end;
    unsigned long uid = strtoul(key->user, &end, 10);
    const struct passwd *pw;
    if (end != key->user && *end == '\0' && uid < UINT32_MAX)
        key->uid = (uint32_t)uid;
    else if ((pw = getpwnam(key->user)))
        key->uid = pw->pw_uid;
    else
        diag_error(r->diag, v->at, "this machine has no user %s", diag_quote(r->diag, key->user));
}

static void read_times(struct resolver *r, const struct bound *b, struct config_key *key)
{
    const struct value *class = bound_value(b, SET_KEY_class);
    const struct value *most = bound_value(b, SET_KEY_maxClass);
    const struct value *wait = bound_value(b, SET_KEY_wait);
    key->has_class = class->given;
    key->class = (enum config_class) class->number;
    key->class_max = most->given ? (enum config_class)most->number : CONFIG_CLASS_FOREGROUND;
    key->has_wait = wait->given;
    key->wait_ns_max = (uint64_t)wait->number;
    if (key->has_class && key->class < key->class_max)
        diag_error(r->diag, class->at, "keys[%u]: its class %s is better than its maxClass %s",
                   key->entry, config_class_words[key->class], config_class_words[key->class_max]);
}

/* admin reaches everything; what is to reach less cannot be admin as well. */
static void read_rights(struct resolver *r, const struct bound *b, struct config_key *key)
{
    const struct value *models = bound_value(b, SET_KEY_models);
    key->admin_given = bound_value(b, SET_KEY_admin)->given;
    key->models = resolve_texts(r, models);
    if (models->given && key->models.count == 0 && !models->broken)
        diag_error(r->diag, models->at,
                   "keys[%u].models is empty, so that it fits no model; leave it out for all",
                   key->entry);
    if (key->admin && (key->read_only || key->models.count))
        diag_error(r->diag, bound_value(b, SET_KEY_admin)->at,
                   "keys[%u]: a key with admin reaches everything, so it cannot have %s",
                   key->entry, key->read_only ? "readOnly" : "models");
}

static void resolve_entry(struct resolver *r, const struct bound *b, uint32_t index)
{
    const struct value *given = bound_value(b, SET_KEY_key);
    const struct value *file = bound_value(b, SET_KEY_keyFile);
    const struct value *user = bound_value(b, SET_KEY_user);
    struct config_key key = {.key = arena_text(r->arena, ""), .entry = index};
    bound_project(b, r->arena, &key);
    read_times(r, b, &key);
    read_rights(r, b, &key);
    const char *problem = key_problem(key.key);
    bool has_file = *key.file != '\0', has_user = *key.user != '\0';
    if (given->given + has_file + has_user > 1) {
        diag_error(r->diag, b->at, "keys[%u] has more than one of key, keyFile and user", index);
    } else if (has_file) {
        add_file(r, file, &key);
    } else if (has_user) {
        read_user(r, user, &key);
        add(r, &key, "");
    } else {
        if (problem && !given->broken && !b->broken)
            diag_error(r->diag, given->given ? given->at : b->at, "keys[%u].key %s", index,
                       problem);
        add(r, &key, key.key);
    }
}

/* Until somebody is named who may do everything, each key may that could so far; so that nobody is
 * locked out of his own daemon. */
static void settle_admins(struct resolver *r)
{
    struct config *c = r->config;
    bool named = false;
    for (uint32_t i = 0; i < c->key_count; i++)
        named |= c->keys[i].admin;
    for (uint32_t i = 0; i < c->key_count; i++) {
        struct config_key *k = &c->keys[i];
        bool could = !k->admin_given && !k->read_only && k->models.count == 0;
        k->administers = named ? k->admin : could;
    }
}

void resolve_keys(struct resolver *r)
{
    struct config *c = r->config;
    const struct value *plain = bound_value(r->root, SET_ROOT_apiKeys);
    const struct value *keys = bound_value(r->root, SET_ROOT_keys);
    char *none = arena_text(r->arena, "");
    struct config_key like = {.name = none,
                              .file = none,
                              .user = none,
                              .entry = CONFIG_KEY_PLAIN,
                              .class_max = CONFIG_CLASS_FOREGROUND};
    /* Files stop at the bound by themselves. */
    c->keys = arena_alloc(r->arena, plain->count + keys->count + CONFIG_KEYS_MAX, sizeof(*c->keys));
    for (uint32_t i = 0; i < plain->count; i++) {
        const char *problem = key_problem(plain->texts[i].text);
        if (problem)
            diag_error(r->diag, plain->texts[i].at, "apiKeys[%u] %s", i, problem);
        add(r, &like, plain->texts[i].text);
    }
    for (uint32_t i = 0; i < keys->count; i++)
        resolve_entry(r, keys->children[i], i);
    settle_admins(r);
}
