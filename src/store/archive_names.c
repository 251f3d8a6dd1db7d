/* Texts of which there are few: each stands once in the file, and rows have its number. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/archive_priv.h"

static struct archive_name *place_of(struct archive *a, const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *p = text; *p; p++)
        hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
    return &a->names[hash & (ARCHIVE_NAMES_CACHED - 1)];
}

static int read_id(sqlite3_stmt *st, const char *text, int64_t *ret)
{
    sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
    int rc = archive_read_number(st, ret);
    sqlite3_clear_bindings(st);
    return rc;
}

static int64_t find(struct archive *a, const char *text, bool make, int *rc)
{
    struct archive_name *n = place_of(a, text);
    int64_t id = 0;
    if (n->text && strcmp(n->text, text) == 0)
        return n->id;
    *rc = read_id(a->name_find, text, &id);
    if (*rc == SQLITE_OK && !id && make)
        *rc = read_id(a->name_add, text, &id);
    if (*rc != SQLITE_OK || !id)
        return 0;
    free(n->text); /* whoever was there is found in the file again */
    *n = (struct archive_name){.text = alloc_text(text), .id = id};
    return id;
}

int64_t archive_name_id(struct archive *a, const char *text, int *rc)
{
    return text && *text ? find(a, text, true, rc) : 0;
}

int64_t archive_name_known(struct archive *a, const char *text)
{
    int rc = SQLITE_OK;
    return find(a, text, false, &rc);
}

const char *archive_name_text(struct archive *a, int64_t id)
{
    sqlite3_reset(a->name_text);
    sqlite3_bind_int64(a->name_text, 1, id);
    return sqlite3_step(a->name_text) == SQLITE_ROW
               ? (const char *)sqlite3_column_text(a->name_text, 0)
               : NULL;
}

void archive_names_forget(struct archive *a)
{
    for (size_t i = 0; i < ARCHIVE_NAMES_CACHED; i++) {
        free(a->names[i].text);
        a->names[i] = (struct archive_name){.text = NULL};
    }
}
