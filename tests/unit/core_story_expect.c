/* Expectations: these hold whatever the rest of the trace looks like. */
#include "core_story_priv.h"

static void expect_equal(struct story *s, const char *what, uint64_t real, uint64_t wanted)
{
    if (real == wanted)
        return;
    fprintf(stderr, "%s:%u: %s: %" PRIu64 ", expected %" PRIu64 "\n", s->name, s->line, what, real,
            wanted);
    s->failed = true;
}

static void expect_bytes(struct story *s, const char *what, uint64_t real, uint64_t wanted)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];
    if (real == wanted)
        return;
    fprintf(stderr, "%s:%u: %s: %s, expected %s\n", s->name, s->line, what,
            units_format_bytes(real, a), units_format_bytes(wanted, b));
    s->failed = true;
}

static void expect_text(struct story *s, const char *what, const char *real, const char *wanted)
{
    if (strcmp(real, wanted) == 0)
        return;
    fprintf(stderr, "%s:%u: %s: \"%s\", expected \"%s\"\n", s->name, s->line, what, real, wanted);
    s->failed = true;
}

/* Words again as they stood in the line. */
static void join(char **words, uint32_t count, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < count && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? " " : "", words[i]);
}

static uint64_t any_tag(const struct story *s, const char *word)
{
    return story_parse_tag(s, word, word[0] == '!' ? '!' : '#');
}

/* Orders */

static void expect_grants(struct story *s, char **words, uint32_t count)
{
    expect_equal(s, "grants", s->grant_count, count);
    for (uint32_t i = 0; i < count && i < s->grant_count; i++)
        expect_equal(s, "the next grant is of tag", s->grants[i],
                     story_parse_tag(s, words[i], '#'));
}

static void expect_starts(struct story *s, char **words, uint32_t count)
{
    expect_equal(s, "loads in all", s->start_count, count);
    for (uint32_t i = 0; i < count && i < s->start_count; i++)
        if (strcmp(story_name_of(s, KIND_MODEL, s->starts[i]), words[i]) != 0)
            expect_equal(s, words[i], s->starts[i], story_need_name(s, KIND_MODEL, words[i]));
}

/* ORDER MODEL…, or none: all since the last such line */
static void expect_orders(struct story *s, char **words, uint32_t count)
{
    char real[1024], wanted[1024];
    size_t n = 0;
    real[0] = '\0';
    for (uint32_t i = s->order_seen; i < s->order_count && n < sizeof(real); i++)
        n += (size_t)snprintf(real + n, sizeof(real) - n, "%s%s %s", n ? " " : "",
                              effect_type_text(s->orders[i % ORDERS_MAX].type),
                              story_name_of(s, KIND_MODEL, s->orders[i % ORDERS_MAX].model));
    join(words, count, wanted, sizeof(wanted));
    expect_text(s, "orders", n ? real : "none", wanted);
    s->order_seen = s->order_count;
}

/* The models that were told to leave for the last (or coming) load of this one, or for a lease. */
static void expect_victims(struct story *s, char **words, uint32_t count)
{
    uint32_t victims = 0, wanted = 0;
    if (words[0][0] == '#') {
        victims = s->lease_victims[story_parse_tag(s, words[0], '#')];
    } else {
        uint32_t target = story_need_name(s, KIND_MODEL, words[0]);
        for (uint32_t i = 0; i < MODELS_MAX; i++)
            victims |= s->victim[target][i] ? 1U << i : 0;
    }
    for (uint32_t i = 1; i < count; i++)
        wanted |= 1U << story_need_name(s, KIND_MODEL, words[i]);
    for (uint32_t i = 0; i < s->counts[KIND_MODEL]; i++)
        expect_equal(s, story_name_of(s, KIND_MODEL, i), victims >> i & 1, wanted >> i & 1);
}

/* Answers */

/* #1|!1 TEXT, or ok, or none */
static void expect_answer(struct story *s, char **words, uint32_t count)
{
    char wanted[256];
    const struct story_answer *a = &s->answers[words[0][0] == '!'][any_tag(s, words[0])];
    const char *real = !a->given ? "none" : a->why == REASON_NONE ? "ok" : reason_text(a->why);
    join(words + 1, count - 1, wanted, sizeof(wanted));
    expect_text(s, words[0], real, wanted);
}

/* MODEL TEXT: the last decision about it */
static void expect_why(struct story *s, char **words, uint32_t count)
{
    char wanted[256];
    uint32_t m = story_need_name(s, KIND_MODEL, words[0]);
    join(words + 1, count - 1, wanted, sizeof(wanted));
    expect_text(s, words[0], reason_text(s->decision[m]), wanted);
}

/* #1 TIME: granted, having waited no longer; #1 never: not granted so far */
static void expect_waited(struct story *s, char **words, uint32_t count)
{
    uint64_t tag = story_parse_tag(s, words[0], '#');
    bool never = count > 1 && strcmp(words[1], "never") == 0;
    expect_equal(s, never ? "granted" : "granted at all", s->granted[tag], !never);
    if (!never && s->granted[tag] && s->waited_ns[tag] > story_parse_ns(s, words[1]))
        expect_equal(s, "waited, in ns", s->waited_ns[tag], story_parse_ns(s, words[1]));
}

/* NOTICE [MODEL] N */
static void expect_notices(struct story *s, char **words, uint32_t count)
{
    uint64_t real = 0;
    uint32_t m = count > 2 ? story_need_name(s, KIND_MODEL, words[1]) : CORE_SLOT_NONE;
    bool known = false;
    for (uint32_t n = 0; n < NOTICE__COUNT; n++) {
        if (strcmp(notice_text((enum notice)n), words[0]) != 0)
            continue;
        known = true;
        for (uint32_t i = 0; i <= MODELS_MAX; i++)
            real += m == CORE_SLOT_NONE || m == i ? s->notices[n][i] : 0;
    }
    if (!known)
        story_broken(s, "no such notice: %s", words[0]);
    expect_equal(s, words[0], real, story_parse_count(words[count - 1]));
}

/* States */

/* MODEL STATE [DEVICE…] [as=N] [charged=BYTES]: with devices, on exactly these */
static void expect_state(struct story *s, char **words, uint32_t count)
{
    struct core_model_view v;
    uint32_t devices = 0;
    const char *value;
    core_view_model(s->core, story_need_name(s, KIND_MODEL, words[0]), &v);
    expect_text(s, words[0], model_state_text(v.state), count > 1 ? words[1] : "");
    for (uint32_t i = 2; i < count; i++) {
        if ((value = story_value_of(words[i], "as")))
            expect_equal(s, "placement", v.placement, story_parse_count(value));
        else if ((value = story_value_of(words[i], "charged")))
            expect_bytes(s, "charged", v.charged_bytes, story_parse_bytes(s, value));
        else
            devices |= 1U << story_need_name(s, KIND_DEVICE, words[i]);
    }
    if (devices)
        expect_equal(s, "devices, as bits", v.devices, devices);
}

/* #1 waiting|granted|revoked|settling|over [DEVICE…] */
static void expect_lease(struct story *s, char **words, uint32_t count)
{
    struct id cursor = {0};
    struct core_lease_view v = {0};
    uint32_t devices = 0;
    const char *real = "over";
    uint64_t tag = story_parse_tag(s, words[0], '#');
    while (core_view_next_lease(s->core, &cursor, &v)) {
        if (v.tag != tag)
            continue;
        real = v.ended ? "settling" : v.revoked ? "revoked" : v.granted ? "granted" : "waiting";
        break;
    }
    expect_text(s, words[0], real, count > 1 ? words[1] : "");
    for (uint32_t i = 2; i < count; i++)
        devices |= 1U << story_need_name(s, KIND_DEVICE, words[i]);
    if (devices)
        expect_equal(s, "devices, as bits", v.devices, devices);
}

/* DEVICE key=BYTES… */
static void expect_device(struct story *s, char **words, uint32_t count)
{
    struct core_device_view v;
    core_view_device(s->core, story_need_name(s, KIND_DEVICE, words[0]), &v);
    const struct {
        const char *key;
        uint64_t bytes;
    } sums[] = {{"own", v.own_bytes},           {"leased", v.leased_bytes},
                {"settling", v.settling_bytes}, {"foreign", v.foreign_bytes},
                {"charged", v.charged_bytes},   {"room", v.room_bytes}};
    for (uint32_t i = 1; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < countof(sums); k++) {
            const char *value = story_value_of(words[i], sums[k].key);
            if (value)
                expect_bytes(s, sums[k].key, sums[k].bytes, story_parse_bytes(s, value));
            known |= value != NULL;
        }
        if (!known)
            story_broken(s, "not a sum: %s", words[i]);
    }
}

/* MODEL VERDICT [VICTIM…]: what core_plan_model says */
static void expect_plan(struct story *s, char **words, uint32_t count)
{
    static const char *const texts[] = {"here", "go", "wait", "blocked", "never"};
    struct core_plan_view v;
    uint32_t real = 0, wanted = 0;
    core_plan_model(s->core, story_need_name(s, KIND_MODEL, words[0]), CLASS_NORMAL, &v);
    expect_text(s, "verdict", texts[v.verdict], count > 1 ? words[1] : "");
    for (uint32_t i = 0; i < v.victim_count; i++)
        real |= v.victims[i].model < MODELS_MAX ? 1U << v.victims[i].model : 0;
    for (uint32_t i = 2; i < count; i++)
        wanted |= 1U << story_need_name(s, KIND_MODEL, words[i]);
    expect_equal(s, "victims, as bits", real, wanted);
}

/* Counts */

static void expect_waiting(struct story *s, char **words, uint32_t count)
{
    struct core_view v;
    (void)count;
    core_view(s->core, &v);
    expect_equal(s, "waiting", v.waiting, story_parse_count(words[0]));
}

static void expect_stale(struct story *s, char **words, uint32_t count)
{
    struct core_view v;
    (void)count;
    core_view(s->core, &v);
    expect_equal(s, "stale", v.stale_ids, story_parse_count(words[0]));
}

static void expect_count(struct story *s, const unsigned *counts, char **words, uint32_t count)
{
    if (count < 2)
        story_broken(s, "MODEL N is missing");
    uint32_t m = story_find_name(s, KIND_MODEL, words[0]);
    expect_equal(s, words[0], counts[m == CORE_SLOT_NONE ? MODELS_MAX : m],
                 strtoull(words[1], NULL, 10));
}

static void expect_loads(struct story *s, char **words, uint32_t count)
{
    expect_count(s, s->loads, words, count);
}

static void expect_served(struct story *s, char **words, uint32_t count)
{
    expect_count(s, s->served, words, count);
}

static void expect_refused(struct story *s, char **words, uint32_t count)
{
    expect_count(s, s->refused, words, count);
}

static const struct story_verb verbs[] = {
    {"grants", expect_grants},   {"starts", expect_starts},   {"orders", expect_orders},
    {"victims", expect_victims}, {"answer", expect_answer},   {"why", expect_why},
    {"waited", expect_waited},   {"notices", expect_notices}, {"state", expect_state},
    {"lease", expect_lease},     {"device", expect_device},   {"plan", expect_plan},
    {"waiting", expect_waiting}, {"stale", expect_stale},     {"loads", expect_loads},
    {"served", expect_served},   {"refused", expect_refused}, {NULL, NULL},
};

void story_expect(struct story *s, char **words, uint32_t count)
{
    if (!s->booted)
        story_broken(s, "nothing has happened yet");
    if (count < 3 && strcmp(words[1], "grants") != 0 && strcmp(words[1], "starts") != 0)
        story_broken(s, "expect %s: a word is missing", words[1]);
    for (const struct story_verb *v = verbs; v->word; v++) {
        if (strcmp(v->word, words[1]) == 0) {
            v->run(s, words + 2, count - 2);
            return;
        }
    }
    story_broken(s, "nothing to expect: %s", words[1]);
}
