/* What a configuration means: a YAML text in, lines of config_print or fields of the struct out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "base/pure/units.h"
#include "config/config.h"
#include "config/settings.h"
#include "config_text.h"

/* A model that needs nothing else. */
#define MODEL(keys) "models: {m: {proxy: \"http://h:1\", cmd: x" keys "}}\n"

static const struct {
    const char *rule, *text;
    const char *printed; /* a line, without the blanks before it */
} printed[] = {
    {"health check, default", MODEL(""), "healthCheckTimeout: 120s"},
    {"health check, top level", "healthCheckTimeout: 30\n" MODEL(""), "healthCheckTimeout: 30s"},
    {"health check, raised", "healthCheckTimeout: 5\n" MODEL(""), "healthCheckTimeout: 15s"},
    {"health check, own", "healthCheckTimeout: 30\n" MODEL(", healthCheckTimeout: 1m"),
     "healthCheckTimeout: 60s"},
    {"health check, own, raised", MODEL(", healthCheckTimeout: 1"), "healthCheckTimeout: 15s"},
    {"ttl, default", MODEL(""), "ttl: 0"},
    {"ttl, top level", "globalTTL: 90\n" MODEL(""), "ttl: 90s"},
    {"ttl, -1", "globalTTL: 90\n" MODEL(", ttl: -1"), "ttl: 90s"},
    {"ttl, never", "globalTTL: 90\n" MODEL(", ttl: 0"), "ttl: 0"},
    {"ttl, with a unit", MODEL(", ttl: 5m"), "ttl: 300s"},
    {"ttl, quoted with a unit", MODEL(", ttl: \"5m\""), "ttl: 300s"},
    {"ttl, fraction", MODEL(", ttl: 1.5"), "ttl: 1500ms"},
    {"ttl, hexadecimal", MODEL(", ttl: 0x10"), "ttl: 16s"},
    {"unloadTimeout, default", MODEL(""), "unloadTimeout: 10s"},
    {"unloadTimeout, 0 is the default", "unloadTimeout: 0\n" MODEL(""), "unloadTimeout: 10s"},
    {"unloadTimeout, top level", "unloadTimeout: 3\n" MODEL(", unloadTimeout: 0"),
     "unloadTimeout: 3s"},
    {"unloadTimeout, own", "unloadTimeout: 3\n" MODEL(", unloadTimeout: 4"), "unloadTimeout: 4s"},
    {"concurrencyLimit, default", MODEL(""), "concurrencyLimit: 10"},
    {"concurrencyLimit, 0 is the default", MODEL(", concurrencyLimit: 0"), "concurrencyLimit: 10"},
    {"concurrencyLimit, own", MODEL(", concurrencyLimit: 1"), "concurrencyLimit: 1"},
    {"concurrencyLimit, 1_0", MODEL(", concurrencyLimit: 1_0"), "concurrencyLimit: 10"},
    {"concurrencyLimit, 08 is a float", MODEL(", concurrencyLimit: 08"), "concurrencyLimit: 8"},
    {"concurrencyLimit of ComfyUI", "models: {comfyui_auto: {cmd: \"x ${PORT}\"}}",
     "concurrencyLimit: 50"},
    {"maxQueue, default", MODEL(""), "maxQueue: 1000"},
    {"maxQueue, 0", MODEL(", maxQueue: 0"), "maxQueue: 0"},
    {"null leaves the default", MODEL(", maxQueue: ~, ttl: , checkEndpoint: null"),
     "maxQueue: 1000"},
    {"connect, default", MODEL(""), "connect: 30s"},
    {"connect, 0 is none", MODEL(", timeouts: {connect: 0}"), "connect: 0"},
    {"responseHeader", MODEL(", timeouts: {responseHeader: 60}"), "responseHeader: 60s"},
    {"idleConn, default", MODEL(""), "idleConn: 4s"},
    {"bool", MODEL(", unlisted: true"), "unlisted: true"},
    {"bool, on", MODEL(", unlisted: on"), "unlisted: true"},
    {"bool, quoted yes", MODEL(", unlisted: \"yes\""), "unlisted: true"},
    {"bool, off", MODEL(", unlisted: off"), "unlisted: false"},
    {"text from a number", MODEL(", name: 1.50"), "name: \"1.50\""},
    {"text, trimmed", MODEL(", name: \"  a b \""), "name: \"a b\""},
    {"checkEndpoint, default", MODEL(""), "checkEndpoint: \"/health\""},
    {"checkEndpoint, none", MODEL(", checkEndpoint: \" none \""), "checkEndpoint: \"none\""},
    {"checkEndpoint without a slash", MODEL(", checkEndpoint: ready?x=1"),
     "checkEndpoint: \"/ready?x=1\""},
    {"checkEndpoint, absolute", MODEL(", checkEndpoint: \"http://h:9/ready?x\""),
     "checkEndpoint: \"/ready?x\""},
    {"vram", MODEL(", vram: 10.5GiB"), "vram: 10752MiB"},
    {"vram, none", MODEL(", vram: 0"), "vram: 0"},
    {"vram, least", MODEL(", vram: 1MiB"), "vram: 1MiB"},
    {"vram, auto", MODEL(", vram: auto"), "vram: auto"},
    {"gpus of a model", MODEL(", gpus: [0, A]"), "gpus: [\"0\", \"A\"]"},
    {"aliases", MODEL(", aliases: [a, 7]"), "aliases: [\"a\", \"7\"]"},
    {"body", "", "maxBody: 512MiB"},
    {"spool", "", "spool: 4GiB"},
    {"connections", "", "maxConnections: 8192"},
    {"head", "", "head: 30s"},
    {"body timeout", "", "body: 60s"},
    {"idle", "", "idle: 75s"},
    {"write", "", "write: 60s"},
    {"shutdown", "", "shutdown: 30s"},
    {"listener timeout, given", "timeouts: {head: 1m30s}", "head: 90s"},
    {"listener timeout, none", "timeouts: {head: 0}", "head: 0"},
    {"log level", "logLevel: \" WARN \"", "logLevel: \"warn\""},
    {"log level, default", "", "logLevel: \"info\""},
    {"port", "listen: \":80\"", "- \":80\""},
    {"host and port", "listen: localhost:80", "- \"localhost:80\""},
    {"all interfaces", "listen: \"*:0\"", "- \":0\""},
    {"IPv6", "listen: [\"[::1]:80\"]", "- \"[::1]:80\""},
    {"unix", "listen: [\":1\", \"unix:/a b\"]", "- \"unix:/a b\""},
    {"sim name", "gpus: [{sim: {memory: 1GiB}}, {sim: {memory: 2GiB}}]", "name: \"sim1\""},
    {"sim memory", "gpus: [{sim: {memory: 24GiB}}]", "memory: 24GiB"},
    {"share", "gpus: [{limit: 0.95}]", "limit: 0.950"},
    {"share in percent", "gpus: [{limit: 92.5%}]", "limit: 0.925"},
    {"share, default", "gpus: [{}]", "limit: 1.000"},
    {"reserve", "gpus: [{reserve: 512MiB}]", "reserve: 512MiB"},
    {"sample", "gpus: [{sample: 250ms}]", "sample: 250ms"},
    {"planner, default", MODEL(""), "use: group"},
    {"planner, by vram", MODEL(", vram: 1GiB"), "use: fit"},
    {"planner, by a model's gpus", MODEL(", gpus: [0]"), "use: fit"},
    {"planner, by gpus", "gpus: [{}]", "use: fit"},
    {"planner, given", "routing: {router: {use: fit}}", "use: fit"},
    {"planner, given against vram", MODEL(", vram: 1GiB") "routing: {router: {use: group}}",
     "use: group"},
    {"planner, empty", MODEL(", vram: 1GiB") "routing: {router: {use: \"\"}}", "use: fit"},
    {"why", MODEL(", vram: 1GiB"), "router: # model m gives vram"},
    {"planner, by the older matrix against vram", MODEL(", vram: 1GiB") "matrix: {sets: {s: m}}",
     "use: matrix"},
    {"planner, matrix",
     MODEL("") "routing: {router: {use: matrix, settings: {matrix: {sets: {s: m}}}}}",
     "use: matrix"},
    {"why matrix", MODEL("") "matrix: {sets: {s: m}}", "router: # matrix is given"},
    {"matrix: vars", MODEL("") "matrix: {vars: {a.b-C: m}, sets: {s: a.b-C}}", "\"a.b-C\": \"m\""},
    {"matrix: costs", MODEL("") "matrix: {evict_costs: {m: 0x10}, sets: {s: m}}", "\"m\": 16"},
    {"matrix: sets", MODEL("") "matrix: {sets: {s: \"m |  m\"}}", "\"s\": \"m |  m\""},
    {"scheduler, default", "", "use: fair"},
    {"scheduler, empty", "routing: {scheduler: {use: \"\"}}", "use: fair"},
    {"scheduler, why by default", "", "scheduler: # it is the default"},
    {"scheduler, fair", "routing: {scheduler: {use: fair}}", "use: fair"},
    {"scheduler, why", "routing: {scheduler: {use: fair}}",
     "scheduler: # routing.scheduler.use is fair"},
    {"scheduler, fifo", "routing: {scheduler: {use: fifo}}", "use: fifo"},
    {"scheduler, by priorities alone",
     MODEL("") "routing: {scheduler: {settings: {fifo: {priority: {m: 1}}}}}", "use: fair"},
    {"minResident, default", "", "minResident: 10s"},
    {"maxServe, default", "", "maxServe: 600s"},
    {"minResident, none", "routing: {scheduler: {settings: {fair: {minResident: 0}}}}",
     "minResident: 0"},
    {"maxServe", "routing: {scheduler: {settings: {fair: {maxServe: 1s}}}}", "maxServe: 1s"},
    {"maxWait, default", "", "maxWait: 30s"},
    {"maxWait of normal, default", "", "maxWait: 120s"},
    {"maxWait of background, default", "classes: {background: {}}", "maxWait: 600s"},
    {"maxWait, never", "classes: {normal: {maxWait: never}}", "maxWait: never"},
    {"maxWait, 0", "classes: {normal: {maxWait: 0}}", "maxWait: never"},
    {"maxWait, a year", "classes: {foreground: {maxWait: 8760h}}", "maxWait: 31536000s"},
    {"gate, defaults", "gates: {g: }", "maxWait: never"},
    {"gate, limit by default", "gates: {g: {}}", "limit: 1"},
    {"gate, limit", "gates: {g: {limit: 1000000}}", "limit: 1000000"},
    {"gate, maxWait", "gates: {g: {maxWait: 1500ms}}", "maxWait: 1500ms"},
    {"mode idle", "", "\"idle\": {}"},
    {"mode", MODEL("") "modes: {a: {m: loaded}}", "\"m\": loaded"},
    {"mode, by alias", MODEL(", aliases: [q]") "modes: {idle: {q: unloaded}}", "\"m\": unloaded"},
    {"mode, by a GPU's name",
     MODEL("") "modes: {a: {m: S}}\ngpus: [{}, {sim: {name: S, memory: 1GiB}}]", "\"m\": \"1\""},
    {"startMode", "modes: {a: }\nstartMode: a", "startMode: \"a\""},
    {"startMode, default", "modes: {a: }", "startMode: \"idle\""},
    {"host", "host: {suspendBudget: 32GiB}", "suspendBudget: 32GiB"},
    {"host, default", "", "suspendBudget: 0"},
    {"onExit, default", "", "onExit: stop"},
    {"onExit", "onExit: keep", "onExit: keep"},
    {"hook", "hooks: {on: {model_loaded: \"notify 'a b'\"}}", "- \"notify 'a b'\""},
    {"hooks of an event", "hooks: {on: {evicted: [a, \"b c\"], drained: d}}", "- \"b c\""},
    {"secrets in hooks are hidden", "hooks: {on: {oom: \"x --token abc\"}}", "- \"x --token ***\""},
    {"class, default", MODEL(""), "class: normal"},
    {"class", MODEL(", class: background"), "class: background"},
    {"priorityParam", MODEL(", priorityParam: \" priority \""), "priorityParam: \"priority\""},
    {"pin", MODEL(", pin: true"), "pin: true"},
    {"maxLoadRetries, default", MODEL(""), "maxLoadRetries: 0"},
    {"maxLoadRetries", MODEL(", maxLoadRetries: 100"), "maxLoadRetries: 100"},
    {"maxQueue, most", MODEL(", maxQueue: 1000000"), "maxQueue: 1000000"},
    {"suspend", MODEL(", suspend: comfyui"), "suspend: comfyui"},
    {"onAbort, default", MODEL(""), "onAbort: cancel"},
    {"onAbort", MODEL(", onAbort: drain"), "onAbort: drain"},
    {"gpuCount, default", MODEL(""), "gpuCount: 1"},
    {"gpuCount", MODEL(", gpuCount: 8"), "gpuCount: 8"},
    {"scheduler, serial", "routing: {scheduler: {use: serial}}", "use: serial"},
    {"priority by alias",
     MODEL(", aliases: [a]") "routing: {scheduler: {settings: {fifo: "
                             "{priority: {a: -3}}}}}",
     "\"m\": -3"},
    {"groups", MODEL("") "groups: {g: {swap: false, members: [m]}}", "members: [\"m\"]"},
    {"groups, new place",
     MODEL("") "routing: {router: {settings: {groups: {g: {exclusive: no, members: [m]}}}}}",
     "exclusive: false"},
    {"preload by alias, once",
     MODEL(", aliases: [a]") "hooks: {on_startup: {preload: [a, \" m \"]}}", "preload: [\"m\"]"},
    {"keys are hidden", "apiKeys: [abc]", "apiKeys: [\"***\"]"},
    {"secrets in env are hidden", MODEL(", env: [HF_TOKEN=abc]"), "- \"HF_TOKEN=***\""},
    {"secrets in cmd are hidden", "models: {m: {cmd: \"x --api-key 'a b' --port ${PORT}\"}}",
     "cmd: \"x --api-key *** --port ${PORT}\""},
    {"secrets in cmd are hidden, whatever they are called",
     "models: {m: {cmd: \"x --port ${PORT} --admin-api-key=a -e HF_TOKEN=b --tokenizer t\"}}",
     "cmd: \"x --port ${PORT} --admin-api-key=*** -e HF_TOKEN=*** --tokenizer t\""},
    {"secrets in a query are hidden",
     "models: {m: {cmd: x, proxy: \"http://h/v1?alt=sse&key=a&x\"}}",
     "proxy: \"http://h/v1?alt=sse&key=***&x\""},
    {"merge", "x: &x {ttl: 7, name: n}\n" MODEL(", <<: *x, name: o"), "ttl: 7s"},
    {"merge: the own value counts", "x: &x {ttl: 7, name: n}\n" MODEL(", <<: *x, name: o"),
     "name: \"o\""},
    {"merge of a list: the first counts", "x: [&x {ttl: 7}, &y {ttl: 8}]\n" MODEL(", <<: [*x, *y]"),
     "ttl: 7s"},
    {"alias", "x: &x [a, b]\n" MODEL(", aliases: *x"), "aliases: [\"a\", \"b\"]"},
    {"tag", MODEL(", unlisted: !!bool \"true\""), "unlisted: true"},
    {"env", "state: /a/${env.WHARF_TEST_VALUE}", "state: \"/a/v \\\\ \\\"w\""},
    {"env in a flow list", MODEL(", aliases: [${env.WHARF_TEST_VALUE}]"),
     "aliases: [\"v \\\\ \\\"w\"]"},
    {"env in quotes", "state: \"${env.WHARF_TEST_VALUE}\"", "state: \"v \\\\ \\\"w\""},
    {"env makes a number", MODEL(", maxQueue: ${env.WHARF_TEST_NUMBER}"), "maxQueue: 42"},
    {"env names a variable", "state: ${env.WHARF_TEST_NAMES}", "state: \"42\""},
    {"env in a key", "models: {\"${env.WHARF_TEST_NUMBER}\": {cmd: \"${PORT}\"}}", "\"42\":"},
    {"macro", "macros: {a: x}\nstate: /${a}/${a}", "state: \"/x/x\""},
    {"macro: what is no reference", "state: $a ${a.b} ${} ${x:-y} $${",
     "state: \"$a ${a.b} ${} "
     "${x:-y} $${\""},
    {"macro uses one above", "macros: {a: x, b: \"${a}y\"}\nstate: ${b}", "state: \"xy\""},
    {"macro: model id", "macros: {a: \"<${MODEL_ID}>\"}\n" MODEL(", name: \"${a}\""),
     "name: \"<m>\""},
    {"macro of a model", MODEL(", macros: {a: x}, name: \"${a}\""), "name: \"x\""},
    {"macro of a model in a global one's place",
     "macros: {a: x, b: \"${a}\"}\n" MODEL(", macros: {a: y}, name: \"${b}\""), "name: \"y\""},
    {"macro of a model uses a global one",
     "macros: {a: x}\n" MODEL(", macros: {b: \"${a}!\"}, name: \"${b}\""), "name: \"x!\""},
    {"macro keeps its type", "macros: {n: 3}\n" MODEL(", maxQueue: \"${n}\""), "maxQueue: 3"},
    {"macro keeps its type, bool", "macros: {t: true}\n" MODEL(", unlisted: \"${t}\""),
     "unlisted: true"},
    {"macro in a text: number", "macros: {n: 0x10}\nstate: a${n}", "state: \"a16\""},
    {"macro in a text: float", "macros: {n: 1.50}\nstate: a${n}", "state: \"a1.5\""},
    {"macro in a text: large float", "macros: {n: 1e6}\nstate: a${n}", "state: \"a1e+06\""},
    {"macro in a text: float below", "macros: {n: 123456.0}\nstate: a${n}", "state: \"a123456\""},
    {"macro in a text: small float", "macros: {n: 0.00001}\nstate: a${n}", "state: \"a1e-05\""},
    {"macro in a text: bool", "macros: {t: True}\nstate: a${t}", "state: \"atrue\""},
    {"macro in a text: quoted number", "macros: {n: \"1.50\"}\nstate: a${n}", "state: \"a1.50\""},
    {"macros in lists", "macros: {a: x}\n" MODEL(", aliases: [\"${a}1\"]"), "aliases: [\"x1\"]"},
    {"macro with a port", "macros: {s: \"s --port ${PORT}\"}\nmodels: {m: {cmd: \"${s} -x\"}}",
     "cmd: \"s --port ${PORT} -x\""},
    {"PORT elsewhere is the preferred one",
     "models: {m: {cmd: \"x ${PORT}\", name: \"at ${PORT}\", maxQueue: \"${PORT}\"}}",
     "name: \"at 5800\""},
    {"PORT elsewhere is a number",
     "models: {m: {cmd: \"x ${PORT}\", name: \"at ${PORT}\", maxQueue: \"${PORT}\"}}",
     "maxQueue: 5800"},
    {"PORT stays in proxy", "models: {m: {cmd: \"x ${PORT}\", proxy: \"http://h:${PORT}/v\"}}",
     "proxy: \"http://h:${PORT}/v\""},
    {"proxy, default", "models: {m: {cmd: \"x ${PORT}\"}}", "proxy: \"http://localhost:${PORT}\""},
    {"PID stays", MODEL(", cmdStop: \"kill ${PID}\""), "cmdStop: \"kill ${PID}\""},
    {"startPort from a macro",
     "macros: {p: 7000}\nstartPort: ${p}\nmodels: {m: {cmd: \"${PORT}\"}}", "startPort: 7000"},
    {"comments leave cmd", "models:\n  m:\n    cmd: |\n      a\n       # b ${c}\n      ${PORT}\n",
     "cmd: \"a\\n${PORT}\\n\""},
    {"continued lines", "models:\n  m:\n    cmd: |\n      a \\\n      ${PORT}\n",
     "cmd: \"a  \\n${PORT}\\n\""},
};

static bool has_line(const char *text, const char *wanted)
{
    size_t n = strlen(wanted);
    for (const char *line = text; *line;) {
        const char *start = line + strspn(line, " "), *end = start + strcspn(start, "\n");
        if ((size_t)(end - start) == n && memcmp(start, wanted, n) == 0)
            return true;
        line = *end ? end + 1 : end;
    }
    return false;
}

static void test_printed(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(printed); i++) {
        struct config *c = config_of(printed[i].text);
        struct buf out = {0};
        config_print(c, &out);
        if (!has_line(out.data, printed[i].printed))
            fail_msg("%s: no '%s' in\n%s", printed[i].rule, printed[i].printed, out.data);
        buf_fini(&out);
        config_free(c);
    }
}

/* The printed configuration without the reasons, which are comments and change. */
static char *print_plain(const struct config *c)
{
    struct buf out = {0};
    config_print(c, &out);
    for (char *reason; (reason = strstr(out.data, ": # ")) != NULL;)
        memmove(reason + 1, strchr(reason, '\n'), strlen(strchr(reason, '\n')) + 1);
    return buf_take(&out);
}

/* What is printed loads again, to the same. */
static void test_print_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(printed); i++) {
        struct config *c = config_of(printed[i].text);
        char *once = print_plain(c);
        struct config *again = config_of(once);
        char *twice = print_plain(again);
        if (strcmp(once, twice) != 0)
            fail_msg("%s:\n%s-- is not\n%s", printed[i].rule, once, twice);
        config_free(again);
        config_free(c);
        free(once);
        free(twice);
    }
}

static void test_models(void **state)
{
    (void)state;
    struct config *c =
        config_of("startPort: 6000\n"
                  "models:\n"
                  "  b: {cmd: \"serve --port ${PORT}\", env: [\"P=${PORT}\"]}\n"
                  "  a: {cmd: \"serve 'x y'\", proxy: \"http://h\", aliases: [z, c]}\n"
                  "  c: {cmd: \"c ${PORT}\", cmdStop: \"kill -2 ${PID}\"}\n");
    assert_int_equal(c->model_count, 3);
    const struct config_model *a = &c->models[0], *b = &c->models[1], *third = &c->models[2];
    assert_string_equal(a->id, "a");
    assert_false(a->uses_port);
    assert_int_equal(a->port_preferred, 0);
    assert_int_equal(a->argv.count, 2);
    assert_string_equal(a->argv.items[1], "x y");
    assert_int_equal(a->placement_count, 1);
    assert_int_equal(a->placements[0].vram, CONFIG_VRAM_UNSET);
    assert_string_equal(b->id, "b");
    assert_true(b->uses_port);
    assert_int_equal(b->port_preferred, 6000);
    assert_string_equal(b->argv.items[2], "${PORT}");
    assert_string_equal(b->env.items[0], "P=${PORT}");
    assert_string_equal(b->use_model_name, "");
    assert_int_equal(third->port_preferred, 6001);
    assert_int_equal(third->stop_argv.count, 3);
    assert_string_equal(third->stop_argv.items[2], "${PID}");
    assert_int_equal(third->load_timeout_ns, 120 * NS_PER_S);
    /* Ids come before aliases. */
    assert_ptr_equal(config_find_model(c, "z"), a);
    assert_ptr_equal(config_find_model(c, "c"), third);
    assert_null(config_find_model(c, "Z"));
    assert_null(config_find_model(c, ""));
    config_free(c);
}

static void test_groups(void **state)
{
    (void)state;
    struct config *c = config_of("models:\n"
                                 "  a: {cmd: \"${PORT}\"}\n"
                                 "  b: {cmd: \"${PORT}\", aliases: [bee]}\n"
                                 "  c: {cmd: \"${PORT}\"}\n"
                                 "groups:\n"
                                 "  y: {members: [c], persistent: true}\n"
                                 "  x: {members: [bee], swap: false, exclusive: false}\n");
    assert_int_equal(c->group_count, 3);
    assert_string_equal(c->groups[0].id, "x");
    assert_false(c->groups[0].swap);
    assert_false(c->groups[0].exclusive);
    assert_string_equal(c->groups[1].id, "y");
    assert_true(c->groups[1].persistent);
    assert_string_equal(c->groups[2].id, "(default)");
    assert_true(c->groups[2].swap);
    assert_true(c->groups[2].exclusive);
    assert_int_equal(c->models[0].group, 2);
    assert_int_equal(c->models[1].group, 0);
    assert_int_equal(c->models[2].group, 1);
    config_free(c);
    c = config_of("models: {a: {cmd: \"${PORT}\"}}\ngroups: {g: {members: [a]}}\n");
    assert_int_equal(c->group_count, 1);
    config_free(c);
    c = config_of("");
    assert_int_equal(c->group_count, 0);
    assert_int_equal(c->model_count, 0);
    config_free(c);
}

/* The words of a setting and the enum they become are the same list. */
static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum config_class class;
        enum config_suspend suspend;
        enum config_abort on_abort;
    } cases[] = {
        {MODEL(""), CONFIG_CLASS_NORMAL, CONFIG_SUSPEND_NONE, CONFIG_ABORT_CANCEL},
        {MODEL(", class: foreground, suspend: vllm, onAbort: drain"), CONFIG_CLASS_FOREGROUND,
         CONFIG_SUSPEND_VLLM, CONFIG_ABORT_DRAIN},
        {MODEL(", class: background, suspend: sglang, onAbort: cancel"), CONFIG_CLASS_BACKGROUND,
         CONFIG_SUSPEND_SGLANG, CONFIG_ABORT_CANCEL},
        {MODEL(", class: , suspend: cuda"), CONFIG_CLASS_NORMAL, CONFIG_SUSPEND_CUDA,
         CONFIG_ABORT_CANCEL},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct config *c = config_of(cases[i].text);
        assert_int_equal(c->models[0].class, cases[i].class);
        assert_int_equal(c->models[0].suspend, cases[i].suspend);
        assert_int_equal(c->models[0].on_abort, cases[i].on_abort);
        assert_int_equal(c->on_exit, CONFIG_EXIT_STOP);
        assert_int_equal(c->scheduler, CONFIG_SCHED_FAIR);
        assert_int_equal(c->planner, CONFIG_PLAN_GROUP);
        config_free(c);
    }
}

static void test_policies(void **state)
{
    (void)state;
    struct config *c = config_of(
        "models: {a: {cmd: \"${PORT}\"}, b: {cmd: \"${PORT}\", gpus: [S, 0], aliases: [bee]}}\n"
        "gpus: [{limit: 50%}, {sim: {name: S, memory: 1GiB}}, {reserve: 1GiB, sample: 5s}]\n"
        "classes: {foreground: {maxWait: 1s}, background: {maxWait: never}}\n"
        "gates: {z: {limit: 3}, mlx: {maxWait: 5m}}\n"
        "modes: {night: {bee: S, a: unloaded}, day: {a: loaded}, zzz: {}}\n"
        "startMode: night\n"
        "host: {suspendBudget: 1GiB}\n"
        "hooks: {on: {oom: a 'b c', evicted: [d, e]}}\n"
        "routing: {scheduler: {settings: {fair: {minResident: 1m, maxServe: 2m}}}}\n");
    assert_int_equal(c->fair.wait_ns_max[CONFIG_CLASS_FOREGROUND], NS_PER_S);
    assert_int_equal(c->fair.wait_ns_max[CONFIG_CLASS_NORMAL], 120 * NS_PER_S);
    assert_int_equal(c->fair.wait_ns_max[CONFIG_CLASS_BACKGROUND], 0);
    assert_int_equal(c->fair.min_resident_ns, 60 * NS_PER_S);
    assert_int_equal(c->fair.serve_ns_max, 120 * NS_PER_S);
    assert_int_equal(c->suspend_bytes_max, GIB);
    assert_int_equal(c->gate_count, 2);
    assert_string_equal(c->gates[0].id, "mlx");
    assert_int_equal(c->gates[0].limit, 1);
    assert_int_equal(c->gates[0].wait_ns_max, 300 * NS_PER_S);
    assert_int_equal(c->gates[1].limit, 3);
    assert_int_equal(c->gates[1].wait_ns_max, 0);
    assert_int_equal(c->mode_count, 4);
    static const char *const modes[] = {"day", "idle", "night", "zzz"};
    for (size_t i = 0; i < countof(modes); i++)
        assert_string_equal(c->modes[i].id, modes[i]);
    assert_int_equal(c->start_mode, 2);
    const struct config_mode *night = &c->modes[2];
    assert_int_equal(night->wish_count, 2);
    assert_int_equal(night->wishes[0].model, 1);
    assert_int_equal(night->wishes[0].kind, CONFIG_WISH_LOADED);
    assert_int_equal(night->wishes[0].gpu, 1);
    assert_int_equal(night->wishes[1].model, 0);
    assert_int_equal(night->wishes[1].kind, CONFIG_WISH_UNLOADED);
    assert_int_equal(c->modes[0].wishes[0].gpu, CONFIG_GPU_ANY);
    assert_int_equal(c->hook_count, 3);
    assert_string_equal(c->hooks[0].event, "oom");
    assert_int_equal(c->hooks[0].argv.count, 2);
    assert_string_equal(c->hooks[0].argv.items[1], "b c");
    assert_string_equal(c->hooks[2].event, "evicted");
    assert_string_equal(c->hooks[2].command, "e");
    assert_false(c->gpus[0].sim);
    assert_int_equal(c->gpus[0].limit_permille, 500);
    assert_int_equal(c->gpus[2].reserve_bytes, GIB);
    assert_int_equal(c->gpus[2].sample_ns, 5 * NS_PER_S);
    assert_true(config_placement_may_use(c, &c->models[1].placements[0], 0) &&
                config_placement_may_use(c, &c->models[0].placements[0], 2));
    assert_false(config_placement_may_use(c, &c->models[1].placements[0], 2));
    config_free(c);
}

static void test_shares(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        uint32_t gpus;
        uint64_t share;
    } cases[] = {{0, 1, 0},
                 {0, 8, 0},
                 {1, 1, 1},
                 {1, 8, 1},
                 {8, 8, 1},
                 {9, 8, 2},
                 {INT64_MAX, 2, UINT64_C(1) << 62},
                 {GIB, 3, 357913942}};
    for (size_t i = 0; i < countof(cases); i++) {
        struct config_placement p = {.vram_bytes = cases[i].bytes, .gpu_count = cases[i].gpus};
        assert_int_equal(config_placement_share_bytes(&p), cases[i].share);
    }
}

static void test_hashes(void **state)
{
    (void)state;
    static const char base[] = "models: {m: {cmd: \"x ${PORT}\"}}";
    static const struct {
        const char *text;
        bool process, policy; /* whether the hash differs from that of the base */
    } cases[] = {
        {"models: {m: {cmd: \"x ${PORT}\"}}", false, false},
        {"models: {m: {cmd: \"x  ${PORT}\"}}", false, false},
        {"models: {m: {cmd: \"x ${PORT}\"}, a: {cmd: \"${PORT}\"}}", false, false},
        {"models: {m: {cmd: \"y ${PORT}\"}}", true, false},
        {"models: {m: {cmd: \"x ${PORT}\", env: [A=b]}}", true, false},
        {"models: {m: {cmd: \"x ${PORT}\", proxy: \"http://h:${PORT}\"}}", true, false},
        {"models: {m: {cmd: \"x ${PORT}\", gpus: [0]}}", true, false},
        {"models: {m: {cmd: \"x ${PORT}\", ttl: 1}}", false, true},
        {"models: {m: {cmd: \"x ${PORT}\", name: n}}", false, true},
        {"models: {m: {cmd: \"x ${PORT}\", vram: 1GiB}}", false, true},
        {"models: {m: {cmd: \"x ${PORT}\"}}\ngroups: {g: {members: [m]}}", false, true},
    };
    struct config *b = config_of(base);
    for (size_t i = 0; i < countof(cases); i++) {
        struct config *c = config_of(cases[i].text);
        const struct config_model *m = config_find_model(c, "m");
        if ((m->hash_process != b->models[0].hash_process) != cases[i].process ||
            (m->hash_policy != b->models[0].hash_policy) != cases[i].policy)
            fail_msg("%s", cases[i].text);
        config_free(c);
    }
    config_free(b);
}

static void test_nearest_models(void **state)
{
    (void)state;
    struct config *c = config_of("models:\n"
                                 "  qwen-7b: {cmd: \"${PORT}\", aliases: [small]}\n"
                                 "  qwen-72b: {cmd: \"${PORT}\"}\n"
                                 "  llama: {cmd: \"${PORT}\"}\n");
    static const struct {
        const char *name;
        const char *nearest[3];
    } cases[] = {
        {"qwen-7", {"qwen-7b", "qwen-72b", NULL}},
        {"QWEN-72B", {"qwen-72b", "qwen-7b", NULL}},
        {"qwen", {"qwen-72b", "qwen-7b", NULL}},
        {"smlal", {"small", NULL, NULL}},
        {"gpt-4o", {NULL, NULL, NULL}},
        {"", {NULL, NULL, NULL}},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        const char *out[3] = {NULL, NULL, NULL};
        uint32_t n = config_nearest_models(c, cases[i].name, out, 3);
        for (uint32_t k = 0; k < 3; k++) {
            const char *wanted = cases[i].nearest[k];
            if ((k < n) != (wanted != NULL) || (wanted && strcmp(out[k], wanted) != 0))
                fail_msg("%s: %s, not %s", cases[i].name, out[k] ? out[k] : "(none)",
                         wanted ? wanted : "(none)");
        }
        assert_int_equal(config_nearest_models(c, cases[i].name, out, 1), n > 0);
    }
    config_free(c);
}

/* The table itself: rows of a scope stand together, defaults can be read, limits make sense. */
/* As YAML 1.2.2 has it, and PyYAML too. */
static void test_single_quotes(void **state)
{
    static const struct {
        const char *quoted, *text;
    } cases[] = {
        {"''", ""},
        {"'a''b'", "a'b"},
        {"'a''''b'", "a''b"},
        {"''''", "'"},
        {"''''''", "''"},
        {"'a  '", "a  "},
        {"'it''''s ''''''quoted'''''''", "it''s '''quoted'''"},
        {"''''''''''''''''''''''''''''''''''''''''", "'''''''''''''''''''"},
        {"'p \n\n  q'", "p\nq"},
        {"'  p \n\n  q\tr  \n  s'", "  p\nq\tr s"},
        {"'p\t\n\n\n  q'", "p\n\nq"},
        {"'\n  q'", " q"},
        {"' \n  q \n  '", " q "},
        {"'x''\n  ''y'", "x' 'y"},
        {"'a\r\n  b'", "a b"},
        {"'\xc3\xa9''''\xc3\xa9'", "\xc3\xa9''\xc3\xa9"},
        {"'${env.WHARF_TEST_NUMBER}'", "42"},
    };
    (void)state;
    for (size_t i = 0; i < countof(cases); i++) {
        char text[256];
        snprintf(text, sizeof(text), MODEL(", useModelName: %s"), cases[i].quoted);
        struct config *c = config_of_rule(cases[i].quoted, text);
        if (strcmp(c->models[0].use_model_name, cases[i].text) != 0)
            fail_msg("%s: '%s', not '%s'", cases[i].quoted, c->models[0].use_model_name,
                     cases[i].text);
        config_free(c);
    }
}

static void test_settings(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &settings[i];
        if (!s->key || !s->doc || s->doc[0] == '\0')
            fail_msg("row %u has no key or no doc", i);
        if (i < setting_first(s->scope) || i >= setting_end(s->scope))
            fail_msg("%s does not stand with the rows of %s", s->key, setting_scope_path(s->scope));
        assert_ptr_equal(setting_find(s->scope, s->key), s);
        assert_true(s->min <= s->max);
        if (s->type == TYPE_COUNT && s->unit[0] == '\0')
            fail_msg("%s has no unit", s->key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printed),       cmocka_unit_test(test_print_round_trip),
        cmocka_unit_test(test_models),        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_hashes),        cmocka_unit_test(test_nearest_models),
        cmocka_unit_test(test_settings),      cmocka_unit_test(test_words),
        cmocka_unit_test(test_policies),      cmocka_unit_test(test_shares),
        cmocka_unit_test(test_single_quotes),
    };
    setenv("WHARF_TEST_VALUE", "v \\ \"w", 1);
    setenv("WHARF_TEST_NUMBER", "42", 1);
    setenv("WHARF_TEST_NAMES", "${env.WHARF_TEST_NUMBER}", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
