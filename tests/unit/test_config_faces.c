/* Filters, metadata, names that are no models of their own, keys, logs and history: what is said
 * about what is wrong, one row a rule, and what comes of what is right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "base/pure/units.h"
#include "config/config.h"
#include "config_text.h"

#define TEXT(text) text, sizeof(text) - 1
/* A model that needs nothing else, behind other keys. */
#define M(keys) "models: {m: {proxy: \"http://h:1\", cmd: x, " keys "}}\n"
/* A selector with two models. */
#define SPILL(keys)                                                                                \
    "models: {a: &m {cmd: x, proxy: \"http://h\"}, b: *m}\n"                                       \
    "selectors: {s: {strategy: spillover, targets: [a, b]}}\n" keys

#define MODEL_AT(column)                                                                           \
    "c:1:" column ": warning: setParams: 'model' is ignored; write useModelName to change it\n"

static const struct {
    const char *rule, *text;
    size_t n;
    const char *report;
} cases[] = {
    /* free data and filters */
    {"metadata that is no mapping", TEXT(M("metadata: [1]")),
     "c:1:53: error: metadata must be a mapping, not a list\n"},
    {"metadata that JSON cannot say", TEXT(M("metadata: {a: [.nan]}")),
     "c:1:58: error: .nan cannot be said in JSON\n"},
    {"metadata: macros in values, not in keys",
     TEXT("macros: {k: 1}\n" M("metadata: {\"${nope}\": \"${k}\"}")), ""},
    {"setParams that is no mapping", TEXT(M("filters: {setParams: 5}")),
     "c:1:64: error: setParams must be a mapping, not a number\n"},
    {"setParams: model", TEXT(M("filters: {setParams: {model: x}}")),
     "c:1:65: warning: setParams: 'model' is ignored; write useModelName to change it\n"},
    {"setParams: no path", TEXT(M("filters: {setParams: {\"a.*\": 1, \"\": 2, \"a\\\\*\": 3}}")),
     "c:1:65: warning: setParams: 'a.*' is no path in a request body, ignored\nc:1:75: warning: "
     "setParams: '' is no path in a request body, ignored\n"},
    {"stripParams: model and no path", TEXT(M("filters: {stripParams: \"model, a#b, ,c\"}")),
     "c:1:66: warning: stripParams: 'model' is ignored; write useModelName to change it\nc:1:66: "
     "warning: stripParams: 'a#b' is no path in a request body, ignored\n"},
    {"setParams: model by other spellings, and what is in it",
     TEXT(M("filters: {setParams: {':model': 1, model.x: 1, 'mo\\del': 1, ':m\\odel.0': 1}}")),
     MODEL_AT("65") MODEL_AT("78") MODEL_AT("90") MODEL_AT("103")},
    {"stripParams: what is in model", TEXT(M("filters: {stripParams: model.x}")),
     "c:1:66: warning: stripParams: 'model' is ignored; write useModelName to change it\n"},
    {"stripParams: members that only look like it",
     TEXT(M("filters: {stripParams: 'models, mode, \\:model, model\\.x, a.model, ::model'}")), ""},
    {"stripParams: a list", TEXT(M("filters: {stripParams: [a]}")),
     "c:1:66: error: stripParams must be a text, not a list\n"},
    {"setParamsByID: no mapping below", TEXT(M("filters: {setParamsByID: {x: 5, y: }}")),
     "c:1:72: error: 'x' in setParamsByID must be a mapping, not a number\n"},
    {"setParamsByID: the model's own id", TEXT(M("filters: {setParamsByID: {m: {a: 1}}}")), ""},
    {"setParamsByID: an alias of its own",
     TEXT(M("aliases: [n], filters: {setParamsByID: {n: {a: 1}}}")), ""},
    {"setParamsByID: the id of another model",
     TEXT("models:\n  a: {cmd: x, proxy: \"http://h\", filters: {setParamsByID: {b: {}}}}\n"
          "  b: {cmd: x, proxy: \"http://h\"}\n"),
     "c:2:60: error: setParamsByID: 'b' is the id of another model\n"},
    {"setParamsByID: the alias of another model",
     TEXT("models:\n  a: {cmd: x, proxy: \"http://h\", aliases: [z]}\n"
          "  b: {cmd: x, proxy: \"http://h\", filters: {setParamsByID: {z: {}}}}\n"),
     "c:3:60: error: setParamsByID: 'z' already belongs to model 'a'\n"},
    {"setParamsByID: twice the same",
     TEXT("models:\n  a: {cmd: x, proxy: \"http://h\", filters: {setParamsByID: {z: {}}}}\n"
          "  b: {cmd: x, proxy: \"http://h\", filters: {setParamsByID: {z: {}}}}\n"),
     "c:3:60: error: setParamsByID: 'z' already belongs to model 'a'\n"},
    {"setParamsByID: keys become the same",
     TEXT("macros: {k: x}\n" M("filters: {setParamsByID: {\"${k}1\": {}, x1: {}}}")),
     "c:2:82: error: setParamsByID: keys '${k}1' and 'x1' both become 'x1'\n"},
    {"setParamsByID: keys become the same by the port",
     TEXT("models: {m: {cmd: \"x ${PORT}\", filters: {setParamsByID: {\"${PORT}\": {}, \"5800\": "
          "{}}}}}\n"),
     "c:1:73: error: setParamsByID: keys '${PORT}' and '5800' both become '5800'\n"},
    {"setParamsByID: unknown macro in a key",
     TEXT(M("filters: {setParamsByID: {\"${nope}\": {}}}")),
     "c:1:69: error: models.m.filters.setParamsByID: unknown macro ${nope}\n"},
    {"unknown key in filters", TEXT(M("filters: {stripParam: a}")),
     "c:1:53: warning: unknown key 'stripParam' in filters, ignored; did you mean "
     "'stripParams'?\n"},
    /* capabilities, compat, times */
    {"capabilities: bad modalities", TEXT(M("capabilities: {in: [text, txt], out: [video]}")),
     "c:1:69: error: capabilities.in takes text, audio and image, not 'txt'; did you mean "
     "'text'?\nc:1:81: error: capabilities.out takes text, audio and image, not 'video'\n"},
    {"capabilities: negative context", TEXT(M("capabilities: {context: -1}")),
     "c:1:67: error: context must be at least 0\n"},
    {"negative times",
     TEXT("healthCheckTimeout: -5\n" M(
         "timeouts: {connect: -3, keepalive: -1}, healthCheckTimeout: -2")),
     "c:1:21: warning: healthCheckTimeout is negative, and taken as 15s\nc:2:63: warning: connect "
     "is negative, and taken as 0\nc:2:78: warning: keepalive is negative, and taken as "
     "0\nc:2:103: warning: healthCheckTimeout is negative, and taken as 15s\n"},
    /* peers */
    {"peer without proxy and models", TEXT("peers: {p: {}}\n"),
     "c:1:9: error: peer 'p' needs its proxy, the address where it answers\nc:1:9: error: peer 'p' "
     "needs a list of its models\n"},
    {"peer with a bad proxy", TEXT("peers: {p: {proxy: \"h:1\", models: [a]}}\n"),
     "c:1:20: error: this proxy cannot be used: it must start with http:// or https://, or be "
     "unix:/PATH\n"},
    {"peer with no models", TEXT("peers: {p: {proxy: \"http://h\", models: []}}\n"),
     "c:1:40: error: peer 'p' needs a list of its models\n"},
    {"peer's models twice and empty",
     TEXT("peers: {p: {proxy: \"http://h\", models: [a, a, \"\"]}}\n"),
     "c:1:44: warning: model 'a' stands here twice\nc:1:47: warning: the name of a model is empty, "
     "ignored\n"},
    {"peers with one full name",
     TEXT("peers:\n  p: {proxy: \"http://h\", models: [q/m]}\n  p/q: {proxy: \"http://h\", models: "
          "[m]}\n"),
     "c:3:3: error: the name 'p/q/m' could mean both model 'q/m' of peer 'p' and model 'm' of peer "
     "'p/q'\n"},
    {"peers with one bare name",
     TEXT("peers:\n  p: {proxy: \"http://h\", models: [m]}\n  q: {proxy: \"http://h\", models: "
          "[m]}\n"),
     ""},
    {"model with the full name of a peer's",
     TEXT("peers: {p: {proxy: \"http://h\", models: [m]}}\n"
          "models: {p/m: {cmd: x, proxy: \"http://h\"}}\n"),
     "c:2:10: error: model 'p/m' has the full name of model 'm' of peer 'p'\n"},
    {"alias with the full name of a peer's",
     TEXT("peers: {p: {proxy: \"http://h\", models: [m]}}\n" M("aliases: [p/m]")),
     "c:2:53: error: alias 'p/m' of model 'm' has the full name of model 'm' of peer 'p'\n"},
    {"variant with the full name of a peer's",
     TEXT("peers: {p: {proxy: \"http://h\", models: [m]}}\n" M(
         "filters: {setParamsByID: {p/m: {}}}")),
     "c:2:69: error: 'p/m' in setParamsByID of model 'm' has the full name of model 'm' of peer "
     "'p'\n"},
    {"selector with the full name of a peer's",
     TEXT("peers: {p: {proxy: \"http://h\", models: [m]}}\n"
          "selectors: {p/m: {strategy: pin, targets: [m]}}\n"),
     "c:2:13: error: selector 'p/m' has the full name of model 'm' of peer 'p'\n"},
    {"pin with the full name of a peer's",
     TEXT("peers: {p: {proxy: \"http://h\", models: [m]}}\n"
          "profiles: {f: {pins: {p/m: \"\", m: \"\"}}}\n"),
     "c:2:23: error: profile 'f': pin 'p/m' has the full name of a model of peer 'p'\n"},
    /* selectors */
    {"selector without anything", TEXT("selectors: {s: {}}\n"),
     "c:1:13: error: selector 's' needs a strategy: warm, pin or spillover\nc:1:13: error: "
     "selector 's' needs at least one target\n"},
    {"selector without a name", TEXT("selectors: {\" \": {strategy: pin, targets: [m]}}\n" M("")),
     "c:1:13: error: a selector needs a name\n"},
    {"selector with the id of a model",
     TEXT("selectors: {m: {strategy: pin, targets: [m]}}\n" M("")),
     "c:1:13: error: selector 'm' has the same name as model 'm'\n"},
    {"selector with an alias",
     TEXT("selectors: {n: {strategy: pin, targets: [m]}}\n" M("aliases: [n]")),
     "c:1:13: error: selector 'n' has the same name as alias 'n' of model 'm'\n"},
    {"unknown strategy", TEXT("selectors: {s: {strategy: wram, targets: [m]}}\n" M("")),
     "c:1:27: error: strategy must be warm, pin or spillover, not 'wram'; did you mean 'warm'?\n"},
    {"unknown target",
     TEXT("selectors: {s: {strategy: pin, targets: [qwne]}}\n"
          "models: {qwen: {cmd: x, proxy: \"http://h\"}}\n"),
     "c:1:42: error: selector 's': unknown model 'qwne'; did you mean 'qwen'?\n"},
    {"target that is a selector",
     TEXT(
         "selectors: {s: {strategy: pin, targets: [t]}, t: {strategy: pin, targets: [m]}}\n" M("")),
     "c:1:42: error: selector 's': 't' is a selector; a selector cannot choose another\n"},
    {"warm with a peer's model",
     TEXT("peers: {p: {proxy: \"http://h\", models: [r]}}\nselectors: {s: {strategy: warm, "
          "targets: [m, p/r]}}\n" M("")),
     "c:2:46: error: selector 's': 'p/r' is a peer's; with the strategy warm, all targets are "
     "models of this configuration\n"},
    {"spillover below 1",
     TEXT("selectors: {s: {strategy: spillover, targets: [m], settings: {spillover: 0}}}\n" M("")),
     "c:1:74: error: selector 's': spillover must be at least 1\n"},
    {"spillover below 1 of another strategy",
     TEXT("selectors: {s: {strategy: pin, targets: [m], settings: {spillover: 0}}}\n" M("")), ""},
    {"spillover to one model twice",
     TEXT("selectors: {s: {strategy: spillover, targets: [m, n]}}\n" M("aliases: [n]")),
     "c:1:51: error: selector 's': 'n' is a target already\n"},
    {"pin to one model twice",
     TEXT("selectors: {s: {strategy: pin, targets: [m, n]}}\n" M("aliases: [n]")), ""},
    {"spillover over models in no group", TEXT(SPILL("")),
     "c:2:47: error: selector 's': the targets of spillover must be able to run together, but 'a' "
     "is in no group\n"},
    {"spillover over a group that swaps", TEXT(SPILL("groups: {g: {members: [a, b]}}\n")),
     "c:2:47: error: selector 's': the targets of spillover must be able to run together, but "
     "group 'g', with 'a', has swap: true\n"},
    {"spillover over two groups",
     TEXT(SPILL("groups: {g: {swap: false, members: [a]}, h: {swap: false, members: [b]}}\n")),
     "c:2:47: error: selector 's': the targets of spillover must be able to run together, but they "
     "are in several groups\n"},
    {"spillover over one group", TEXT(SPILL("groups: {g: {swap: false, members: [a, b]}}\n")), ""},
    {"spillover over two sets", TEXT(SPILL("matrix: {sets: {s: a | b}}\n")),
     "c:2:47: error: selector 's': the targets of spillover must be able to run together, but no "
     "set of the matrix has them all\n"},
    {"spillover over one set", TEXT(SPILL("matrix: {sets: {s: a & b}}\n")), ""},
    {"spillover under fit", TEXT(SPILL("routing: {router: {use: fit}}\n")), ""},
    {"spillover to one local model and a peer's",
     TEXT("peers: {p: {proxy: \"http://h\", models: [r]}}\nselectors: {s: {strategy: spillover, "
          "targets: [m, r]}}\n" M("")),
     ""},
    /* profiles */
    {"profile in the older form", TEXT("profiles: {f: [a, b]}\n"),
     "c:1:15: error: profile 'f' must be a mapping with description and pins; the older list of "
     "models is no longer supported\n"},
    {"profile without pins", TEXT("profiles: {f: {}, g: }\n"),
     "c:1:12: error: profile 'f' needs at least one pin\nc:1:19: error: profile 'g' needs at least "
     "one pin\n"},
    {"profile without a name", TEXT("profiles: {\"\": {pins: {x: \"\"}}}\n"),
     "c:1:12: error: a profile needs a name\n"},
    {"pin without a name", TEXT("profiles: {f: {pins: {\" \": \"\"}}}\n"),
     "c:1:23: error: profile 'f' has a pin without a name\n"},
    {"pin to nothing known", TEXT("profiles: {f: {pins: {x: mm}}}\n" M("")),
     "c:1:26: error: profile 'f': unknown model 'mm'\n"},
    {"pins to nothing, a model, a selector",
     TEXT("profiles: {f: {pins: {x: , y: m, z: s, m: m}}}\nselectors: {s: {strategy: pin, targets: "
          "[m]}}\n" M("")),
     ""},
    /* keys, logs, history */
    {"keys",
     TEXT("keys: [{}, {key: \"a b\"}, {key: \"\"}, {key: k, class: normal, maxClass: background}, "
          "{key: l, models: [a], admin: true}, {key: m, keyFile: /f}, {key: n, models: []}, "
          "{user: \"no such user\"}, {keyFile: /no/such/file}]\n"),
     "c:1:8: error: keys[0].key is empty\nc:1:18: error: keys[1].key holds a blank\nc:1:32: error: "
     "keys[2].key is empty\nc:1:53: error: keys[3]: its class normal is better than its maxClass "
     "background\nc:1:113: error: keys[4]: a key with admin reaches everything, so it cannot have "
     "models\nc:1:120: error: keys[5] has more than one of key, keyFile and user\nc:1:160: error: "
     "keys[6].models is empty, so that it fits no model; leave it out for all\nc:1:172: error: "
     "this "
     "machine has no user 'no such user'\nc:1:199: error: keyFile '/no/such/file' cannot be read: "
     "No "
     "such file or directory\n"},
    {"sites and sockets",
     TEXT("hosts: [\"a:1\", b.example]\ncors: [a.example, \"https://a.example/x\", \"*\"]\n"
          "socket: {mode: 999, group: \"no such group\"}\n"),
     "c:1:9: error: hosts[0] must be a name such as llm.example, not 'a:1'\nc:2:8: error: cors[0] "
     "must be a site such as https://chat.example, or *, not 'a.example'\nc:2:19: error: cors[1] "
     "must "
     "be a site such as https://chat.example, or *, not 'https://a.example/x'\nc:3:16: error: "
     "socket.mode must be an octal number such as \"0660\", not '999'\nc:3:28: error: this machine "
     "has no group 'no such group'\n"},
    {"a mode that shuts out wharf", TEXT("socket: {mode: \"0060\"}\n"),
     "c:1:16: error: socket.mode 0060 shuts out the owner\n"},
    {"key's wait", TEXT("keys: [{key: k, wait: -1}]\n"),
     "c:1:23: error: wait must be 0 or more, not -1\n"},
    {"unknown logToStdout", TEXT("logToStdout: all\n"),
     "c:1:14: error: logToStdout must be proxy, upstream, both or none, not 'all'\n"},
    {"unknown logTimeFormat", TEXT("logTimeFormat: rfc3338\n"),
     "c:1:16: warning: logTimeFormat 'rfc3338' is not known, so no times are logged; did you mean "
     "'rfc3339'?\n"},
    {"empty store path", TEXT("store: {path: \" \"}\n"),
     "c:1:15: error: store.path must not be empty\n"},
    {"store path that is a folder", TEXT("store: {path: /dev}\n"),
     "c:1:15: error: store.path '/dev' is a directory, not a file\n"},
    {"store path in no folder", TEXT("store: {path: /nonexistent/a.db}\n"),
     "c:1:15: error: store.path '/nonexistent/a.db': directory '/nonexistent' is not writable: No "
     "such file or directory\n"},
    {"performance too often", TEXT("performance: {disabled: true, every: 1s}\n"),
     "c:1:38: error: every must be at least 5s\n"},
    {"performance, bare number", TEXT("performance: {every: 10}\n"),
     "c:1:22: error: every must be a time with its unit, such as 30s or 5m, not '10'\n"},
    {"performance, 0", TEXT("performance: {every: 0s}\n"), ""},
    {"bad regular expression", TEXT("upstream: {ignorePaths: [\"^/ok\", \"a(\"]}\n"),
     "c:1:34: error: upstream.ignorePaths: invalid regular expression 'a(': missing closing "
     "parenthesis, behind 2 bytes\n"},
};

static void test_reports(void **state)
{
    (void)state;
    uint32_t failed = 0;
    for (size_t i = 0; i < countof(cases); i++) {
        struct config_report report = {0};
        struct config *c = config_load_text("c", cases[i].text, cases[i].n, &report);
        const char *text = report.text.data ? report.text.data : "";
        bool is_error = strstr(cases[i].report, ": error: ") != NULL;
        if (strcmp(text, cases[i].report) != 0 || (c == NULL) != is_error) {
            print_error("%s: %s\n%s-- instead of\n%s", cases[i].rule, c ? "loaded" : "refused",
                        text, cases[i].report);
            failed++;
        }
        config_free(c);
        config_report_fini(&report);
    }
    assert_int_equal(failed, 0);
}

/* Free data becomes JSON, by the types of yaml.v3 and in the words of encoding/json. */
static void test_json(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"{}", "{}"},
        {"", "{}"},
        {"{b: 1, a: 2, B: 3, a1: 4}", "{\"B\":3,\"a\":2,\"a1\":4,\"b\":1}"},
        {"{a: [x, [], {}, ~, null, '', '~']}", "{\"a\":[\"x\",[],{},null,null,\"\",\"~\"]}"},
        {"{a: true, b: yes, c: 'true', d: False}",
         "{\"a\":true,\"b\":\"yes\",\"c\":\"true\",\"d\":false}"},
        {"{a: 0x10, b: 0o17, c: 1_000, d: '5', e: -3}",
         "{\"a\":16,\"b\":15,\"c\":1000,\"d\":\"5\",\"e\":-3}"},
        {"{a: 0.5, b: 1.50, c: 1e6, d: 1e20, e: 1e21}",
         "{\"a\":0.5,\"b\":1.5,\"c\":1000000,\"d\":100000000000000000000,\"e\":1e+21}"},
        {"{a: 0.000001, b: 0.0000001, c: -2.5e-9, d: 0.1, e: 1.0}",
         "{\"a\":0.000001,\"b\":1e-7,\"c\":-2.5e-9,\"d\":0.1,\"e\":1}"},
        {"{a: 18446744073709551615, b: 9223372036854775808, c: 18446744073709551616}",
         "{\"a\":18446744073709551615,\"b\":9223372036854775808,\"c\":18446744073709552000}"},
        {"{a: \"q\\\"\\\\\\n\\t\", \u00fc: \u20ac}",
         "{\"a\":\"q\\\"\\\\\\n\\u0009\",\"\u00fc\":\"\u20ac\"}"},
        {"{1: a, true: b}", "{\"1\":\"a\",\"true\":\"b\"}"},
        {"{a: \"${k}\", b: \"x${k}\", c: [\"${f}\"], d: \"${MODEL_ID}\"}",
         "{\"a\":7,\"b\":\"x7\",\"c\":[0.25],\"d\":\"m\"}"},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf text = {0};
        buf_printf(&text, "macros: {k: 7, f: 0.25}\n" M("metadata: %s"), rows[i].yaml);
        struct config *c = config_of(text.data);
        assert_string_equal(c->models[0].metadata, rows[i].json);
        config_free(c);
        buf_fini(&text);
    }
}

static void write_filters(struct buf *out, const struct config_filters *f)
{
    for (uint32_t i = 0; i < f->strip.count; i++)
        buf_printf(out, "-%s ", f->strip.items[i]);
    for (uint32_t i = 0; i < f->set.count; i++)
        buf_printf(out, "%s=%s ", f->set.items[i].name, f->set.items[i].json);
    for (uint32_t i = 0; i < f->variant_count; i++) {
        buf_printf(out, "[%s] ", f->variants[i].id);
        for (uint32_t k = 0; k < f->variants[i].set.count; k++)
            buf_printf(out, "%s=%s ", f->variants[i].set.items[k].name,
                       f->variants[i].set.items[k].json);
    }
    buf_text(out, "");
}

static void test_filters(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *wanted;
    } rows[] = {
        {"{}", ""},
        {"{stripParams: \" b ,a,, model,b,a.c\"}", "-a -a.c -b "},
        {"{strip_params: \"x\"}", "-x "},
        {"{stripParams: \"y\", strip_params: \"x\"}", "-y "},
        {"{stripParams: \"\", strip_params: \"x\"}", "-x "},
        {"{setParams: {b: 1, a.x: {y: [1]}, model: z}}", "a.x={\"y\":[1]} b=1 "},
        {"{setParams: }", ""},
        {"{setParamsByID: {z: {q: 1}, \"${MODEL_ID}:h\": {r: hi, a: 2}, m: }}",
         "[m] [m:h] a=2 r=\"hi\" [z] q=1 "},
        {"{setParams: {p: \"${PORT}\"}, setParamsByID: {\"m${PORT}\": {}}}", "p=5800 [m5800] "},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct buf text = {0}, have = {0};
        buf_printf(&text, "models: {m: {cmd: \"x ${PORT}\", filters: %s}}\n", rows[i].yaml);
        struct config *c = config_of(text.data);
        buf_char(&have, ' ');
        write_filters(&have, &c->models[0].filters);
        assert_string_equal(have.data + 1, rows[i].wanted);
        config_free(c);
        buf_fini(&text);
        buf_fini(&have);
    }
}

/* Who has which name. */
static void test_names(void **state)
{
    (void)state;
    static const char text[] = "models:\n"
                               "  a: {cmd: x, proxy: \"http://h\", aliases: [b, z, \"\"], filters: "
                               "{setParamsByID: {a:h: {}, "
                               "z: {}}}}\n"
                               "  b: {cmd: x, proxy: \"http://h\"}\n"
                               "peers:\n"
                               "  p: {proxy: \"http://h\", models: [m, both, z, q/m, s]}\n"
                               "  q: {proxy: \"http://h\", models: [both, m2]}\n"
                               "selectors: {s: {strategy: pin, targets: [q/m2]}}\n";
    static const struct {
        const char *name;
        int kind; /* -1: nobody has it */
        uint32_t index, peer_model;
    } rows[] = {
        {"a", CONFIG_NAME_MODEL, 0, 0},
        {"b", CONFIG_NAME_MODEL, 1, 0},
        {"z", CONFIG_NAME_MODEL, 0, 0},
        {"a:h", CONFIG_NAME_MODEL, 0, 0},
        {"p/m", CONFIG_NAME_PEER, 0, 0},
        {"m", CONFIG_NAME_PEER, 0, 0},
        {"both", -1, 0, 0},
        {"p/both", CONFIG_NAME_PEER, 0, 1},
        {"q/both", CONFIG_NAME_PEER, 1, 0},
        {"p/z", CONFIG_NAME_PEER, 0, 2},
        {"q/m", CONFIG_NAME_PEER, 0, 3},
        {"p/q/m", CONFIG_NAME_PEER, 0, 3},
        {"m2", CONFIG_NAME_PEER, 1, 1},
        {"s", CONFIG_NAME_SELECTOR, 0, 0},
        {"p/s", CONFIG_NAME_PEER, 0, 4},
        {"A", -1, 0, 0},
        {"", -1, 0, 0},
    };
    struct config *c = config_of(text);
    for (size_t i = 0; i < countof(rows); i++) {
        const struct config_name *found = config_find_name(c, rows[i].name);
        if ((found ? (int)found->kind : -1) != rows[i].kind ||
            (found && (found->index != rows[i].index || found->peer_model != rows[i].peer_model)))
            fail_msg("'%s': kind %d, index %u, %u", rows[i].name, found ? (int)found->kind : -1,
                     found ? found->index : 0, found ? found->peer_model : 0);
        const struct config_model *m = config_find_model(c, rows[i].name);
        assert_true((m != NULL) == (rows[i].kind == CONFIG_NAME_MODEL));
    }
    assert_non_null(config_find_variant(&c->models[0].filters, "a:h"));
    assert_null(config_find_variant(&c->models[0].filters, "a"));
    assert_int_equal(c->models[0].aliases.count, 3);
    assert_string_equal(c->models[0].aliases.items[2], "a:h");
    assert_int_equal(c->selectors[0].targets[0].model, CONFIG_NO_MODEL);
    assert_int_equal(c->selectors[0].targets[0].peer, 1);
    assert_int_equal(c->selectors[0].targets[0].peer_model, 1);
    config_free(c);
}

/* llama-swap's default, and that `$` is the end of the text and nothing takes long. */
static void test_ignored_paths(void **state)
{
    (void)state;
    static const struct {
        const char *patterns, *path;
        bool ignored;
    } rows[] = {
        {"", "/app.js", true},
        {"", "/a/b.JPG", false},
        {"", "/app.js.map", false},
        {"", "/app.js\n", false},
        {"", "/v1/models", false},
        {"upstream: {ignorePaths: []}\n", "/x.css", true},
        {"upstream: {ignorePaths: }\n", "/x.css", true},
        {"upstream: {ignorePaths: [\"^/a\", b$]}\n", "/a.js", true},
        {"upstream: {ignorePaths: [\"^/a\", b$]}\n", "/x/b", true},
        {"upstream: {ignorePaths: [\"^/a\", b$]}\n", "/x.css", false},
        {"upstream: {ignorePaths: [\"(?i)JS$\"]}\n", "/x.js", true},
        {"upstream: {ignorePaths: [\"^(a+)+$\"]}\n",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", false},
        {"upstream: {ignorePaths: [x]}\n", "\377x", true},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        struct config *c = config_of(rows[i].patterns);
        if (config_ignores_path(c, rows[i].path, strlen(rows[i].path)) != rows[i].ignored)
            fail_msg("'%s' with '%s'", rows[i].path, rows[i].patterns);
        config_free(c);
    }
}

static void test_observe(void **state)
{
    (void)state;
    struct config *c = config_of("");
    const struct config_observe *o = &c->observe;
    assert_int_equal(o->log_stdout, CONFIG_LOG_STDOUT_PROXY);
    assert_false(o->log_stdout_given);
    assert_int_equal(o->log_time, CONFIG_LOG_TIME_NONE);
    assert_int_equal(o->activity_rows_max, 1000);
    assert_int_equal(o->capture_bytes_max, 5 * MIB);
    assert_string_equal(o->store_path, "");
    assert_int_equal(o->session_headers.count, 2);
    assert_string_equal(o->session_headers.items[0], "X-Session-ID");
    assert_string_equal(o->session_headers.items[1], "X-Litellm-Session-Id");
    assert_int_equal(o->performance_ns, 5 * NS_PER_S);
    assert_true(o->history_enabled && !o->makes_traces);
    assert_int_equal(o->history_bytes_max, 256 * MIB);
    assert_int_equal(o->history_age_ns, 30 * 86400 * NS_PER_S);
    config_free(c);
    c = config_of("logToStdout: none\nlogTimeFormat: \" RFC3339Nano \"\nmetricsMaxInMemory: 0\n"
                  "captureBuffer: -1\nstore: {path: history.db}\nincludeAliasesInList: true\n"
                  "ui: {activity: {session_id: [\" X-A \", x-a, \"\", Y]}}\n"
                  "performance: {disabled: on, every: 1m30s}\n"
                  "history: {enabled: no, maxSize: 16MiB, maxAge: never}\ntraceparent: true\n");
    o = &c->observe;
    assert_true(!o->history_enabled && o->makes_traces);
    assert_int_equal(o->history_bytes_max, 16 * MIB);
    assert_int_equal(o->history_age_ns, 0);
    assert_int_equal(o->log_stdout, CONFIG_LOG_STDOUT_NONE);
    assert_true(o->log_stdout_given);
    assert_int_equal(o->log_time, CONFIG_LOG_TIME_RFC3339NANO);
    assert_int_equal(o->activity_rows_max, 1000);
    assert_int_equal(o->capture_bytes_max, 0);
    assert_string_equal(o->store_path, "history.db");
    assert_true(o->aliases_in_list && o->performance_disabled);
    assert_int_equal(o->session_headers.count, 2);
    assert_string_equal(o->session_headers.items[0], "X-A");
    assert_int_equal(o->performance_ns, 90 * NS_PER_S);
    config_free(c);
    static const char *const none[] = {"[]", "", "~"};
    for (size_t i = 0; i < countof(none); i++) {
        struct buf text = {0};
        buf_printf(&text, "ui: {activity: {session_id: %s}}\ncaptureBuffer: 10\n", none[i]);
        c = config_of(text.data);
        assert_int_equal(c->observe.session_headers.count, 0);
        assert_int_equal(c->observe.capture_bytes_max, 10 * MIB);
        config_free(c);
        buf_fini(&text);
    }
}

static void test_keys(void **state)
{
    (void)state;
    struct config *c = config_of("apiKeys: [one]\n"
                                 "keys: [{key: two, name: \" ci \", class: background, wait: 30}, "
                                 "{key: three, maxClass: normal, wait: 0}]\n");
    assert_int_equal(c->key_count, 3);
    assert_string_equal(c->keys[0].key, "one");
    assert_int_equal(c->keys[0].entry, CONFIG_KEY_PLAIN);
    assert_false(c->keys[0].has_class || c->keys[0].has_wait);
    assert_int_equal(c->keys[0].class_max, CONFIG_CLASS_FOREGROUND);
    assert_string_equal(c->keys[1].name, "ci");
    assert_true(c->keys[1].has_class && c->keys[1].has_wait);
    assert_int_equal(c->keys[1].class, CONFIG_CLASS_BACKGROUND);
    assert_int_equal(c->keys[1].class_max, CONFIG_CLASS_FOREGROUND);
    assert_int_equal(c->keys[1].wait_ns_max, 30 * NS_PER_S);
    assert_string_equal(c->keys[2].key, "three");
    assert_false(c->keys[2].has_class);
    assert_true(c->keys[2].has_wait);
    assert_int_equal(c->keys[2].wait_ns_max, 0);
    assert_int_equal(c->keys[2].class_max, CONFIG_CLASS_NORMAL);
    config_free(c);
}

static void test_model_faces(void **state)
{
    (void)state;
    struct config *c = config_of(
        "sendLoadingState: true\n"
        "models:\n"
        "  a: &m {cmd: x, proxy: \"http://u:p@h:1/v1?k=v#f\"}\n"
        "  b: {<<: *m, sendLoadingState: false, timeouts: {connect: -1, tlsHandshake: 0, "
        "keepalive: 7, expectContinue: 2}, capabilities: {in: [image, text], context: 8192}}\n"
        "  comfyui_auto: {<<: *m, capabilities: {tools: false, in: []}, compat: "
        "{ignoreWebsockets: false}}\n");
    assert_string_equal(c->models[0].proxy, "http://h:1/v1?k=v");
    assert_true(c->models[0].sends_loading_state);
    assert_false(c->models[1].sends_loading_state);
    assert_int_equal(c->models[1].connect_timeout_ns, 0);
    assert_int_equal(c->models[1].tls_timeout_ns, 0);
    assert_int_equal(c->models[1].keepalive_ns, 7 * NS_PER_S);
    assert_int_equal(c->models[1].expect_timeout_ns, 2 * NS_PER_S);
    assert_true(c->models[1].capabilities.configured);
    assert_string_equal(c->models[1].capabilities.in.items[0], "image");
    assert_int_equal(c->models[1].capabilities.context_tokens, 8192);
    assert_false(c->models[2].capabilities.configured);
    assert_false(c->models[1].ignore_websockets);
    assert_true(c->models[2].ignore_websockets);
    config_free(c);
}

static void test_peers(void **state)
{
    (void)state;
    struct config *c =
        config_of("peers:\n"
                  "  b: {proxy: \"https://h/api\", apiKey: k, models: [x/y], filters: "
                  "{setParamsByID: {x/y: {a: 1}, other: {}}}}\n"
                  "  a: {proxy: \"http://h:${n}\", models: [m], timeouts: {responseHeader: 0}}\n"
                  "macros: {n: 9}\n");
    assert_string_equal(c->peers[0].id, "a");
    assert_string_equal(c->peers[0].proxy, "http://h:9");
    assert_int_equal(c->peers[0].header_timeout_ns, 0);
    assert_int_equal(c->peers[1].header_timeout_ns, 60 * NS_PER_S);
    assert_int_equal(c->peers[1].connect_timeout_ns, 30 * NS_PER_S);
    assert_int_equal(c->peers[1].idle_timeout_ns, 90 * NS_PER_S);
    assert_string_equal(c->peers[1].api_key, "k");
    assert_string_equal(c->peers[1].names.items[0], "b/x/y");
    assert_int_equal(c->peers[1].filters.variant_count, 2);
    assert_null(config_find_name(c, "other"));
    config_free(c);
}

/* Secrets do not get into what is printed. */
static void test_print_masks(void **state)
{
    (void)state;
    static const char text[] =
        "apiKeys: [SECRET1]\n"
        "keys: [{key: SECRET2}]\n"
        "peers: {p: {proxy: \"http://h\", apiKey: SECRET3, models: [m], filters: {setParams: "
        "{token: "
        "SECRET4, max_tokens: 5, a: {api_key: SECRET5, b: [1, \"c:d\"], e: \"x\\\"y\"}}}}}\n" M(
            "metadata: {password: SECRET6, keys: [SECRET7, SECRET8], note: open}");
    struct config *c = config_of(text);
    struct buf printed = {0};
    config_print(c, &printed);
    assert_null(strstr(printed.data, "SECRET"));
    assert_non_null(strstr(printed.data, "\"max_tokens\": 5\n"));
    assert_non_null(
        strstr(printed.data, "\"a\": {\"api_key\":\"***\",\"b\":[1,\"c:d\"],\"e\":\"x\\\"y\"}\n"));
    assert_non_null(
        strstr(printed.data,
               "metadata: {\"keys\":[\"***\",\"***\"],\"note\":\"open\",\"password\":\"***\"}\n"));
    buf_fini(&printed);
    config_free(c);
}

/* What does not need a new process is a new policy. */
static void test_hashes(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "filters: {stripParams: a}",
        "filters: {setParams: {a: 1}}",
        "filters: {setParamsByID: {m: {a: 1}}}",
        "metadata: {a: 1}",
        "capabilities: {in: [text]}",
        "capabilities: {tools: true}",
        "compat: {ignoreWebsockets: true}",
        "sendLoadingState: true",
        "timeouts: {tlsHandshake: 1}",
        "timeouts: {keepalive: 1}",
    };
    struct config *c = config_of(M(""));
    for (size_t i = 0; i < countof(changes); i++) {
        struct buf text = {0};
        buf_printf(&text, M("%s"), changes[i]);
        struct config *changed = config_of(text.data);
        assert_true(changed->models[0].hash_process == c->models[0].hash_process);
        if (changed->models[0].hash_policy == c->models[0].hash_policy)
            fail_msg("%s changes nothing", changes[i]);
        config_free(changed);
        buf_fini(&text);
    }
    config_free(c);
}

/* What grows with the square of a list is bounded. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *start, *repeat, *end, *wanted; /* "": it loads */
        uint32_t times;
    } floods[] = {
        {"peers: {p: {proxy: \"http://h\", models: [", "m%u,", "]}}\n", "", 4096},
        {"peers: {p: {proxy: \"http://h\", models: [", "m%u,", "]}}\n", "has more than 4096 models",
         4097},
        {"ui: {activity: {session_id: [", "h%u,", "]}}\n", "more than 64 headers", 65},
        {M("") "selectors: {s: {strategy: pin, targets: [", "m,", "]}}\n", "more than 4096 targets",
         4097},
        {M("") "selectors: {", "s%u: {strategy: pin, targets: [m]},", "}\n",
         "more than 4096 selectors", 4097},
        {"profiles: {", "f%u: {pins: {m: }},", "}\n", "more than 4096 profiles", 4097},
        {"peers: {", "p%u: {proxy: \"http://h\", models: [m]},", "}\n", "more than 1024 peers",
         1025},
        {"models: {m: {proxy: \"http://h:1\", cmd: x, filters: {setParamsByID: {", "v%u: ,",
         "}}}}\n", "", 30000},
    };
    for (size_t i = 0; i < countof(floods); i++) {
        struct buf text = {0};
        struct config_report report = {0};
        buf_text(&text, floods[i].start);
        for (uint32_t k = 0; k < floods[i].times; k++) {
            const char *number = strstr(floods[i].repeat, "%u");
            buf_append(&text, floods[i].repeat,
                       number ? (size_t)(number - floods[i].repeat) : strlen(floods[i].repeat));
            if (number)
                buf_printf(&text, "%u%s", k, number + 2);
        }
        buf_text(&text, floods[i].end);
        struct config *c = config_load_text("c", text.data, text.len, &report);
        const char *said = report.text.data ? report.text.data : "";
        if ((c != NULL) != (floods[i].wanted[0] == '\0') || !strstr(said, floods[i].wanted))
            fail_msg("%s: %.300s", floods[i].repeat, said);
        config_free(c);
        config_report_fini(&report);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports),       cmocka_unit_test(test_json),
        cmocka_unit_test(test_filters),       cmocka_unit_test(test_names),
        cmocka_unit_test(test_ignored_paths), cmocka_unit_test(test_observe),
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_model_faces),
        cmocka_unit_test(test_peers),         cmocka_unit_test(test_print_masks),
        cmocka_unit_test(test_hashes),        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
