#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/nearest.h"
#include "config/text.h"

struct frame {
    struct node *node;
    struct node *key; /* of a mapping: waits for its value */
    const char *anchor;
};

struct anchor {
    struct anchor *next;
    const char *name;
    const struct node *node; /* NULL: still being read */
};

/* Builds the tree from the parser's events. */
struct builder {
    struct arena *arena;
    struct diag *diag;
    const char *text; /* what is parsed */
    struct frame stack[SOURCE_DEPTH_MAX];
    uint32_t depth;
    struct anchor *anchors; /* newest first: a later one of the same name hides the earlier */
    struct node *root;
    struct place last; /* of the last event that had a place */
    uint32_t node_count, documents;
    size_t copied_bytes; /* of text, by aliases */
    bool failed;         /* no use in reading on */
    bool done;           /* what follows is another document */
};

const char *source_read(struct arena *a, struct diag *d, const char *path, size_t *ret_n)
{
    struct place at = {.file = d->file};
    struct stat st;
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        diag_error(d, at, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        diag_error(d, at, "is a directory; name the configuration file itself");
        return NULL;
    }
    auto_free char *text = alloc_zeroed(SOURCE_BYTES_MAX + 1, 1);
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, text + n, SOURCE_BYTES_MAX + 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            diag_error(d, at, "cannot be read: %s", strerror(errno));
            return NULL;
        }
        n += (size_t)got;
        if (got == 0 || n > SOURCE_BYTES_MAX)
            break;
    }
    *ret_n = n;
    return arena_text_n(a, text, n);
}

static struct place place_of(const struct builder *b, struct fy_token *token)
{
    const struct fy_mark *mark = token ? fy_token_start_mark(token) : NULL;
    if (!mark)
        return b->last;
    struct place at = {.file = b->diag->file,
                       .line = (uint32_t)mark->line + 1,
                       .column = (uint32_t)mark->column + 1};
    return at;
}

static void fail(struct builder *b, struct place at, const char *text)
{
    diag_error(b->diag, at, "%s", text);
    b->failed = true;
}

static bool count_node(struct builder *b, struct place at)
{
    if (b->node_count < SOURCE_NODES_MAX) {
        b->node_count++;
        return true;
    }
    if (!b->failed)
        fail(b, at, "the file grows too large here (more than 100000 values, aliases expanded)");
    return false;
}

/* Copies share their text here, but not in what is made of them later. */
static bool count_text(struct builder *b, const struct node *from, struct place alias_at)
{
    b->copied_bytes += from->kind == NODE_SCALAR ? strlen(from->text) : 0;
    if (b->copied_bytes > SOURCE_BYTES_MAX)
        fail(b, alias_at, "the file grows too large here (more than 4 MiB, aliases expanded)");
    return !b->failed;
}

static const char *token_text(struct builder *b, struct fy_token *token)
{
    size_t n = 0;
    const char *text = token ? fy_token_get_text(token, &n) : NULL;
    return text ? arena_text_n(b->arena, text, n) : "";
}

static void add_anchor(struct builder *b, const char *name, const struct node *node)
{
    struct anchor *anchor = arena_alloc(b->arena, 1, sizeof(*anchor));
    *anchor = (struct anchor){.next = b->anchors, .name = name, .node = node};
    b->anchors = anchor;
}

/* alias_at: where the copy goes, for what is wrong with its size; its nodes keep their places. */
static struct node *copy_node(struct builder *b, const struct node *from, uint32_t depth,
                              struct place alias_at)
{
    if (depth >= SOURCE_DEPTH_MAX && !b->failed)
        fail(b, alias_at, "nested too deeply");
    if (b->failed || !count_node(b, alias_at) || !count_text(b, from, alias_at))
        return NULL;
    struct node *copy = node_new(b->arena, from->kind, from->at);
    copy->plain = from->plain;
    copy->anchored = true;
    copy->broken = from->broken;
    copy->text = from->text;
    for (uint32_t i = 0; i < from->count; i++) {
        struct node *key = NULL, *value = copy_node(b, from->items[i].value, depth + 1, alias_at);
        if (value && from->items[i].key)
            key = copy_node(b, from->items[i].key, depth + 1, alias_at);
        if (!value || b->failed)
            return NULL;
        node_append(b->arena, copy, key, value);
    }
    return copy;
}

/* Puts a finished node where it belongs: as the root, a list's item, a mapping's key or value. */
static void place_node(struct builder *b, struct node *n)
{
    if (b->depth == 0) {
        b->root = n;
        return;
    }
    struct frame *top = &b->stack[b->depth - 1];
    top->node->anchored |= n->anchored;
    if (top->node->kind == NODE_LIST) {
        node_append(b->arena, top->node, NULL, n);
    } else if (top->key) {
        node_append(b->arena, top->node, top->key, n);
        top->key = NULL;
    } else if (n->kind == NODE_SCALAR) {
        top->key = n;
    } else {
        fail(b, n->at, "a key must be text, not a list or a mapping");
    }
}

static void on_alias(struct builder *b, struct fy_token *token)
{
    const char *name = token_text(b, token);
    struct place at = place_of(b, token);
    const struct anchor *anchor = b->anchors;
    while (anchor && strcmp(anchor->name, name) != 0)
        anchor = anchor->next;
    struct node *n = NULL;
    if (!anchor) {
        struct nearest near = nearest_to(name);
        for (const struct anchor *other = b->anchors; other; other = other->next)
            nearest_offer(&near, other->name);
        diag_error(b->diag, at, "alias %s has no anchor before it%s", diag_quote(b->diag, name),
                   diag_hint(b->diag, near.best));
    } else if (!anchor->node) {
        diag_error(b->diag, at, "alias %s stands inside what it refers to",
                   diag_quote(b->diag, name));
    } else {
        n = copy_node(b, anchor->node, b->depth, at);
    }
    if (!n) {
        n = node_new(b->arena, NODE_SCALAR, at);
        n->plain = n->broken = true;
    }
    if (!b->failed)
        place_node(b, n);
}

/* Gives a scalar the type that its tag asks for; other tags mean nothing here. */
static void apply_tag(struct builder *b, struct node *n, struct fy_token *tag)
{
    static const char core[] = "tag:yaml.org,2002:";
    if (!tag)
        return;
    const char *text = token_text(b, tag);
    if (strncmp(text, core, strlen(core)) == 0)
        n->plain =
            strcmp(text + strlen(core), "str") != 0 && strcmp(text + strlen(core), "binary") != 0;
    else if (strcmp(text, "!") == 0)
        n->plain = false;
}

/* Whether the token's marks are between its quotes, as those of libfyaml 0.7.12 are. */
static bool is_between_quotes(const struct builder *b, struct fy_token *token)
{
    const struct fy_mark *from = fy_token_start_mark(token), *to = fy_token_end_mark(token);
    return from && to && from->input_pos > 0 && from->input_pos <= to->input_pos &&
           b->text[from->input_pos - 1] == '\'' && b->text[to->input_pos] == '\'';
}

/* In single quotes, libfyaml 0.7.12 takes two quotes in a row ('a''''b') for one and a half, and
 * cuts the text by as much: those are read here. Should another version set its marks elsewhere, it
 * has to be trusted. */
static const char *scalar_text(struct builder *b, struct fy_token *token, size_t *ret_len)
{
    *ret_len = 0;
    if (!token)
        return "";
    if (fy_token_scalar_style(token) != FYSS_SINGLE_QUOTED || !is_between_quotes(b, token))
        return fy_token_get_text(token, ret_len);
    size_t from = fy_token_start_mark(token)->input_pos, to = fy_token_end_mark(token)->input_pos;
    const char *text = text_of_single_quoted(b->arena, b->text + from, to - from);
    *ret_len = strlen(text);
    return text;
}

static void on_scalar(struct builder *b, const struct fy_event *event)
{
    struct fy_token *token = event->scalar.value;
    size_t len;
    const char *text = scalar_text(b, token, &len);
    enum fy_scalar_style style = token ? fy_token_scalar_style(token) : FYSS_PLAIN;
    struct place at = place_of(b, token);
    const struct frame *top = b->depth ? &b->stack[b->depth - 1] : NULL;
    bool block = style == FYSS_LITERAL || style == FYSS_FOLDED;
    /* The mark is behind the quote; that of a block is its first line. */
    if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && at.column > 1)
        at.column--;
    if ((block || !token) && top && top->key)
        at = top->key->at;
    if (!count_node(b, at))
        return;
    struct node *n = node_new(b->arena, NODE_SCALAR, at);
    n->plain = style == FYSS_PLAIN || style == FYSS_ANY;
    n->text = text_restore_references(b->arena, text ? text : "", text ? len : 0);
    apply_tag(b, n, event->scalar.tag);
    if (text && (memchr(text, '\0', len) || text_invalid_at(n->text, strlen(n->text)) != NULL)) {
        diag_error(b->diag, at, "the text holds a NUL byte or bytes that are not UTF-8");
        n->broken = true;
    }
    if (event->scalar.anchor) {
        n->anchored = true;
        add_anchor(b, token_text(b, event->scalar.anchor), n);
    }
    place_node(b, n);
}

static void on_start(struct builder *b, enum node_kind kind, struct fy_token *token,
                     struct fy_token *anchor)
{
    struct place at = place_of(b, token);
    if (b->depth == SOURCE_DEPTH_MAX) {
        fail(b, at, "nested too deeply");
        return;
    }
    if (!count_node(b, at))
        return;
    struct frame *top = &b->stack[b->depth++];
    *top = (struct frame){.node = node_new(b->arena, kind, at)};
    if (anchor) {
        top->anchor = token_text(b, anchor);
        top->node->anchored = true;
        add_anchor(b, top->anchor, NULL);
    }
}

static int by_key(const void *pa, const void *pb)
{
    const struct node *a = ((const struct node_item *)pa)->key;
    const struct node *b = ((const struct node_item *)pb)->key;
    int order = strcmp(a->text, b->text);
    if (order != 0)
        return order;
    if (a->at.line != b->at.line)
        return a->at.line < b->at.line ? -1 : 1;
    return a->at.column < b->at.column ? -1 : a->at.column > b->at.column;
}

static void report_duplicates(struct builder *b, const struct node *map)
{
    if (map->count < 2)
        return;
    struct node_item *sorted = arena_alloc(b->arena, map->count, sizeof(*sorted));
    memcpy(sorted, map->items, map->count * sizeof(*sorted));
    qsort(sorted, map->count, sizeof(*sorted), by_key);
    for (uint32_t i = 1; i < map->count; i++) {
        const struct node *first = sorted[i - 1].key, *again = sorted[i].key;
        if (strcmp(first->text, again->text) == 0)
            diag_error(b->diag, again->at, "key %s stands here twice, first in line %u",
                       diag_quote(b->diag, again->text), first->at.line);
    }
}

/* Adds the keys of `from` that the mapping does not have yet. */
static void merge_map(struct builder *b, struct node *map, const struct node *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        if (!node_find(map, from->items[i].key->text))
            node_append(b->arena, map, from->items[i].key, from->items[i].value);
}

static void apply_merge(struct builder *b, struct node *map)
{
    struct node *from = NULL;
    for (uint32_t i = 0; i < map->count && !from; i++)
        if (map->items[i].key->plain && strcmp(map->items[i].key->text, "<<") == 0)
            from = map->items[i].value;
    if (!from || from->broken)
        return;
    node_remove(map, "<<");
    if (from->kind == NODE_MAP) {
        merge_map(b, map, from);
        return;
    }
    bool usable = from->kind == NODE_LIST;
    for (uint32_t i = 0; usable && i < from->count; i++) {
        usable = from->items[i].value->kind == NODE_MAP;
        if (usable)
            merge_map(b, map, from->items[i].value);
    }
    if (!usable)
        diag_error(b->diag, from->at, "'<<' takes a mapping or a list of mappings, such as *name");
}

static void on_end(struct builder *b)
{
    must(b->depth > 0);
    struct frame frame = b->stack[--b->depth];
    must(frame.node);
    if (frame.node->kind == NODE_MAP) {
        report_duplicates(b, frame.node);
        apply_merge(b, frame.node);
    }
    if (frame.anchor)
        add_anchor(b, frame.anchor, frame.node);
    place_node(b, frame.node);
}

static void on_document(struct builder *b, struct fy_event *event)
{
    b->done = ++b->documents > 1;
    if (b->done)
        diag_warn(b->diag, place_of(b, fy_event_get_token(event)),
                  "a second YAML document starts here; it and what follows is ignored");
}

static void on_event(struct builder *b, struct fy_event *event)
{
    switch (event->type) {
    case FYET_DOCUMENT_START:
        on_document(b, event);
        break;
    case FYET_MAPPING_START:
        on_start(b, NODE_MAP, event->mapping_start.mapping_start, event->mapping_start.anchor);
        break;
    case FYET_SEQUENCE_START:
        on_start(b, NODE_LIST, event->sequence_start.sequence_start, event->sequence_start.anchor);
        break;
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        on_end(b);
        break;
    case FYET_SCALAR:
        on_scalar(b, event);
        break;
    case FYET_ALIAS:
        on_alias(b, event->alias.anchor);
        break;
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        break;
    }
    b->last = place_of(b, fy_event_get_token(event));
}

/* Turns libfyaml's messages into ours. A tab near the place is the likelier cause. */
static void report_errors(struct builder *b, struct fy_diag *collected, const char *text, size_t n)
{
    struct place at = b->last;
    const struct fy_diag_error *error;
    void *iter = NULL;
    while ((error = fy_diag_errors_iterate(collected, &iter)) != NULL) {
        if (error->type != FYET_ERROR)
            continue;
        at.line = error->line > 0 ? (uint32_t)error->line : 1;
        at.column = error->column > 0 ? (uint32_t)error->column : 1;
        uint32_t tab_line = text_tab_indent_near(text, n, at.line);
        if (tab_line) {
            at.line = tab_line;
            at.column = 1;
            diag_error(b->diag, at, "indented with a tab; YAML takes spaces only");
            return;
        }
        diag_error(b->diag, at, "not valid YAML: %s", error->msg ? error->msg : "");
    }
    if (b->diag->errors == 0)
        diag_error(b->diag, at, "not valid YAML");
}

/* A parser that cannot be ended; it is not lost, so that a leak stands out. */
struct spoilt {
    struct spoilt *next;
    struct fy_parser *parser;
};

static struct spoilt *spoilt;

/* libfyaml 0.7.12 puts a key on its free list twice where a tab is in front of an indicator behind
 * an explicit key's colon ("? a: \t: b"), and frees it twice in the end. */
static bool is_spoilt(struct fy_diag *collected)
{
    const struct fy_diag_error *error;
    void *iter = NULL;
    while ((error = fy_diag_errors_iterate(collected, &iter)) != NULL)
        if (error->msg && strstr(error->msg, "tab for indentation of block entry"))
            return true;
    return false;
}

static void end_parser(struct fy_parser *parser, struct fy_diag *collected)
{
    if (!is_spoilt(collected)) {
        fy_parser_destroy(parser);
        return;
    }
    struct spoilt *s = alloc_zeroed(1, sizeof(*s));
    *s = (struct spoilt){.next = spoilt, .parser = parser};
    spoilt = s;
}

static void run_parser(struct builder *b, const char *text, size_t n)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL;
    struct fy_diag *collected = fy_diag_create(&diag_cfg);
    if (!collected)
        alloc_failed();
    fy_diag_set_collect_errors(collected, true);
    const struct fy_parse_cfg cfg = {.search_path = "",
                                     .flags =
                                         FYPCF_QUIET | FYPCF_JSON_NONE | FYPCF_DEFAULT_VERSION_1_2,
                                     .diag = collected};
    struct fy_parser *parser = fy_parser_create(&cfg);
    if (!parser)
        alloc_failed();
    bool ended = false;
    if (fy_parser_set_string(parser, text, n) == 0) {
        struct fy_event *event;
        while (!b->failed && !ended && (event = fy_parser_parse(parser)) != NULL) {
            on_event(b, event);
            ended = event->type == FYET_STREAM_END || b->done;
            fy_parser_event_free(parser, event);
        }
    }
    if (!ended && !b->failed) {
        report_errors(b, collected, text, n);
        b->failed = true;
    }
    end_parser(parser, collected);
    fy_diag_destroy(collected);
}

static bool check_bytes(struct diag *d, const char *text, size_t n)
{
    struct place at = {.file = d->file};
    if (n > SOURCE_BYTES_MAX) {
        diag_error(d, at, "larger than 4 MiB; this is no configuration");
        return false;
    }
    const char *bad = text_invalid_at(text, n);
    if (!bad)
        return true;
    text_position(text, bad, &at.line, &at.column);
    diag_error(d, at, "not a text file: byte 0x%02x is not allowed in YAML", (unsigned char)*bad);
    return false;
}

struct node *source_parse(struct arena *a, struct diag *d, const char *text, size_t n)
{
    if (!check_bytes(d, text, n))
        return NULL;
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        n -= 3;
    }
    struct builder b = {.arena = a, .diag = d, .last = {.file = d->file, .line = 1, .column = 1}};
    if (n) {
        b.text = text_hide_references(a, text, n);
        run_parser(&b, b.text, strlen(b.text));
    }
    if (b.failed)
        return NULL;
    if (node_is_null(b.root))
        return node_new(a, NODE_MAP, b.last);
    if (b.root->kind != NODE_MAP) {
        diag_error(d, b.root->at, "the top level must be a mapping, such as 'models:'");
        return NULL;
    }
    return b.root;
}
