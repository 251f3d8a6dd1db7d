#include "core_story_priv.h"

/* Events. words[0] is the command itself. */

bool story_parse_class(const char *word, enum class *ret)
{
    static const char *const texts[CLASS__COUNT] = {"fg", "normal", "bg"};
    for (int i = 0; i < CLASS__COUNT; i++) {
        if (strcmp(word, texts[i]) == 0) {
            *ret = (enum class)i;
            return true;
        }
    }
    return false;
}

/* request MODEL #TAG [fg|normal|bg] [wait=TIME] [key=N] [lease=#TAG] [since=TIME] [running]
 * [again=N [step=N] [pause=TIME]] */
static void do_request(struct story *s, char **words, uint32_t count)
{
    if (count < 3)
        story_broken(s, "request MODEL #TAG");
    struct event ev = {.type = EVENT_REQUEST_ARRIVED,
                       .request = {.tag = story_parse_tag(s, words[2], '#'),
                                   .model = story_find_name(s, KIND_MODEL, words[1]),
                                   .class = CLASS_NORMAL,
                                   .wait_ns_max = UINT64_MAX}};
    struct story_agent *agent = &s->agents[ev.request.tag];
    *agent = (struct story_agent){.step = 1, .model = ev.request.model, .class = CLASS_NORMAL};
    for (uint32_t i = 3; i < count; i++) {
        const char *v;
        if ((v = story_value_of(words[i], "wait")))
            ev.request.wait_ns_max = story_parse_ns(s, v);
        else if ((v = story_value_of(words[i], "again")))
            agent->again = story_parse_count(v);
        else if ((v = story_value_of(words[i], "step")))
            agent->step = story_parse_count(v);
        else if ((v = story_value_of(words[i], "pause")))
            agent->pause_ns = story_parse_ns(s, v);
        else if ((v = story_value_of(words[i], "key")))
            ev.request.key = story_parse_count(v);
        else if ((v = story_value_of(words[i], "lease")))
            ev.request.lease = s->waiters[story_parse_tag(s, v, '#')];
        else if ((v = story_value_of(words[i], "since")))
            ev.request.since.ns = story_parse_ns(s, v);
        else if (strcmp(words[i], "running") == 0)
            ev.request.running = true;
        else if (!story_parse_class(words[i], &ev.request.class))
            story_broken(s, "not a class: %s", words[i]);
    }
    agent->class = ev.request.class;
    story_step(s, &ev, "");
}

void story_set_lease_key(struct story *s, struct core_lease_ask *ask, const char *word)
{
    const char *v;
    if ((v = story_value_of(word, "bytes")))
        ask->bytes = story_parse_bytes(s, v);
    else if ((v = story_value_of(word, "device")))
        ask->device_mask |= 1U << story_need_name(s, KIND_DEVICE, v);
    else if ((v = story_value_of(word, "devices")))
        ask->device_count = story_parse_count(v);
    else if ((v = story_value_of(word, "wait")))
        ask->wait_ns_max = story_parse_ns(s, v);
    else if ((v = story_value_of(word, "ttl")))
        ask->ttl_ns = story_parse_ns(s, v);
    else if ((v = story_value_of(word, "run")))
        ask->run_ns_max = story_parse_ns(s, v);
    else if ((v = story_value_of(word, "grace")))
        ask->grace_ns = story_parse_ns(s, v);
    else if (strcmp(word, "revocable") == 0)
        ask->revocable = true;
    else if (!story_parse_class(word, &ask->class))
        ask->gates[ask->gate_count++ % CORE_LEASE_GATES_MAX] = story_need_name(s, KIND_GATE, word);
}

/* lease|restore [fg|normal|bg] [GATE…] #TAG [key=value…]; background unless it names a class;
 * with bytes and no device: on any. */
static void do_lease(struct story *s, char **words, uint32_t count)
{
    struct core_lease_ask ask = {.class = CLASS_BACKGROUND, .wait_ns_max = UINT64_MAX};
    struct event ev = {.type = EVENT_LEASE_ASKED, .lease = {.ask = &ask}};
    for (uint32_t i = 1; i < count; i++) {
        const char *v = story_value_of(words[i], "since");
        if (words[i][0] == '#')
            ev.lease.tag = story_parse_tag(s, words[i], '#');
        else if (v)
            ev.lease.since.ns = story_parse_ns(s, v);
        else
            story_set_lease_key(s, &ask, words[i]);
    }
    if (!ev.lease.tag)
        story_broken(s, "lease [CLASS] [GATE…] #TAG [key=value…]");
    if (!ask.device_mask)
        ask.device_mask = (1U << s->counts[KIND_DEVICE]) - 1;
    if (strcmp(words[0], "restore") == 0) {
        ev.type = EVENT_LEASE_RESTORED;
        ev.lease.devices = ask.bytes ? ask.device_mask : 0;
        ev.lease.grace_ns = ask.grace_ns;
    }
    s->tag_lease[ev.lease.tag] = true;
    story_step(s, &ev, "");
}

static void do_renew(struct story *s, char **words, uint32_t count)
{
    uint64_t tag = story_parse_tag(s, count > 1 ? words[1] : NULL, '#');
    story_step(s, &(struct event){.type = EVENT_LEASE_RENEWED, .lease_id = {s->waiters[tag]}}, "");
}

static void do_remains(struct story *s, char **words, uint32_t count)
{
    uint64_t tag = story_parse_tag(s, count > 1 ? words[1] : NULL, '#');
    story_step(s, &(struct event){.type = EVENT_LEASE_REMAINS, .lease_id = {s->waiters[tag]}}, "");
}

/* quiet #TAG; loud #TAG */
static void do_quiet(struct story *s, char **words, uint32_t count)
{
    uint64_t tag = story_parse_tag(s, count > 1 ? words[1] : NULL, '#');
    struct event ev = {.type = EVENT_REQUEST_QUIET,
                       .quiet = {s->waiters[tag], strcmp(words[0], "quiet") == 0}};
    story_step(s, &ev, "");
}

/* end|gone|cut|bounce #TAG */
static void do_end(struct story *s, char **words, uint32_t count)
{
    uint64_t tag = story_parse_tag(s, count > 1 ? words[1] : NULL, '#');
    struct event ev = {.type = EVENT_REQUEST_ENDED, .ended = {s->waiters[tag], ENDED_DONE}};
    if (s->tag_lease[tag]) {
        ev = (struct event){.type = EVENT_LEASE_ENDED, .lease_id = {s->waiters[tag]}};
        story_step(s, &ev, "");
        return;
    }
    if (strcmp(words[0], "gone") == 0)
        ev.ended.how = ENDED_GONE;
    else if (strcmp(words[0], "cut") == 0)
        ev.ended.how = ENDED_CUT;
    else if (strcmp(words[0], "bounce") == 0)
        ev.type = EVENT_REQUEST_BOUNCED;
    story_step(s, &ev, "");
}

static enum reason parse_reason(const struct story *s, const char *word)
{
    if (strcmp(word, "oom") == 0)
        return REASON_OUT_OF_MEMORY;
    if (strcmp(word, "exited") == 0)
        return REASON_EXITED;
    if (strcmp(word, "aborted") == 0)
        return REASON_ABORTED;
    if (strcmp(word, "error") == 0)
        return REASON_LOAD_FAILED;
    story_broken(s, "not a reason: %s", word);
}

static bool parse_outcome(const char *word, enum outcome *ret)
{
    static const char *const texts[] = {"done", "at-source", "at-target", "gone"};
    for (size_t i = 0; i < countof(texts); i++) {
        if (strcmp(word, texts[i]) == 0) {
            *ret = (enum outcome)i;
            return true;
        }
    }
    return false;
}

/* loaded|failed|unloaded|exited|broken|moved|suspended|resumed MODEL [REASON|stuck|op=N]: completes
 * the model's last op. */
static void do_model(struct story *s, char **words, uint32_t count)
{
    static const struct {
        const char *word;
        enum event_type type;
    } types[] = {
        {"loaded", EVENT_MODEL_LOADED},       {"failed", EVENT_MODEL_LOAD_FAILED},
        {"unloaded", EVENT_MODEL_UNLOADED},   {"exited", EVENT_MODEL_EXITED},
        {"broken", EVENT_UPSTREAM_BROKEN},    {"moved", EVENT_MODEL_MOVED},
        {"suspended", EVENT_MODEL_SUSPENDED}, {"resumed", EVENT_MODEL_RESUMED},
        {"adopted", EVENT_MODEL_ADOPTED},
    };
    uint32_t model = story_need_name(s, KIND_MODEL, count > 1 ? words[1] : NULL);
    struct event ev = {.model = {.op = s->ops[model], .model = model}};
    for (size_t i = 0; i < countof(types); i++)
        if (strcmp(types[i].word, words[0]) == 0)
            ev.type = types[i].type;
    for (uint32_t i = 2; i < count; i++) {
        const char *v = story_value_of(words[i], "op");
        if (v)
            ev.model.op = strtoull(v, NULL, 10);
        else if ((v = story_value_of(words[i], "residue")))
            ev.model.residue_bytes = story_parse_bytes(s, v);
        else if ((v = story_value_of(words[i], "device")))
            ev.model.devices |= 1U << story_need_name(s, KIND_DEVICE, v);
        else if ((v = story_value_of(words[i], "as")))
            ev.model.placement = story_parse_count(v);
        else if (strcmp(words[i], "stuck") == 0)
            ev.model.stuck = true;
        else if (strcmp(words[i], "loading") == 0)
            ev.model.adopted = ADOPTED_LOADING;
        else if (strcmp(words[i], "asleep") == 0)
            ev.model.adopted = ADOPTED_SUSPENDED;
        else if (!parse_outcome(words[i], &ev.model.outcome))
            ev.model.why = parse_reason(s, words[i]);
    }
    story_step(s, &ev, "");
}

/* sample DEVICE used=BYTES [taken=TIME] [MODEL=BYTES...]; ? for bytes: it cannot be measured */
static void do_sample(struct story *s, char **words, uint32_t count)
{
    struct sample_use uses[MODELS_MAX];
    struct event ev = {
        .type = EVENT_DEVICE_SAMPLE,
        .sample = {.device = story_need_name(s, KIND_DEVICE, count > 1 ? words[1] : NULL),
                   .taken.ns = s->now_ns,
                   .uses = uses}};
    for (uint32_t i = 2; i < count; i++) {
        const char *v;
        if ((v = story_value_of(words[i], "used"))) {
            ev.sample.used_bytes = story_parse_bytes(s, v);
        } else if ((v = story_value_of(words[i], "taken"))) {
            ev.sample.taken.ns = story_parse_ns(s, v);
        } else if (strcmp(words[i], "blind") == 0) {
            ev.sample.uses_unknown = true;
        } else if (strcmp(words[i], "unknown") == 0) {
            ev.sample.used_unknown = true;
        } else if ((v = strchr(words[i], '=')) && ev.sample.use_count < MODELS_MAX) {
            struct sample_use *use = &uses[ev.sample.use_count++];
            words[i][v - words[i]] = '\0';
            *use = (struct sample_use){
                .model = CORE_SLOT_NONE,
                .bytes = strcmp(v + 1, "?") == 0 ? SAMPLE_UNMEASURED : story_parse_bytes(s, v + 1)};
            if (words[i][0] == '#')
                use->lease = s->waiters[story_parse_tag(s, words[i], '#')];
            else
                use->model = story_need_name(s, KIND_MODEL, words[i]);
        } else {
            story_broken(s, "not a reading: %s", words[i]);
        }
    }
    story_step(s, &ev, "");
}

/* found DEVICE BYTES; lost DEVICE */
static void do_device(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = EVENT_DEVICE_LOST,
                       .found.device =
                           story_need_name(s, KIND_DEVICE, count > 1 ? words[1] : NULL)};
    if (strcmp(words[0], "found") == 0) {
        ev.type = EVENT_DEVICE_FOUND;
        ev.found.total_bytes = story_parse_bytes(s, count > 2 ? words[2] : NULL);
    }
    story_step(s, &ev, "");
}

/* command load|unload|unload-now|move|suspend|pin|unpin|keep MODEL !TAG [to=N|ttl=TIME] */
static void do_command(struct story *s, char **words, uint32_t count)
{
    if (count < 4)
        story_broken(s, "command load|unload|unload-now MODEL !TAG");
    struct event ev = {.type = EVENT_COMMAND,
                       .command = {.tag = story_parse_tag(s, words[3], '!'),
                                   .model = story_find_name(s, KIND_MODEL, words[2]),
                                   .what = COMMAND_LOAD,
                                   .why = REASON_COMMAND}};
    static const char *const texts[] = {[COMMAND_LOAD] = "load",
                                        [COMMAND_UNLOAD] = "unload",
                                        [COMMAND_UNLOAD_NOW] = "unload-now",
                                        [COMMAND_MOVE] = "move",
                                        [COMMAND_SUSPEND] = "suspend",
                                        [COMMAND_PIN] = "pin",
                                        [COMMAND_UNPIN] = "unpin",
                                        [COMMAND_KEEP] = "keep"};
    bool known = false;
    for (size_t i = 0; i < countof(texts); i++) {
        if (strcmp(words[1], texts[i]) == 0) {
            ev.command.what = (enum command)i;
            known = true;
        }
    }
    if (!known)
        story_broken(s, "not a command: %s", words[1]);
    const char *v = count > 4 ? story_value_of(words[4], "to") : NULL;
    ev.command.placement = v ? story_parse_count(v) : 0;
    v = count > 4 ? story_value_of(words[4], "ttl") : NULL;
    if (v)
        ev.command.ttl_ns = strcmp(v, "never") == 0 ? UINT64_MAX : story_parse_ns(s, v);
    story_step(s, &ev, "");
}

/* mode [MODEL=loaded|unloaded|PLACEMENT…] */
static void do_mode(struct story *s, char **words, uint32_t count)
{
    struct core_wish wishes[MODELS_MAX];
    struct event ev = {.type = EVENT_MODE, .mode = {.wishes = wishes}};
    for (uint32_t i = 1; i < count && ev.mode.count < MODELS_MAX; i++) {
        char *v = strchr(words[i], '=');
        if (!v)
            story_broken(s, "not a wish: %s", words[i]);
        *v++ = '\0';
        struct core_wish *wish = &wishes[ev.mode.count++];
        *wish = (struct core_wish){.model = story_need_name(s, KIND_MODEL, words[i]),
                                   .what = WISH_LOADED,
                                   .placement = CORE_SLOT_NONE};
        if (strcmp(v, "unloaded") == 0)
            wish->what = WISH_UNLOADED;
        else if (strcmp(v, "loaded") != 0)
            wish->placement = story_parse_count(v);
    }
    story_step(s, &ev, "");
}

/* backend down|up N */
static void do_backend(struct story *s, char **words, uint32_t count)
{
    if (count < 3)
        story_broken(s, "backend down|up N");
    bool down = strcmp(words[1], "down") == 0;
    story_step(s,
               &(struct event){.type = down ? EVENT_BACKEND_DOWN : EVENT_BACKEND_UP,
                               .backend = {story_parse_count(words[2])}},
               "");
}

/* learned|footprint MODEL [PLACEMENT] [bytes=BYTES] [load=TIME] */
static void do_learned(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = strcmp(words[0], "learned") == 0 ? EVENT_LEARNED : EVENT_FOOTPRINT};
    const char *v;
    ev.learned.model = story_need_name(s, KIND_MODEL, count > 1 ? words[1] : NULL);
    for (uint32_t i = 2; i < count; i++) {
        if ((v = story_value_of(words[i], "bytes")))
            ev.learned.bytes = story_parse_bytes(s, v);
        else if ((v = story_value_of(words[i], "load")))
            ev.learned.load_ns = story_parse_ns(s, v);
        else
            ev.learned.placement = story_parse_count(words[i]);
    }
    story_step(s, &ev, "");
}

static void show_plan(struct story *s, const struct core_plan_view *v)
{
    static const char *const verdicts[] = {"here", "go", "wait", "blocked", "never"};
    static const char *const actions[] = {"unload", "suspend", "move", "revoke"};
    char text[UNITS_TEXT_MAX];
    fprintf(s->out, "    %s", verdicts[v->verdict]);
    if (v->why != REASON_NONE)
        fprintf(s->out, ": %s", reason_text(v->why));
    for (uint32_t i = 0; i < v->victim_count; i++)
        fprintf(s->out, "; %s %s %s%s", actions[v->victims[i].action],
                story_name_of(s, KIND_MODEL, v->victims[i].model),
                units_format_bytes(v->victims[i].bytes, text),
                v->victims[i].busy ? " when idle" : "");
    fprintf(s->out, "; %s\n", units_format_duration(v->estimate_ns, text));
}

/* plan MODEL [fg|normal|bg]; plan lease [key=value…]: what would happen */
static void do_plan(struct story *s, char **words, uint32_t count)
{
    struct core_plan_view v;
    enum class class = CLASS_NORMAL;
    if (count > 1 && strcmp(words[1], "lease") == 0) {
        struct core_lease_ask ask = {.class = CLASS_BACKGROUND, .wait_ns_max = UINT64_MAX};
        for (uint32_t i = 2; i < count; i++)
            story_set_lease_key(s, &ask, words[i]);
        if (!ask.device_mask)
            ask.device_mask = (1U << s->counts[KIND_DEVICE]) - 1;
        core_plan_lease(s->core, &ask, &v);
    } else {
        if (count > 2)
            story_parse_class(words[2], &class);
        core_plan_model(s->core, story_need_name(s, KIND_MODEL, count > 1 ? words[1] : NULL), class,
                        &v);
    }
    show_plan(s, &v);
}

static void do_cancel(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = EVENT_COMMAND_CANCELLED,
                       .command.tag = story_parse_tag(s, count > 1 ? words[1] : NULL, '!')};
    story_step(s, &ev, "");
}

static void do_drain(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = EVENT_DRAIN,
                       .drain = {.grace_ns = story_parse_ns(s, count > 1 ? words[1] : NULL),
                                 .keep = count > 2 && strcmp(words[2], "keep") == 0}};
    story_step(s, &ev, "");
}

/* tick [gap=TIME]: the daemon stands still for so long, from the line's time on. */
static void do_tick(struct story *s, char **words, uint32_t count)
{
    struct event ev = {.type = EVENT_TICK};
    const char *v = count > 1 ? story_value_of(words[1], "gap") : NULL;
    if (v)
        s->now_ns += ev.tick.gap_ns = story_parse_ns(s, v);
    story_step(s, &ev, "");
}

static void do_reload(struct story *s, char **words, uint32_t count)
{
    (void)words;
    (void)count;
    story_send_config(s);
}

static void do_boot(struct story *s, char **words, uint32_t count)
{
    (void)words;
    (void)count;
    story_step(s, &(struct event){.type = EVENT_BOOT_DONE}, "");
}

static void show_device(struct story *s, uint32_t device)
{
    struct core_device_view v;
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], c[UNITS_TEXT_MAX], d[UNITS_TEXT_MAX];
    core_view_device(s->core, device, &v);
    fprintf(s->out, "    own %s, settling %s, foreign %s, room %s%s\n",
            units_format_bytes(v.own_bytes + v.leased_bytes, a),
            units_format_bytes(v.settling_bytes, b), units_format_bytes(v.foreign_bytes, c),
            units_format_bytes(v.room_bytes, d), v.present ? "" : ", absent");
}

/* show MODEL|DEVICE: what core_view says */
static void do_show(struct story *s, char **words, uint32_t count)
{
    struct core_model_view v;
    char text[UNITS_TEXT_MAX];
    if (count > 1 && story_find_name(s, KIND_DEVICE, words[1]) != CORE_SLOT_NONE) {
        show_device(s, story_find_name(s, KIND_DEVICE, words[1]));
        return;
    }
    core_view_model(s->core, story_need_name(s, KIND_MODEL, count > 1 ? words[1] : NULL), &v);
    fprintf(s->out, "    %s, running %u, waiting %u, %s%s\n", model_state_text(v.state), v.running,
            v.waiting, units_format_bytes(v.charged_bytes, text), v.settling ? " settling" : "");
}

const struct story_verb story_event_verbs[] = {
    {"request", do_request},   {"lease", do_lease},     {"end", do_end},
    {"gone", do_end},          {"cut", do_end},         {"bounce", do_end},
    {"loaded", do_model},      {"failed", do_model},    {"unloaded", do_model},
    {"exited", do_model},      {"broken", do_model},    {"sample", do_sample},
    {"found", do_device},      {"lost", do_device},     {"command", do_command},
    {"cancel", do_cancel},     {"drain", do_drain},     {"tick", do_tick},
    {"reload", do_reload},     {"boot", do_boot},       {"show", do_show},
    {"restore", do_lease},     {"renew", do_renew},     {"remains", do_remains},
    {"quiet", do_quiet},       {"loud", do_quiet},      {"moved", do_model},
    {"suspended", do_model},   {"resumed", do_model},   {"adopted", do_model},
    {"mode", do_mode},         {"backend", do_backend}, {"learned", do_learned},
    {"footprint", do_learned}, {"plan", do_plan},       {NULL, NULL},
};
