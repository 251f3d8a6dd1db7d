#include "core_story_priv.h"

#include <stdarg.h>

/* A deadline that a TICK does not remove would have the runner tick for ever. */
#define TICKS_MAX 1000

void story_broken(const struct story *s, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "%s:%u: ", s->name, s->line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

/* Words and names */

uint32_t story_find_name(const struct story *s, enum kind kind, const char *name)
{
    for (uint32_t i = 0; i < s->counts[kind]; i++)
        if (strcmp(s->names[kind][i], name) == 0)
            return i;
    return CORE_SLOT_NONE;
}

uint32_t story_add_name(struct story *s, enum kind kind, const char *name, uint32_t max)
{
    uint32_t i = story_find_name(s, kind, name);
    if (i != CORE_SLOT_NONE)
        return i;
    if (s->counts[kind] >= max || strlen(name) >= NAME_MAX_LEN)
        story_broken(s, "too many names, or too long: %s", name);
    i = s->counts[kind]++;
    memcpy(s->names[kind][i], name, strlen(name) + 1);
    return i;
}

uint32_t story_need_name(const struct story *s, enum kind kind, const char *name)
{
    uint32_t i = name ? story_find_name(s, kind, name) : CORE_SLOT_NONE;
    if (i == CORE_SLOT_NONE)
        story_broken(s, "unknown name: %s", name ? name : "(none)");
    return i;
}

uint64_t story_parse_tag(const struct story *s, const char *word, char mark)
{
    if (!word || word[0] != mark)
        story_broken(s, "a tag such as %c1 is missing", mark);
    uint64_t tag = strtoull(word + 1, NULL, 10);
    if (tag == 0 || tag >= TAGS_MAX)
        story_broken(s, "a tag out of range: %s", word);
    return tag;
}

uint64_t story_parse_bytes(const struct story *s, const char *word)
{
    uint64_t bytes = 0;
    if (!word || !units_parse_bytes(word, &bytes))
        story_broken(s, "not a size: %s", word ? word : "(none)");
    return bytes;
}

uint64_t story_parse_ns(const struct story *s, const char *word)
{
    uint64_t ns = 0;
    if (!word || !units_parse_duration(word, NS_PER_S, &ns))
        story_broken(s, "not a time: %s", word ? word : "(none)");
    return ns;
}

uint32_t story_parse_count(const char *word)
{
    return (uint32_t)strtoul(word, NULL, 10);
}

const char *story_value_of(const char *word, const char *key)
{
    size_t n = strlen(key);
    return strncmp(word, key, n) == 0 && word[n] == '=' ? word + n + 1 : NULL;
}

static uint32_t slot_or_last(const struct story *s, uint32_t model)
{
    return model < s->counts[KIND_MODEL] ? model : MODELS_MAX;
}

/* Output */

const char *story_name_of(const struct story *s, enum kind kind, uint32_t i)
{
    return i < s->counts[kind] ? s->names[kind][i] : "unknown";
}

/* Of a lease that was granted. */
static uint64_t tag_of(const struct story *s, struct id id)
{
    for (uint64_t tag = 1; tag < TAGS_MAX; tag++)
        if (s->tag_lease[tag] && id_equal(s->waiters[tag], id))
            return tag;
    return 0;
}

static void print_devices(struct story *s, const struct effect *e)
{
    const char *sign = " on ";
    if (!e->devices && e->device != CORE_SLOT_NONE)
        fprintf(s->out, " on %s", story_name_of(s, KIND_DEVICE, e->device));
    for (uint32_t d = 0; d < CORE_DEVICES_MAX; d++) {
        if (!(e->devices & (1U << d)))
            continue;
        fprintf(s->out, "%s%s", sign, story_name_of(s, KIND_DEVICE, d));
        sign = "+";
    }
}

static void print_effect(struct story *s, const struct effect *e, const char *prefix)
{
    char text[UNITS_TEXT_MAX];
    FILE *o = s->out;
    fprintf(o, "    %s%s", prefix,
            e->type == EFFECT_NOTICE  ? notice_text(e->notice)
            : e->type == EFFECT_TRACE ? trace_text(e->trace)
                                      : effect_type_text(e->type));
    if (e->tag)
        fprintf(o, " %c%" PRIu64, e->type == EFFECT_COMMAND_DONE ? '!' : '#', e->tag);
    if (e->gate != CORE_SLOT_NONE)
        fprintf(o, " %s", story_name_of(s, KIND_GATE, e->gate));
    if (e->model != CORE_SLOT_NONE)
        fprintf(o, " %s", story_name_of(s, KIND_MODEL, e->model));
    if (e->other != CORE_SLOT_NONE)
        fprintf(o, " %s %s", e->notice == NOTICE_BLOCKED ? "by" : "for",
                story_name_of(s, KIND_MODEL, e->other));
    else if (!e->tag && !id_none(e->waiter))
        fprintf(o, " for #%" PRIu64, tag_of(s, e->waiter));
    print_devices(s, e);
    if (e->placement != CORE_SLOT_NONE && e->placement > 0)
        fprintf(o, " as %u", e->placement);
    if (e->backend)
        fprintf(o, " backend %u", e->backend);
    if (e->bytes)
        fprintf(o, ", %s", units_format_bytes(e->bytes, text));
    if (e->position)
        fprintf(o, ", place %u", e->position);
    if (e->duration_ns)
        fprintf(o, ", after %s", units_format_duration(e->duration_ns, text));
    if (e->retry_after_s)
        fprintf(o, ", about %us", e->retry_after_s);
    if (e->reason != REASON_NONE)
        fprintf(o, ": %s", reason_text(e->reason));
    fputc('\n', o);
}

static void note_order(struct story *s, const struct effect *e)
{
    s->orders[s->order_count++ % ORDERS_MAX] = (struct story_order){e->type, e->model};
}

static void note_load(struct story *s, uint32_t model)
{
    s->loads[model]++;
    s->starts[s->start_count++ % GRANTS_MAX] = model;
    if (s->victims_closed[model])
        memset(s->victim[model], 0, sizeof(s->victim[model]));
    s->victims_closed[model] = true;
}

static void note_decision(struct story *s, const struct effect *e)
{
    s->decision[e->model] = e->reason;
    if (e->other == CORE_SLOT_NONE) {
        uint64_t tag = tag_of(s, e->waiter);
        s->lease_victims[tag] |= tag && e->model < MODELS_MAX ? 1U << e->model : 0;
        return;
    }
    if (s->victims_closed[e->other])
        memset(s->victim[e->other], 0, sizeof(s->victim[e->other]));
    s->victims_closed[e->other] = false;
    s->victim[e->other][e->model] = true;
}

static void note_grant(struct story *s, const struct effect *e)
{
    if (e->type == EFFECT_GRANT)
        s->served[slot_or_last(s, e->model)]++;
    s->grants[s->grant_count++ % GRANTS_MAX] = e->tag;
    s->granted[e->tag] = true;
    s->waited_ns[e->tag] = e->duration_ns;
}

/* Keeps what later lines of the story refer to. */
static void note_effect(struct story *s, const struct effect *e)
{
    bool command = e->type == EFFECT_COMMAND_DONE;
    if (e->type == EFFECT_LOAD || e->type == EFFECT_UNLOAD || e->type == EFFECT_MOVE ||
        e->type == EFFECT_SUSPEND || e->type == EFFECT_RESUME) {
        s->ops[e->model] = e->op;
        note_order(s, e);
    }
    if (e->type == EFFECT_ABORT || e->type == EFFECT_KILL)
        note_order(s, e);
    if (e->type == EFFECT_LOAD)
        note_load(s, e->model);
    if (e->type == EFFECT_DECISION && e->model != CORE_SLOT_NONE)
        note_decision(s, e);
    if (e->type == EFFECT_GRANT || e->type == EFFECT_LEASE_GRANT)
        note_grant(s, e);
    if (e->type == EFFECT_REFUSE)
        s->refused[slot_or_last(s, e->model)]++;
    if (e->type == EFFECT_REFUSE || e->type == EFFECT_LEASE_END || e->type == EFFECT_LEASE_REVOKE ||
        command)
        s->answers[command][e->tag] = (struct story_answer){true, e->reason};
    if (e->type == EFFECT_NOTICE)
        s->notices[e->notice][slot_or_last(s, e->model)]++;
}

static void step_once(struct story *s, const struct event *ev, const char *prefix, bool *ret_more)
{
    struct effects fx = core_step(s->core, ev);
    struct core_view view;
    for (uint32_t i = 0; i < fx.count; i++)
        if (fx.items[i].tag && !id_none(fx.items[i].waiter))
            s->waiters[fx.items[i].tag] = fx.items[i].waiter;
    for (uint32_t i = 0; i < fx.count; i++) {
        if (fx.items[i].type != EFFECT_LEARNED || s->tell_learned)
            print_effect(s, &fx.items[i], prefix);
        note_effect(s, &fx.items[i]);
        story_auto_note(s, &fx.items[i]);
    }
    *ret_more = fx.more;
    core_view(s->core, &view);
    if (view.stale_ids != s->stale)
        fprintf(s->out, "    %s(stale)\n", prefix);
    s->stale = view.stale_ids;
    core_check(s->core);
}

void story_step(struct story *s, struct event *ev, const char *prefix)
{
    bool more;
    ev->now.ns = s->now_ns;
    step_once(s, ev, prefix, &more);
    for (unsigned i = 0; more; i++) {
        if (i == TICKS_MAX)
            story_broken(s, "`more` without end");
        fprintf(s->out, "    %s(more)\n", prefix);
        step_once(s, &(struct event){.type = EVENT_TICK, .now.ns = s->now_ns}, prefix, &more);
    }
}

/* Time goes on: each deadline on the way gets its TICK, and what it brings is shown below the
 * event before, with its time; so is what happens by itself, which goes before a deadline. */
static void pass_time(struct story *s, uint64_t to_ns)
{
    struct mono at;
    uint64_t auto_ns;
    char text[UNITS_TEXT_MAX], prefix[UNITS_TEXT_MAX + 8];
    if (to_ns < s->now_ns)
        story_broken(s, "time goes back");
    for (unsigned i = 0;; i++) {
        bool due = core_deadline(s->core, &at) && at.ns <= to_ns;
        if (i == TICKS_MAX)
            story_broken(s, "a deadline that is never met");
        if (story_auto_next(s, &auto_ns) && auto_ns <= to_ns && (!due || auto_ns <= at.ns)) {
            story_auto_run(s);
            continue;
        }
        if (!due)
            break;
        s->now_ns = at.ns > s->now_ns ? at.ns : s->now_ns;
        snprintf(prefix, sizeof(prefix), "at %s ", units_format_duration(s->now_ns, text));
        story_step(s, &(struct event){.type = EVENT_TICK}, prefix);
    }
    s->now_ns = to_ns;
}

void story_send_config(struct story *s)
{
    s->config.models = s->models;
    s->config.model_count = s->counts[KIND_MODEL];
    s->config.groups = s->groups;
    s->config.group_count = s->counts[KIND_GROUP];
    s->config.devices = s->devices;
    s->config.device_count = s->counts[KIND_DEVICE];
    s->config.gates = s->gates;
    s->config.gate_count = s->counts[KIND_GATE];
    story_step(s, &(struct event){.type = EVENT_CONFIG, .config = &s->config}, "");
}

static void boot(struct story *s)
{
    s->booted = true;
    s->mem = calloc(1, core_size(&s->limits));
    if (!s->mem)
        exit(2);
    s->core = core_init(s->mem, &s->limits, 1);
    story_send_config(s);
    for (uint32_t d = 0; d < s->counts[KIND_DEVICE]; d++)
        story_step(s, &(struct event){.type = EVENT_DEVICE_FOUND, .found = {d, s->device_bytes[d]}},
                   "");
    if (!s->boot_later)
        story_step(s, &(struct event){.type = EVENT_BOOT_DONE}, "");
}

/* Lines */

static void run_verb(struct story *s, const struct story_verb *verb, char **words, uint32_t count)
{
    for (; count && verb->word; verb++) {
        if (strcmp(verb->word, words[0]) == 0) {
            verb->run(s, words, count);
            return;
        }
    }
    story_broken(s, "unknown word: %s", count ? words[0] : "(none)");
}

static uint32_t split(char *line, char **words)
{
    uint32_t count = 0;
    char *rest = NULL;
    for (char *w = strtok_r(line, " ", &rest); w && count < WORDS_MAX;
         w = strtok_r(NULL, " ", &rest))
        words[count++] = w;
    return count;
}

static void run_line(struct story *s, const char *line)
{
    char copy[1024], *words[WORDS_MAX];
    if (strlen(line) >= sizeof(copy))
        story_broken(s, "the line is too long");
    memcpy(copy, line, strlen(line) + 1);
    bool event = line[0] >= '0' && line[0] <= '9';
    uint32_t count = line[0] == '#' ? 0 : split(copy, words);
    if (event) {
        if (!s->booted)
            boot(s);
        pass_time(s, story_parse_ns(s, words[0]));
    }
    fprintf(s->out, "%s\n", line);
    if (event)
        run_verb(s, story_event_verbs, words + 1, count - 1);
    else if (count == 1)
        story_broken(s, "a word is missing");
    else if (count)
        run_verb(s, story_config_verbs, words, count);
}

char *story_retell(struct story *s, const char *text)
{
    char *out = NULL;
    size_t out_len = 0;
    s->out = open_memstream(&out, &out_len);
    if (!s->out)
        exit(2);
    while (*text) {
        size_t n = strcspn(text, "\n");
        char *line = strndup(text, n);
        if (!line)
            exit(2);
        s->line++;
        if (line[0] != ' ')
            run_line(s, line);
        free(line);
        text += n + (text[n] == '\n');
    }
    fclose(s->out);
    return out;
}

struct story *story_new(const char *name)
{
    struct story *s = calloc(1, sizeof(*s));
    if (!s)
        exit(2);
    s->name = name;
    s->limits = (struct core_limits){.models_max = MODELS_MAX,
                                     .groups_max = GROUPS_MAX,
                                     .gates_max = GATES_MAX,
                                     .sets_max = MODELS_MAX,
                                     .set_members_max = MODELS_MAX * MODELS_MAX,
                                     .leases_max = 64,
                                     .waiters_max = 64,
                                     .commands_max = 16};
    /* The group of whoever names none, as llama-swap has it. */
    s->groups[story_add_name(s, KIND_GROUP, "default", GROUPS_MAX)] =
        (struct core_group_policy){.swap = true, .exclusive = true};
    return s;
}

void story_free(struct story *s)
{
    free(s->mem);
    free(s);
}

bool story_failed(const struct story *s)
{
    return s->failed;
}

void story_report(const struct story *s)
{
    fprintf(stderr, "%s:%u: the core failed a check here\n", s->name, s->line);
}
