/* core_story_priv.h: what the files of the story language (core_story*.c) share: the story that is
 * being told, its words, and what its lines call. */
#ifndef TESTS_CORE_STORY_PRIV_H
#define TESTS_CORE_STORY_PRIV_H

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "core_story.h"

#define NAME_MAX_LEN 32
#define MODELS_MAX 16
#define GROUPS_MAX 8
#define GATES_MAX 4
#define TAGS_MAX 128
#define WORDS_MAX 128
#define GRANTS_MAX 256
#define ORDERS_MAX 512
#define AUTOS_MAX 64

enum kind { KIND_MODEL, KIND_GROUP, KIND_DEVICE, KIND_GATE, KIND__COUNT };

struct story_order {
    enum effect_type type;
    uint32_t model;
};

struct story_answer {
    bool given;
    enum reason why;
};

/* Something that will happen by itself. */
enum story_auto_kind { AUTO_NONE, AUTO_OP, AUTO_END, AUTO_REQUEST, AUTO_SAMPLE };
struct story_auto {
    enum story_auto_kind kind;
    uint64_t at_ns, seq, op, tag;
    enum effect_type order; /* of the op */
    uint32_t model, device;
};
enum story_auto_time {
    AUTO_TIME_LOAD,
    AUTO_TIME_UNLOAD,
    AUTO_TIME_SERVE,
    AUTO_TIME_SAMPLE,
    AUTO_TIME__COUNT
};

/* A client that asks again: one request after the other, tags going up by step. */
struct story_agent {
    uint32_t again, step, model;
    enum class class;
    uint64_t pause_ns;
};

struct story {
    const char *name;
    unsigned line;
    FILE *out;
    bool failed, booted;
    bool boot_later; /* the story says when */
    bool tell_learned;
    void *mem;
    struct core *core;
    uint64_t now_ns;
    uint32_t stale;
    /* What the next CONFIG brings. */
    struct core_limits limits;
    struct core_config config;
    struct core_model_policy models[MODELS_MAX];
    struct core_group_policy groups[GROUPS_MAX];
    struct core_device_policy devices[CORE_DEVICES_MAX];
    struct core_gate_policy gates[GATES_MAX];
    uint32_t set_members[MODELS_MAX * MODELS_MAX], set_ends[MODELS_MAX];
    uint64_t device_bytes[CORE_DEVICES_MAX];
    char names[KIND__COUNT][MODELS_MAX][NAME_MAX_LEN];
    uint32_t counts[KIND__COUNT];
    /* What the effects said; the last entry of per-model counts stands for unknown models. */
    struct id waiters[TAGS_MAX];
    bool tag_lease[TAGS_MAX]; /* the id is a lease's */
    uint64_t ops[MODELS_MAX];
    unsigned loads[MODELS_MAX + 1], served[MODELS_MAX + 1], refused[MODELS_MAX + 1];
    uint32_t starts[GRANTS_MAX], start_count;
    uint64_t grants[GRANTS_MAX];
    uint32_t grant_count;
    bool granted[TAGS_MAX];
    uint64_t waited_ns[TAGS_MAX];
    struct story_answer answers[2][TAGS_MAX]; /* to #TAG; to !TAG */
    struct story_order orders[ORDERS_MAX];
    uint32_t order_count, order_seen; /* seen: up to the last `expect orders` */
    unsigned notices[NOTICE__COUNT][MODELS_MAX + 1];
    enum reason decision[MODELS_MAX]; /* the last about it */
    uint32_t lease_victims[TAGS_MAX]; /* models that were told to leave for it */
    bool auto_on;
    uint64_t auto_ns[AUTO_TIME__COUNT], auto_seq;
    struct story_auto autos[AUTOS_MAX];
    struct story_agent agents[TAGS_MAX];
    bool victim[MODELS_MAX][MODELS_MAX], victims_closed[MODELS_MAX];
};

/* A line's first word, and what it calls; tables end with a NULL word. */
struct story_verb {
    const char *word;
    void (*run)(struct story *s, char **words, uint32_t count);
};
extern const struct story_verb story_config_verbs[], story_event_verbs[];

/* The story makes no sense: says where, and ends the program. */
_Noreturn __attribute__((format(printf, 2, 3))) void story_broken(const struct story *s,
                                                                  const char *format, ...);
/* CORE_SLOT_NONE: no such name. */
uint32_t story_find_name(const struct story *s, enum kind kind, const char *name);
uint32_t story_add_name(struct story *s, enum kind kind, const char *name, uint32_t max);
uint32_t story_need_name(const struct story *s, enum kind kind, const char *name);
const char *story_name_of(const struct story *s, enum kind kind, uint32_t i);
/* "#1" with mark '#'. */
uint64_t story_parse_tag(const struct story *s, const char *word, char mark);
uint64_t story_parse_bytes(const struct story *s, const char *word);
uint64_t story_parse_ns(const struct story *s, const char *word);
uint32_t story_parse_count(const char *word);
/* The part of "key=value" behind the sign, or NULL when the word has another key. */
const char *story_value_of(const char *word, const char *key);
bool story_parse_class(const char *word, enum class *ret);
/* Gates, too: they are words without a sign. */
void story_set_lease_key(struct story *s, struct core_lease_ask *ask, const char *word);
/* Tells the core; prefix stands before each line of what it said. */
void story_step(struct story *s, struct event *ev, const char *prefix);
void story_send_config(struct story *s);
/* What an effect will bring by itself; when the next such thing happens; and that it does. */
void story_auto_note(struct story *s, const struct effect *e);
bool story_auto_next(const struct story *s, uint64_t *ret_at_ns);
void story_auto_run(struct story *s);
/* expect WHAT …: holds whatever the rest of the trace looks like. */
void story_expect(struct story *s, char **words, uint32_t count);

#endif
