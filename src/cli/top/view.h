/* view.h: where the person at the keyboard is in `wharf top`, and what a key means there. */
#ifndef CLI_TOP_VIEW_H
#define CLI_TOP_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/model_op.h"
#include "cli/top/known.h"

enum top_section { TOP_DEVICES, TOP_MODELS, TOP_QUEUE, TOP_SECTION__COUNT };

/* Keys that are no characters. */
enum top_key {
    TOP_KEY_UP = 0x110000,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_BACK_TAB,
    TOP_KEY_ERASE,
};
#define TOP_KEY_ESCAPE 0x1b
#define TOP_KEY_ENTER '\n'
#define TOP_KEY_TAB '\t'
#define TOP_PAGE 10

/* What lies over the sections, and gets the keys. */
enum top_popup {
    TOP_NO_POPUP,
    TOP_HELP,
    TOP_CHOICE,  /* of a place or a mode */
    TOP_CONFIRM, /* of what ends requests */
    TOP_FILTER,  /* text is being typed */
};

enum top_order_kind { TOP_ORDER_NONE, TOP_ORDER_QUIT, TOP_ORDER_MODEL, TOP_ORDER_MODE };

/* What is to be done now. Texts are the view's, until the next key. */
struct top_order {
    enum top_order_kind kind;
    struct model_op op;
    const char *mode;
};

#define TOP_FILTER_MAX 64

struct top_view {
    enum top_section section;
    size_t selected[TOP_SECTION__COUNT];
    char *model_id; /* owned; of the selected model, which keeps its place as others come; NULL */
    char filter[TOP_FILTER_MAX];
    enum top_popup popup;
    struct json_t *choices; /* owned; texts, of TOP_CHOICE */
    size_t choice;
    /* What is asked about. */
    enum top_order_kind asked;
    enum model_verb verb;
    bool is_forced;
    char *asked_id, *asked_name; /* owned; NULL */
    struct buf message;          /* the status line; may be empty */
    bool is_bad;                 /* of the message */
};

void top_view_init(struct top_view *v);
void top_view_fini(struct top_view *v);
/* After what is known has changed: selections stay within it. */
void top_view_settle(struct top_view *v, const struct top_known *k);
/* One key, a character or an enum top_key. */
struct top_order top_view_key(struct top_view *v, const struct top_known *k, uint32_t key);
/* text is escaped. */
void top_view_say(struct top_view *v, bool is_bad, const char *text);

/* The i-th that the filter lets through; NULL behind the last. */
const struct json_t *top_model_at(const struct top_view *v, const struct top_known *k, size_t i);
const struct json_t *top_waiter_at(const struct top_view *v, const struct top_known *k, size_t i);
size_t top_count(const struct top_view *v, const struct top_known *k, enum top_section section);

#endif
