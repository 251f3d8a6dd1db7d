#include "cli/init/walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backend/gguf_file.h"
#include "base/alloc.h"
#include "base/pure/units.h"
#include "cli/init/names.h"

/* A power of 2, above any number of folders that are looked at. */
#define VISITED_SLOTS (4u * 65536u)
_Static_assert(WALK_ENTRIES_MAX * 2 < VISITED_SLOTS, "never full");

struct place {
    uint64_t device, inode;
    bool is_used;
};

/* A folder that waits for its turn: breadth first, so that what lies near is found before a bound
 * is met. */
struct folder {
    char *path; /* owned */
    uint32_t depth;
};

struct walk {
    struct walk_bounds bounds;
    struct place *visited; /* VISITED_SLOTS, open addressing */
    struct folder *folders;
    uint32_t folder_count, folders_room, next;
    struct gguf_seen *seen; /* owned, with its paths */
    uint32_t seen_count, seen_room;
    uint32_t entries;
    uint64_t start_ns;
    bool is_over; /* a bound was met, and told */
};

static uint64_t now_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

struct walk *walk_new(const struct walk_bounds *bounds)
{
    struct walk *w = alloc_zeroed(1, sizeof(*w));
    w->bounds = *bounds;
    if (w->bounds.entries_max > WALK_ENTRIES_MAX)
        w->bounds.entries_max = WALK_ENTRIES_MAX;
    w->visited = alloc_zeroed(VISITED_SLOTS, sizeof(*w->visited));
    w->start_ns = now_ns();
    return w;
}

void walk_free(struct walk *w)
{
    for (uint32_t i = w->next; i < w->folder_count; i++)
        free(w->folders[i].path);
    for (uint32_t i = 0; i < w->seen_count; i++)
        free(w->seen[i].path);
    free(w->folders);
    free(w->seen);
    free(w->visited);
    free(w);
}

/* False: it was visited before, by whatever path. */
static bool visit(struct walk *w, const struct stat *st)
{
    uint64_t mixed = ((uint64_t)st->st_ino ^ (uint64_t)st->st_dev << 32) * 0x9e3779b97f4a7c15u;
    uint32_t at = (uint32_t)(mixed >> 32) % VISITED_SLOTS;
    for (; w->visited[at].is_used; at = (at + 1) % VISITED_SLOTS)
        if (w->visited[at].device == st->st_dev && w->visited[at].inode == st->st_ino)
            return false;
    w->visited[at] = (struct place){.device = st->st_dev, .inode = st->st_ino, .is_used = true};
    return true;
}

static bool check_bounds(struct walk *w, struct found_notes *notes)
{
    const char *why = w->entries >= w->bounds.entries_max         ? "there are too many files"
                      : w->seen_count >= w->bounds.files_max      ? "there are too many GGUF files"
                      : now_ns() - w->start_ns > w->bounds.ns_max ? "it took too long"
                                                                  : NULL;
    if (why && !w->is_over)
        found_note(notes,
                   "the search for GGUF files ended before everything was seen: %s; "
                   "--models DIR says where to look",
                   why);
    w->is_over |= why != NULL;
    return !w->is_over;
}

static void add_folder(struct walk *w, char *path, uint32_t depth)
{
    if (w->folder_count == w->folders_room) {
        w->folders_room = w->folders_room ? w->folders_room * 2 : 64;
        w->folders = alloc_grow(w->folders, w->folders_room, sizeof(*w->folders));
    }
    w->folders[w->folder_count++] = (struct folder){.path = path, .depth = depth};
}

static void add_file(struct walk *w, char *path, const struct stat *st)
{
    if (w->seen_count == w->seen_room) {
        w->seen_room = w->seen_room ? w->seen_room * 2 : 64;
        w->seen = alloc_grow(w->seen, w->seen_room, sizeof(*w->seen));
    }
    w->seen[w->seen_count++] = (struct gguf_seen){
        .path = path, .bytes = (uint64_t)st->st_size, .device = st->st_dev, .inode = st->st_ino};
}

/* Only what may be a folder or is called a GGUF file is asked of the disk. */
static void look_at(struct walk *w, const struct folder *in, const struct dirent *entry,
                    struct found_notes *notes)
{
    bool is_file = names_is_gguf(entry->d_name);
    bool may_be_folder =
        entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN;
    struct stat st;
    w->entries++;
    if (entry->d_name[0] == '.' || (!is_file && !may_be_folder))
        return;
    char *path = alloc_printf("%s/%s", strcmp(in->path, "/") == 0 ? "" : in->path, entry->d_name);
    if (stat(path, &st) != 0) {
        if (is_file)
            found_note(notes, "%s: %s", path, strerror(errno));
    } else if (S_ISREG(st.st_mode) && is_file) {
        add_file(w, path, &st);
        return;
    } else if (S_ISDIR(st.st_mode) && in->depth < w->bounds.depth_max && visit(w, &st)) {
        add_folder(w, path, in->depth + 1);
        return;
    }
    free(path);
}

static int look_into(struct walk *w, const struct folder *folder, struct found_notes *notes)
{
    const struct dirent *entry;
    DIR *d = opendir(folder->path);
    if (!d)
        return errno;
    while (check_bounds(w, notes) && (entry = readdir(d)) != NULL)
        look_at(w, folder, entry, notes);
    closedir(d);
    return 0;
}

int walk_folder(struct walk *w, const char *folder, struct found_notes *notes)
{
    struct stat st;
    int error = 0;
    if (stat(folder, &st) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return ENOTDIR;
    if (!visit(w, &st))
        return 0;
    add_folder(w, alloc_text(folder), 0);
    while (w->next < w->folder_count) {
        struct folder next = w->folders[w->next++];
        int rc = look_into(w, &next, notes);
        if (rc && next.depth == 0)
            error = rc;
        else if (rc)
            found_note(notes, "%s: %s", next.path, strerror(rc));
        free(next.path);
    }
    return error;
}

void walk_read_heads(struct walk *w)
{
    uint32_t part, of;
    for (uint32_t i = 0; i < w->seen_count; i++) {
        struct gguf_seen *s = &w->seen[i];
        bool is_later = names_part(names_base(s->path), &part, &of) && part != 1;
        /* A bound that was met while looking for names leaves those that were found. */
        if (now_ns() - w->start_ns > 2 * w->bounds.ns_max)
            s->error = ETIMEDOUT;
        else if (!is_later)
            s->error = gguf_read_file(s->path, &s->head, &s->result);
    }
}

struct gguf_seen *walk_seen(struct walk *w, uint32_t *ret_count)
{
    *ret_count = w->seen_count;
    return w->seen;
}
