#include "server/tell/feed.h"

#include <stdlib.h>

#include "base/alloc.h"

void feed_init(struct feed *f, size_t bytes_max)
{
    *f = (struct feed){.first = 1, .next = 1, .bytes_max = bytes_max};
    list_init(&f->followers);
}

static void drop_first(struct feed *f)
{
    struct feed_item *item = &f->items[f->first++ % FEED_ITEMS_MAX];
    f->bytes -= item->len;
    free(item->text);
    *item = (struct feed_item){0};
}

void feed_fini(struct feed *f)
{
    while (f->first < f->next)
        drop_first(f);
}

/* Whoever is told may be gone afterwards, and so may others. One that adds something is no reason
 * to begin anew inside: those who follow are told once more at the end. */
void feed_tell(struct feed *f)
{
    f->again = true;
    if (f->telling)
        return;
    while (f->again) {
        f->again = false;
        f->telling = f->followers.head.next;
        while (f->telling != &f->followers.head) {
            struct feed_follower *w = list_entry(f->telling, struct feed_follower, link);
            f->telling = f->telling->next;
            w->on_news(w);
        }
    }
    f->telling = NULL;
}

uint64_t feed_put(struct feed *f, const char *type, const char *text, size_t n)
{
    while (f->first < f->next &&
           (f->next - f->first >= FEED_ITEMS_MAX || f->bytes + n > f->bytes_max))
        drop_first(f);
    uint64_t id = f->next++;
    f->items[id % FEED_ITEMS_MAX] = (struct feed_item){alloc_text_n(text, n), (uint32_t)n, type};
    f->bytes += n;
    return id;
}

uint64_t feed_add(struct feed *f, const char *type, const char *text, size_t n)
{
    uint64_t id = feed_put(f, type, text, n);
    feed_tell(f);
    return id;
}

void feed_follow(struct feed *f, struct feed_follower *w, uint64_t from)
{
    w->next = from;
    list_push(&f->followers, &w->link);
}

void feed_unfollow(struct feed *f, struct feed_follower *w)
{
    if (f->telling == &w->link)
        f->telling = w->link.next;
    if (link_linked(&w->link))
        list_remove(&f->followers, &w->link);
}

const struct feed_item *feed_read(struct feed *f, struct feed_follower *w, uint64_t *ret_id,
                                  uint64_t *ret_missed)
{
    *ret_missed = 0;
    if (w->next > f->next)
        w->next = f->next; /* an id of an earlier daemon's life */
    if (w->next < f->first) {
        *ret_missed = f->first - w->next;
        f->gaps++;
        f->missed += *ret_missed;
        w->next = f->first;
    }
    if (w->next == f->next)
        return NULL;
    *ret_id = w->next++;
    return &f->items[*ret_id % FEED_ITEMS_MAX];
}
