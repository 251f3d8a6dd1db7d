/* Who serves a model, where it may sit and how it sleeps: what is taken, what it comes to, and what
 * is refused in which words. */
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
#include "config/ollama_name.h"
#include "config_text.h"

#define MODEL(keys) "models: {m: {" keys "}}\n"
#define PROCESS(keys) MODEL("cmd: \"x ${PORT}\", " keys)
#define OLLAMA(keys) MODEL("backend: ollama" keys)
#define WORKER(keys) MODEL("backend: worker" keys)
#define TWO_GPUS "gpus: [{sim: {name: A, memory: 8GiB}}, {sim: {name: B, memory: 8GiB}}]\n"
#define BUDGET "host: {suspendBudget: 1GiB}\n"

static const struct {
    const char *rule, *text;
    const char *report; /* NULL: nothing */
} reports[] = {
    /* backends and their keys */
    {"process", PROCESS("backend: process"), NULL},
    {"ollama", OLLAMA(""), NULL},
    {"worker", WORKER(""), NULL},
    {"backend unknown", MODEL("cmd: \"x ${PORT}\", backend: olama"),
     "c:1:41: error: backend must be process, ollama or worker, not 'olama'; did you mean "
     "'ollama'?\n"},
    {"backend unknown, and no cmd", MODEL("backend: olama, model: x"),
     "c:1:23: error: backend must be process, ollama or worker, not 'olama'; did you mean "
     "'ollama'?\n"},
    {"one server by two names",
     "models:\n"
     "  a: {backend: ollama, endpoint: \"http://localhost:1\"}\n"
     "  b: {backend: ollama, endpoint: \"http://127.0.0.1:1\"}\n"
     "  c: {backend: ollama, endpoint: \"http://127.0.0.1:2\"}\n"
     "  d: {backend: ollama, endpoint: \"http://far:1\"}\n"
     "  e: {backend: ollama, endpoint: \"http://near:1\"}\n"
     "  f: {backend: ollama, endpoint: \"unix:/a\"}\n"
     "  g: {backend: ollama, endpoint: \"unix:/b\"}\n"
     "  h: {backend: ollama, endpoint: \"http://127.0.0.1:1/\"}\n",
     "c:3:34: warning: the endpoint of model 'b' seems to be that of 'a' under another name, and "
     "counts as another server; write both as http://localhost:1\n"},
    {"cmd of ollama", OLLAMA(", cmd: ollama serve"),
     "c:1:36: error: cmd cannot be given with backend: ollama; wharf does not start its server\n"},
    {"cmd of a worker", WORKER(", cmd: x"),
     "c:1:36: error: cmd cannot be given with backend: worker; wharf does not start its server\n"},
    {"empty cmd of ollama", OLLAMA(", cmd: \"\""), NULL},
    {"cmdStop of a worker", WORKER(", cmdStop: x"),
     "c:1:40: error: cmdStop cannot be given with backend: worker; wharf does not end its "
     "server\n"},
    {"env of ollama", OLLAMA(", env: [A=b]"),
     "c:1:36: error: env cannot be given with backend: ollama; wharf does not start its server\n"},
    {"checkEndpoint of ollama", OLLAMA(", checkEndpoint: /x"),
     "c:1:46: error: checkEndpoint cannot be given with backend: ollama; it says itself when the "
     "model is ready\n"},
    {"proxy of ollama", OLLAMA(", proxy: \"http://h:1\""),
     "c:1:38: error: proxy cannot be given with backend: ollama; write endpoint\n"},
    {"proxy of a worker", WORKER(", proxy: \"http://h:1\""), NULL},
    {"port in the proxy of a worker", WORKER(", proxy: \"http://h:${PORT}\""),
     "c:1:38: error: proxy has ${PORT} but cmd has not; put ${PORT} into cmd\n"},
    {"endpoint of a process", PROCESS("endpoint: \"http://h:1\""),
     "c:1:42: error: endpoint cannot be given with backend: process; write proxy, or backend: "
     "ollama\n"},
    {"model of a process", PROCESS("model: x"),
     "c:1:39: error: model cannot be given with backend: process; write useModelName, or backend: "
     "ollama\n"},
    {"useModelName of ollama", OLLAMA(", model: a, useModelName: b"),
     "c:1:55: error: useModelName cannot be given with backend: ollama; write model\n"},
    {"suspend of ollama", OLLAMA(", suspend: vllm"),
     "c:1:40: error: suspend cannot be given with backend: ollama; only the engine of a process "
     "can be sent to sleep\n"},
    {"suspend of ollama, with settings", OLLAMA(", suspend: {vllm: {level: 1}}") BUDGET,
     "c:1:40: error: suspend cannot be given with backend: ollama; only the engine of a process "
     "can be sent to sleep\n"},
    {"suspend none of ollama", OLLAMA(", suspend: none"), NULL},
    {"devices of ollama", OLLAMA(", devices: {cpu: {}}"),
     "c:1:40: error: devices cannot be given with backend: ollama; Ollama chooses where its models "
     "sit; write vram and gpus, by which wharf plans\n"},
    {"vram of a worker", WORKER(", vram: 1GiB"),
     "c:1:37: error: vram cannot be given with backend: worker; write such as devices: {cuda: "
     "{vram: 500MiB}, cpu: {}}\n"},
    {"gpus of a worker", WORKER(", gpus: [0]"),
     "c:1:37: error: gpus cannot be given with backend: worker; write such as devices: {cuda: "
     "{gpus: [0]}, cpu: {}}\n"},
    {"gpuCount of a worker", WORKER(", gpuCount: 2"),
     "c:1:41: error: gpuCount cannot be given with backend: worker; write it below devices\n"},
    {"endpoint that is none", OLLAMA(", endpoint: localhost"),
     "c:1:41: error: this endpoint cannot be used: it must start with http:// or https://, or be "
     "unix:/PATH\n"},
    {"endpoint with a user", OLLAMA(", endpoint: \"http://u:p@h:1\""),
     "c:1:41: warning: user name and password in endpoint are ignored\n"},
    {"port in an endpoint", OLLAMA(", endpoint: \"http://h:${PORT}\""),
     "c:1:41: error: models.m.endpoint: ${PORT} is only known to models that have it in cmd\n"},
    {"one model of one server, twice",
     "models: {a: {backend: ollama, model: 'X:latest'}, b: {backend: ollama, model: x}, "
     "c: {backend: ollama, model: 'x:1b'}}",
     "c:1:64: error: model 'b' is the same model of the same server as 'a'; write an alias of "
     "that\n"},
    {"one model of one server, by its registry",
     "models: {a: {backend: ollama, model: x}, b: {backend: ollama, model: 'library/x'}}",
     "c:1:55: error: model 'b' is the same model of the same server as 'a'; write an alias of "
     "that\n"},
    {"one model of two servers",
     "models: {a: {backend: ollama, model: x}, b: {backend: ollama, model: x, endpoint: "
     "'http://h:1'}}",
     NULL},
    {"healthCheckTimeout of ollama, negative", OLLAMA(", healthCheckTimeout: -1"),
     "c:1:51: warning: healthCheckTimeout is negative, and taken as 15s\n"},
    /* devices */
    {"devices, a list", PROCESS("devices: [cpu]"),
     "c:1:41: error: devices must be a mapping, not a list\n"},
    {"devices, empty", PROCESS("devices: {}"),
     "c:1:41: error: devices is empty; write such as devices: {cuda: {vram: 500MiB}, cpu: {}}\n"},
    {"devices, a word below", PROCESS("devices: {cpu: yes}"),
     "c:1:47: error: 'cpu' in devices must be a mapping, not a text\n"},
    {"devices, nothing below", PROCESS("devices: {cuda: , cpu: }"), NULL},
    {"devices, five",
     PROCESS("devices: {cuda: {}, cpu: {}, a: {gpus: [0]}, b: {gpus: [0]}, c: {gpus: [0]}}"),
     "c:1:41: error: model 'm' has 5 devices; 4 is the most\n"},
    {"devices and vram", PROCESS("vram: 1GiB, gpuCount: 1, devices: {cpu: {}}"),
     "c:1:38: error: vram cannot stand beside devices; write it below a device\n"
     "c:1:54: error: gpuCount cannot stand beside devices; write it below a device\n"},
    {"devices and gpus", PROCESS("gpus: [0], devices: {cpu: {}}"),
     "c:1:38: error: gpus cannot stand beside devices; write it below a device\n"},
    {"unknown key of a device", PROCESS("devices: {cpu: {minfree: 1}}"),
     "c:1:48: warning: unknown key 'minfree' in models.ID.devices.NAME, ignored; did you mean "
     "'minFree'?\n"},
    {"cpu with GPU keys",
     WORKER(", devices: {cpu: {vram: 1GiB, minFree: 1, gpus: [0], gpuCount: 1}}"),
     "c:1:53: error: device cpu takes no GPU, so it has no vram; write cpu: {}\n"
     "c:1:68: error: device cpu takes no GPU, so it has no minFree; write cpu: {}\n"
     "c:1:77: error: device cpu takes no GPU, so it has no gpus; write cpu: {}\n"
     "c:1:92: error: device cpu takes no GPU, so it has no gpuCount; write cpu: {}\n"},
    {"GPU without memory", WORKER(", devices: {cuda: {vram: 0}}"),
     "c:1:54: error: device 'cuda' takes no GPU memory; such a one is called cpu\n"},
    {"vram of a device that is no size", WORKER(", devices: {cuda: {vram: much}}"),
     "c:1:54: error: vram must be a size such as 512MiB or 10.5GiB, or auto, not 'much'\n"},
    {"device called unloaded", WORKER(", devices: {unloaded: {gpus: [0]}}"),
     "c:1:41: error: a device cannot be called unloaded, since modes mean something else by it\n"},
    {"device without a name", WORKER(", devices: {\"\": {gpus: [0]}}"),
     "c:1:41: error: a device needs an id\n"},
    {"cmd of a worker's device", WORKER(", devices: {cpu: {cmd: x}}"),
     "c:1:52: error: cmd cannot be given with backend: worker; wharf does not start its server\n"},
    {"device that is nothing", TWO_GPUS WORKER(", devices: {cudaa: {}}"),
     "c:2:41: error: device 'cudaa' is none of cpu, cuda, rocm and vulkan, nor a GPU that is "
     "listed; write that, or its gpus\n"},
    {"device that is nothing, GPUs unknown", WORKER(", devices: {cudaa: {}}"), NULL},
    {"unknown GPU of a device", TWO_GPUS WORKER(", devices: {cuda: {gpus: [C]}}"),
     "c:2:55: error: unknown GPU 'C'\n"},
    {"too many GPUs of a device", TWO_GPUS WORKER(", devices: {A: {gpuCount: 2}}"),
     "c:2:55: error: gpuCount is 2, but model 'm' may use only 1 GPU\n"},
    {"cpu of a process with GPU keys", PROCESS("devices: {cuda: {}, cpu: {vram: 1GiB}}"),
     "c:1:64: error: device cpu takes no GPU, so it has no vram; only cmd can stand there\n"},
    {"GPUs that there are not", TWO_GPUS OLLAMA(", vram: 1GiB, gpus: [C], gpuCount: 2"),
     "c:2:50: error: unknown GPU 'C'\n"},
    {"more free than there is", TWO_GPUS WORKER(", devices: {cuda: {minFree: 9GiB}, cpu: {}}"),
     "c:2:57: warning: model 'm' on device 'cuda' can never be moved there: minFree is 9GiB, and "
     "no GPU has more than 8GiB for models\n"},
    {"as much free as there is", TWO_GPUS WORKER(", devices: {cuda: {minFree: 8GiB}, cpu: {}}"),
     NULL},
    {"device that is too large", TWO_GPUS WORKER(", devices: {cuda: {vram: 9GiB}, cpu: {}}"),
     "c:2:54: warning: model 'm' on device 'cuda' can never be loaded: it takes 9GiB, and no GPU "
     "has more than 8GiB for models\n"},
    {"command of a device without a port",
     MODEL("cmd: \"x ${PORT}\", devices: {cuda: {cmd: y}, cpu: {}}"),
     "c:1:42: error: the command of device 'cuda' has no ${PORT}, which the model's proxy has; put "
     "it there\n"},
    {"no command for one device",
     MODEL("proxy: \"http://h:1\", devices: {cuda: {cmd: y}, cpu: {}}"),
     "c:1:10: warning: model 'm' has no cmd, so it cannot be started\n"},
    {"commands of all devices",
     MODEL("devices: {cuda: {cmd: \"y ${PORT}\"}, cpu: {cmd: \"z ${PORT}\"}}"), NULL},
    {"command with an open quote", MODEL("devices: {cpu: {cmd: \"y ${PORT} 'a\"}}"),
     "c:1:35: warning: cmd: a quote is never closed; it ends with the text\n"},
    /* yield */
    {"yield", PROCESS("devices: {cuda: {}, cpu: {}}, yield: always"), NULL},
    {"yield without a place", PROCESS("yield: always"),
     "c:1:39: error: yield: always needs a place to go to; write such as devices: {cuda: {vram: "
     "500MiB}, cpu: {}}\n"},
    {"yield without cpu", PROCESS("devices: {cuda: {}}, yield: always"),
     "c:1:60: error: yield: always needs a place to go to; write such as devices: {cuda: {vram: "
     "500MiB}, cpu: {}}\n"},
    {"yield without fit",
     PROCESS("devices: {cuda: {}, cpu: {}}, yield: always") "routing: {router: {use: group}}\n",
     "c:1:69: warning: yield: always has no effect with the group router, in use because "
     "routing.router.use is group; write routing.router.use: fit\n"},
    {"yield of a worker without fit",
     WORKER(", devices: {cuda: {}, cpu: {}}") "routing: {router: {use: group}}\n",
     "c:1:10: warning: yield: always, as workers do, has no effect with the group router, in use "
     "because routing.router.use is group; write routing.router.use: fit\n"},
    {"yield of a worker on the host", WORKER("") "routing: {router: {use: group}}\n", NULL},
    {"yield unknown", WORKER(", yield: never"),
     "c:1:38: error: yield must be need or always, not 'never'; did you mean 'need'?\n"},
    /* suspend */
    {"suspend", PROCESS("vram: 1GiB, suspend: sglang") BUDGET, NULL},
    {"suspend without a budget", PROCESS("vram: 1GiB, suspend: a1111"),
     "c:1:53: warning: suspend: a1111 has no effect, since host.suspendBudget is 0; write such as "
     "host: {suspendBudget: 32GiB}\n"},
    {"suspend without fit", PROCESS("suspend: vllm") BUDGET,
     "c:1:41: warning: suspend: vllm has an effect by command alone: the group router, in use "
     "because no model gives vram or gpus, and no gpus are listed, sends nobody to sleep\n"},
    {"suspend: a list", PROCESS("suspend: [vllm]"),
     "c:1:41: error: suspend must be a word or a mapping, not a list\n"},
    {"suspend: empty mapping", PROCESS("suspend: {}"),
     "c:1:41: error: suspend takes one engine with its settings, vllm, tabby or http, not none of "
     "them; what has no settings is written as a word, such as suspend: sglang\n"},
    {"suspend: engine without settings", PROCESS("suspend: {sglang: {}}"),
     "c:1:41: error: suspend takes one engine with its settings, vllm, tabby or http, not none of "
     "them; what has no settings is written as a word, such as suspend: sglang\n"
     "c:1:42: warning: unknown key 'sglang' in models.ID.suspend, ignored\n"},
    {"suspend: two engines", PROCESS("suspend: {vllm: {}, tabby: {model: x}}"),
     "c:1:41: error: suspend takes one engine with its settings, vllm, tabby or http, not several; "
     "what has no settings is written as a word, such as suspend: sglang\n"},
    {"vllm, level", PROCESS("vram: 1GiB, suspend: {vllm: {level: 3}}") BUDGET,
     "c:1:68: error: level must be at most 2\n"},
    {"tabby, a word", PROCESS("vram: 1GiB, suspend: tabby") BUDGET,
     "c:1:53: error: suspend: tabby does not say the model that it loads again: write suspend: "
     "{tabby: {model: NAME}}\n"},
    {"tabby without its model", PROCESS("vram: 1GiB, suspend: {tabby: {adminKey: k}}") BUDGET,
     "c:1:61: error: suspend.tabby needs the model that it loads again, such as model: NAME\n"},
    {"tabby with a key of two lines",
     PROCESS("vram: 1GiB, suspend: {tabby: {model: x, adminKey: \"a\\nb\"}}") BUDGET,
     "c:1:82: error: suspend.tabby.adminKey has blanks or control characters in it\n"},
    {"http, a word", PROCESS("vram: 1GiB, suspend: http") BUDGET,
     "c:1:53: error: suspend: http does not say its requests: write suspend: {http: {suspend: "
     "{path: /PATH}, resume: {path: /PATH}}}\n"},
    {"http without a request", PROCESS("vram: 1GiB, suspend: {http: {resume: {path: /r}}}") BUDGET,
     "c:1:60: error: suspend.http needs what sends the model to sleep, such as suspend: {path: "
     "/sleep}\n"},
    {"http without a path", PROCESS("vram: 1GiB, suspend: {http: {suspend: {body: x}}}") BUDGET,
     "c:1:70: error: suspend.http.suspend needs a path, such as path: /sleep\n"},
    {"http, paths that are none",
     PROCESS("vram: 1GiB, suspend: {http: {suspend: {path: s}, resume: {path: /a b}, check: {path: "
             "\"/#\", member: m}}}") BUDGET,
     "c:1:77: error: suspend.http.suspend: 's' is no path; write such as /sleep\n"
     "c:1:96: error: suspend.http.resume: '/a b' is no path; write such as /sleep\n"
     "c:1:117: error: suspend.http.check: '/#' is no path; write such as /sleep\n"},
    {"http, method",
     PROCESS("vram: 1GiB, suspend: {http: {suspend: {path: /s, method: PSOT}}}") BUDGET,
     "c:1:89: error: method must be POST, GET, PUT, PATCH or DELETE, not 'PSOT'; did you mean "
     "'POST'?\n"},
    {"http, check without a member",
     PROCESS("vram: 1GiB, suspend: {http: {suspend: {path: /s}, check: {path: /c}}}") BUDGET,
     "c:1:89: error: suspend.http.check needs a path and a member, such as {path: /is_sleeping, "
     "member: is_sleeping}\n"},
    /* modes */
    {"wish for a device",
     WORKER(", devices: {cuda: {}, cpu: {}}") "modes: {a: {m: cpu}, b: {m: cuda}}\n", NULL},
    {"wish for no device", WORKER(", devices: {cuda: {}, cpu: {}}") "modes: {a: {m: cude}}\n",
     "c:2:16: error: a mode wants model 'm' loaded, unloaded, on one of its devices (cuda, cpu), "
     "or "
     "on a GPU that 'gpus' lists, not 'cude'; did you mean 'cuda'?\n"},
    {"wish for a device of a model that has none", PROCESS("vram: 1GiB") "modes: {a: {m: cpu}}\n",
     "c:2:16: error: a mode wants a model loaded, unloaded, or on a GPU that 'gpus' lists, not "
     "'cpu'\n"},
    {"wish for a GPU that is not among its devices",
     TWO_GPUS WORKER(", devices: {A: {}, cpu: {}}") "modes: {a: {m: B}}\n",
     "c:3:16: error: model 'm' may not use GPU 'B', as its devices say\n"},
    {"wishes for more than there is room for",
     TWO_GPUS WORKER(
         ", devices: {cuda: {}, x: {gpus: [A, B]}, rocm: {}, cpu: {}}") "modes: {a: {m: A}, b: {m: "
                                                                        "B}}\n",
     "c:3:8: error: modes want model 'm' on 2 GPUs; 0 is the most, besides its devices\n"},
    {"wishes for GPUs that are devices",
     TWO_GPUS WORKER(", devices: {A: {}, B: {}, cuda: {}, cpu: {}}") "modes: {a: {m: A}, b: {m: "
                                                                     "B}, c: {m: 0}}\n",
     NULL},
    /* times and thresholds */
    {"backendRetry", "backendRetry: 10s\n", NULL},
    {"backendRetry, too short", "backendRetry: 1ms\n",
     "c:1:15: error: backendRetry must be at least 100ms\n"},
    {"hooks.timeout", "hooks: {timeout: 10s}\n", NULL},
    {"hooks.timeout, too long", "hooks: {timeout: 2h}\n",
     "c:1:18: error: timeout must be at most 1h\n"},
    {"gpus[].changed", "gpus: [{changed: 1GiB}]\n", NULL},
    {"gpus[].changed, too little", "gpus: [{changed: 1}]\n",
     "c:1:18: error: changed must be at least 1MiB; write a size with its unit, such as 24GiB\n"},
};

static void test_reports(void **state)
{
    (void)state;
    uint32_t failed = 0;
    for (size_t i = 0; i < countof(reports); i++)
        failed += !config_says(reports[i].rule, reports[i].text, strlen(reports[i].text),
                               reports[i].report ? reports[i].report : "");
    assert_int_equal(failed, 0);
}

static void test_nine_endpoints(void **state)
{
    struct buf text = {0};
    struct config_report report = {0};
    (void)state;
    buf_text(&text, "models:\n");
    for (int i = 0; i < 10; i++)
        buf_printf(&text, "  m%d: {backend: ollama, endpoint: \"http://h:%d%s\"}\n", i,
                   i < 9 ? i + 1 : 1, i < 9 ? "" : "/");
    assert_null(config_load_text("c", text.data, text.len, &report));
    assert_string_equal(report.text.data, "c:10:35: error: model 'm8' has the endpoint number 9; 8 "
                                          "different ones are the most\n");
    buf_fini(&text);
    config_report_fini(&report);
}

/* Lines of the printed configuration. */
static const struct {
    const char *rule, *text, *printed;
} printed[] = {
    {"endpoint", OLLAMA(""), "    endpoint: \"http://127.0.0.1:11434\"\n    model: \"m\"\n"},
    {"endpoint, given", OLLAMA(", endpoint: \"http://h:1/\", model: \" a:b \""),
     "    endpoint: \"http://h:1\"\n    model: \"a:b\"\n"},
    {"endpoint, a socket", OLLAMA(", endpoint: \"unix:/run/o\""), "endpoint: \"unix:/run/o\"\n"},
    {"proxy of a worker", WORKER(", proxy: \"http://h:1\""), "    proxy: \"http://h:1\"\n"},
    {"devices", WORKER(", devices: {cuda: {vram: 500MiB, gpus: [0], gpuCount: 1}, cpu: }"),
     "    devices:\n"
     "      \"cuda\":\n"
     "        vram: 500MiB\n"
     "        gpus: [\"0\"]\n"
     "        gpuCount: 1\n"
     "        minFree: 1GiB\n"
     "      \"cpu\": {}\n"},
    {"devices of a process",
     PROCESS("devices: {cpu: {cmd: \"y ${PORT}\"}, cuda: {vram: auto, minFree: 2GiB}}"),
     "    devices:\n"
     "      \"cpu\":\n"
     "        cmd: \"y ${PORT}\"\n"
     "      \"cuda\":\n"
     "        vram: auto\n"
     "        gpuCount: 1\n"
     "        minFree: 2GiB\n"},
    {"minFree of a process", PROCESS("devices: {cuda: {}}"), "minFree: 0\n"},
    {"comments in the command of a device",
     "models:\n  m:\n    devices:\n      cpu:\n        cmd: |\n          # no\n          y "
     "${PORT}\n",
     "cmd: \"y ${PORT}\\n\"\n"},
    {"port of the command of a device", MODEL("devices: {cpu: {cmd: \"y ${PORT}\"}}"),
     "startPort: 5800\n"},
    {"a worker sits on the host", WORKER(""), "    devices:\n      \"cpu\": {}\n"},
    {"yield of a worker", WORKER(""), "yield: always\n"},
    {"yield of a worker without cpu", WORKER(", devices: {cuda: {}}"), "yield: need\n"},
    {"yield of a worker, given", WORKER(", yield: need"), "yield: need\n"},
    {"yield of a process", PROCESS(""), "yield: need\n"},
    {"vllm", PROCESS("suspend: vllm"), "    suspend:\n      vllm:\n        level: 1\n"},
    {"vllm, level", PROCESS("suspend: {vllm: {level: 2}}"), "        level: 2\n"},
    {"tabby", PROCESS("suspend: {tabby: {model: t, adminKey: secret}}"),
     "    suspend:\n      tabby:\n        model: \"t\"\n        adminKey: \"***\"\n"},
    {"http",
     PROCESS("suspend: {http: {suspend: {path: \"/s?a=1\"}, resume: {method: PUT, path: /r, body: "
             "\"{}\"}, check: {path: /c, member: a.b, value: 1}}}"),
     "    suspend:\n"
     "      http:\n"
     "        suspend:\n"
     "          method: POST\n"
     "          path: \"/s?a=1\"\n"
     "          body: \"\"\n"
     "        resume:\n"
     "          method: PUT\n"
     "          path: \"/r\"\n"
     "          body: \"{}\"\n"
     "        check:\n"
     "          path: \"/c\"\n"
     "          member: \"a.b\"\n"
     "          value: \"1\"\n"},
    {"a word", PROCESS("suspend: comfyui"), "    suspend: comfyui\n"},
    {"wishes", WORKER(", devices: {cuda: {}, cpu: {}}") "modes: {a: {m: cpu}}\n" TWO_GPUS,
     "  \"a\":\n    \"m\": \"cpu\"\n"},
    {"wish for a GPU", WORKER(", devices: {cuda: {}, cpu: {}}") "modes: {a: {m: B}}\n" TWO_GPUS,
     "  \"a\":\n    \"m\": \"1\"\n"},
    {"backendRetry", "backendRetry: 5s\n", "backendRetry: 5s\n"},
    {"hooks.timeout", "hooks: {timeout: 5s}\n", "hooks:\n  timeout: 5s\n"},
    {"gpus[].changed", "gpus: [{changed: 50MiB}, {}]\n", "    changed: 50MiB\n"},
    {"gpus[].changed, default", "gpus: [{changed: 50MiB}, {}]\n", "    changed: 100MiB\n"},
};

/* The same when it is read again, but for why the router and the scheduler are what they are. */
static void test_printed(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(printed); i++) {
        struct buf once = {0}, twice = {0};
        struct config *c = config_of_rule(printed[i].rule, printed[i].text);
        config_print(c, &once);
        config_free(c);
        if (!strstr(once.data, printed[i].printed))
            fail_msg("%s: no\n%sin\n%s", printed[i].rule, printed[i].printed, once.data);
        c = config_of_rule(printed[i].rule, once.data);
        config_print(c, &twice);
        config_free(c);
        assert_string_equal(strstr(once.data, "classes:"), strstr(twice.data, "classes:"));
        buf_fini(&once);
        buf_fini(&twice);
    }
}

static void test_times_by_backend(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t load_ns, unload_ns;
        uint32_t retries;
    } cases[] = {
        {PROCESS("ttl: 1"), 120 * NS_PER_S, 10 * NS_PER_S, 0},
        {WORKER(""), 120 * NS_PER_S, 10 * NS_PER_S, 0},
        {OLLAMA(""), 30 * NS_PER_S, 5 * NS_PER_S, 3},
        {OLLAMA(", maxLoadRetries: 0, healthCheckTimeout: 5, unloadTimeout: 2"), 5 * NS_PER_S,
         2 * NS_PER_S, 0},
        {"healthCheckTimeout: 60\nunloadTimeout: 7\n" OLLAMA(""), 60 * NS_PER_S, 7 * NS_PER_S, 3},
        {"healthCheckTimeout: 5\n" OLLAMA(""), 5 * NS_PER_S, 5 * NS_PER_S, 3},
        {"healthCheckTimeout: 5\n" PROCESS("ttl: 1"), 15 * NS_PER_S, 10 * NS_PER_S, 0},
        {WORKER(", healthCheckTimeout: 1500ms"), 1500 * NS_PER_MS, 10 * NS_PER_S, 0},
        {PROCESS("healthCheckTimeout: 1500ms"), 15 * NS_PER_S, 10 * NS_PER_S, 0},
        {OLLAMA(", healthCheckTimeout: 0, unloadTimeout: 0"), 15 * NS_PER_S, 5 * NS_PER_S, 3},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct config *c = config_of(cases[i].text);
        assert_int_equal(c->models[0].load_timeout_ns, cases[i].load_ns);
        assert_int_equal(c->models[0].unload_timeout_ns, cases[i].unload_ns);
        assert_int_equal(c->models[0].load_retries_max, cases[i].retries);
        config_free(c);
    }
}

static void test_placements(void **state)
{
    (void)state;
    struct config *c = config_of(
        "models:\n"
        "  a: {cmd: \"x ${PORT}\"}\n"
        "  b: {cmd: \"x ${PORT}\", vram: 0}\n"
        "  c: {backend: worker, devices: {cpu: {}, cuda: {vram: 500MiB}, A: {}, x: {gpus: [B, A], "
        "gpuCount: 2, minFree: 2GiB}}}\n"
        "  d: {backend: ollama, endpoint: \"http://h:1\"}\n"
        "  e: {backend: ollama}\n"
        "  f: {backend: ollama, endpoint: \"http://h:1/\"}\n" TWO_GPUS);
    const struct config_model *m = c->models;
    assert_string_equal(c->planner_why, "gpus are listed");
    assert_int_equal(m[0].placement_count, 1);
    assert_string_equal(m[0].placements[0].id, "gpu");
    assert_false(m[0].has_variants || m[0].placements[0].host);
    assert_int_equal(m[1].placement_count, 0);
    assert_null(config_model_on_gpu(&m[1]));
    assert_int_equal(m[2].placement_count, 4);
    const struct config_placement *p = m[2].placements;
    assert_true(p[0].host && !p[1].host);
    assert_ptr_equal(config_model_on_gpu(&m[2]), &p[1]);
    assert_int_equal(p[1].vram_bytes, 500 * MIB);
    assert_int_equal(p[1].free_bytes_min, GIB);
    assert_int_equal(p[1].gpus.count, 0);
    assert_string_equal(p[2].gpus.items[0], "A");
    assert_false(config_placement_may_use(c, &p[0], 0) || config_placement_may_use(c, &p[2], 1));
    assert_true(config_placement_may_use(c, &p[2], 0) && config_placement_may_use(c, &p[3], 1));
    assert_int_equal(p[3].gpu_count, 2);
    assert_int_equal(p[3].free_bytes_min, 2 * GIB);
    assert_int_equal(config_model_find_placement(&m[2], "x"), 3);
    assert_int_equal(config_model_find_placement(&m[2], "y"), UINT32_MAX);
    const uint32_t numbers[] = {0, 0, 0, 1, 2, 1};
    for (size_t i = 0; i < countof(numbers); i++)
        assert_int_equal(m[i].endpoint_number, numbers[i]);
    config_free(c);
    c = config_of(WORKER(", devices: {cuda: {}}"));
    assert_string_equal(c->planner_why, "model m gives devices");
    config_free(c);
    c = config_of(WORKER(", devices: {cpu: {}}"));
    assert_int_equal(c->planner, CONFIG_PLAN_GROUP);
    config_free(c);
}

/* The first device is preferred, and stays so. */
/* What another machine's server holds takes nothing here, unless something is said of it. */
static void test_where_the_server_is(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        uint32_t placements;
    } cases[] = {
        {"", 1},
        {", endpoint: 'http://localhost:1/x'", 1},
        {", endpoint: 'https://LOCALHOST'", 1},
        {", endpoint: 'http://127.8.0.1:11434'", 1},
        {", endpoint: 'http://[::1]:11434'", 1},
        {", endpoint: 'unix:/run/o.sock'", 1},
        {", endpoint: 'http://127.0.0.1.example:1'", 0},
        {", endpoint: 'http://localhost.example'", 0},
        {", endpoint: 'http://10.0.0.7:11434'", 0},
        {", endpoint: 'http://[::1:2]:11434'", 0},
        {", endpoint: 'http://gpu-box:11434'", 0},
        {", endpoint: 'http://gpu-box:11434', vram: 1GiB", 1},
        {", endpoint: 'http://gpu-box:11434', vram: auto", 1},
        {", endpoint: 'http://gpu-box:11434', gpus: [0]", 1},
        {", endpoint: 'http://gpu-box:11434', vram: 0", 0},
        {", vram: 0", 0},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        char text[256];
        snprintf(text, sizeof(text),
                 "gpus: [{sim: {memory: 1GiB}}]\nmodels: {m: {backend: ollama%s}}", cases[i].keys);
        struct config *c = config_of(text);
        if (c->models[0].placement_count != cases[i].placements)
            fail_msg("%s: %u placements", cases[i].keys, c->models[0].placement_count);
        config_free(c);
    }
}

static void test_wishes(void **state)
{
    (void)state;
    struct config *c = config_of(TWO_GPUS WORKER(
        ", aliases: [w], devices: {cpu: {}, cuda: {}, B: {}}") "modes: {a: {w: cuda}, b: {m: B}, "
                                                               "c: {m: A}, d: {m: loaded}, e: {m: "
                                                               "1}}\n");
    static const struct {
        uint32_t placement, gpu;
    } wanted[] = {{1, CONFIG_GPU_ANY},
                  {2, CONFIG_GPU_ANY},
                  {1, 0},
                  {CONFIG_PLACEMENT_ANY, CONFIG_GPU_ANY},
                  {2, 1}};
    for (size_t i = 0; i < countof(wanted); i++) {
        assert_int_equal(c->modes[i].wishes[0].kind, CONFIG_WISH_LOADED);
        assert_int_equal(c->modes[i].wishes[0].placement, wanted[i].placement);
        assert_int_equal(c->modes[i].wishes[0].gpu, wanted[i].gpu);
    }
    config_free(c);
}

enum change { NOTHING, POLICY, NEW_PROCESS };

/* Whether a model has to be started anew for what has changed. */
static void test_hashes(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        enum change change;
    } cases[] = {
        {OLLAMA(""), OLLAMA(", endpoint: \"http://127.0.0.1:11434/\", model: m"), NOTHING},
        {OLLAMA(""), OLLAMA(", endpoint: \"http://127.0.0.1:11435\""), NEW_PROCESS},
        {OLLAMA(""), OLLAMA(", model: n"), NEW_PROCESS},
        {OLLAMA(""), OLLAMA(", vram: 1GiB"), POLICY},
        {OLLAMA(""), OLLAMA(", maxLoadRetries: 1"), POLICY},
        {WORKER(""), WORKER(", devices: {cpu: {}}"), NOTHING},
        {WORKER(""), WORKER(", devices: {cpu: {}, cuda: {}}"), NEW_PROCESS},
        {WORKER(", devices: {cpu: {}, cuda: {}}"), WORKER(", devices: {cuda: {}, cpu: {}}"),
         NEW_PROCESS},
        {WORKER(", devices: {cuda: {}, cpu: {}}"),
         WORKER(", devices: {cuda: {gpus: [0]}, cpu: {}}"), NEW_PROCESS},
        {WORKER(", devices: {cuda: {}, cpu: {}}"),
         WORKER(", devices: {cuda: {minFree: 2GiB}, cpu: {}}"), POLICY},
        {WORKER(", devices: {cuda: {}, cpu: {}}"),
         WORKER(", devices: {cuda: {minFree: 1GiB}, cpu: {}}"), NOTHING},
        {WORKER(", devices: {cuda: {}, cpu: {}}"),
         WORKER(", devices: {cuda: {vram: 1GiB}, cpu: {}}"), POLICY},
        {WORKER(", devices: {cuda: {}, cpu: {}}"),
         WORKER(", devices: {cuda: {}, cpu: {}}, yield: need"), POLICY},
        {PROCESS("devices: {cpu: {}}"), PROCESS("devices: {cpu: {cmd: \"y ${PORT}\"}}"),
         NEW_PROCESS},
        {PROCESS("devices: {cpu: {}}"), WORKER(", proxy: \"http://localhost:1\""), NEW_PROCESS},
        {PROCESS("suspend: vllm"), PROCESS("suspend: {vllm: {level: 1}}"), NOTHING},
        {PROCESS("suspend: vllm"), PROCESS("suspend: {vllm: {level: 2}}"), POLICY},
        {PROCESS("suspend: {tabby: {model: a}}"), PROCESS("suspend: {tabby: {model: b}}"), POLICY},
        {PROCESS("suspend: {tabby: {model: a}}"),
         PROCESS("suspend: {tabby: {model: a, adminKey: k}}"), POLICY},
        {PROCESS("suspend: {http: {suspend: {path: /a}}}"),
         PROCESS("suspend: {http: {suspend: {path: /a, method: PUT}}}"), POLICY},
        {PROCESS("suspend: {http: {suspend: {path: /a}}}"),
         PROCESS("suspend: {http: {suspend: {path: /a}, resume: {path: /b}}}"), POLICY},
        {PROCESS("suspend: {http: {suspend: {path: /a}, check: {path: /c, member: d}}}"),
         PROCESS("suspend: {http: {suspend: {path: /a}, check: {path: /c, member: d, value: 2}}}"),
         POLICY},
    };
    for (size_t i = 0; i < countof(cases); i++) {
        struct config *a = config_of(cases[i].a), *b = config_of(cases[i].b);
        bool process = a->models[0].hash_process != b->models[0].hash_process;
        bool policy = a->models[0].hash_policy != b->models[0].hash_policy;
        enum change change = process ? NEW_PROCESS : policy ? POLICY : NOTHING;
        if (change != cases[i].change)
            fail_msg("%s%sis %d, not %d", cases[i].a, cases[i].b, change, cases[i].change);
        config_free(a);
        config_free(b);
    }
}

/* What a manager of one vision model and one CLIP model has by default. */
static void test_recording(void **state)
{
    char path[4096];
    struct config_report report = {0};
    (void)state;
    snprintf(path, sizeof(path), "%s/examples/recording.yaml", getenv("WHARF_SOURCE_ROOT"));
    struct config *c = config_load_file(path, &report);
    assert_non_null(c);
    assert_int_equal(report.warnings, 0);
    assert_int_equal(c->planner, CONFIG_PLAN_FIT);
    const struct config_model *clip = &c->models[0], *vlm = &c->models[1];
    assert_int_equal(vlm->backend, CONFIG_BACKEND_OLLAMA);
    assert_string_equal(vlm->endpoint, "http://127.0.0.1:11434");
    assert_string_equal(vlm->backend_model, "qwen3-vl:8b");
    assert_int_equal(vlm->ttl_ns, 300 * NS_PER_S);
    assert_int_equal(vlm->load_retries_max, 3);
    assert_int_equal(vlm->load_timeout_ns, 30 * NS_PER_S);
    assert_int_equal(vlm->unload_timeout_ns, 5 * NS_PER_S);
    assert_int_equal(vlm->placements[0].vram_bytes, GIB * 21 / 2);
    assert_int_equal(clip->backend, CONFIG_BACKEND_WORKER);
    assert_int_equal(clip->yield, CONFIG_YIELD_ALWAYS);
    assert_int_equal(clip->placements[0].vram_bytes, 500 * MIB);
    assert_int_equal(clip->placements[0].free_bytes_min, GIB);
    assert_true(clip->placements[1].host);
    assert_string_equal(c->modes[0].id, "autopilot");
    assert_int_equal(c->modes[0].wishes[1].placement, 0);
    assert_int_equal(c->modes[2].wishes[1].placement, 1);
    config_free(c);
    config_report_fini(&report);
}

static void test_names_of_ollama(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {{"qwen3", "qwen3:latest", true},
                {"qwen3:8b", "QWEN3:8B", true},
                {"qwen3:8b", "qwen3", false},
                {"qwen3", "qwen", false},
                {"library/qwen3", "qwen3:latest", true},
                {"registry.ollama.ai/library/qwen3:8b", "qwen3:8b", true},
                {"https://registry.ollama.ai/library/qwen3", "qwen3", true},
                {"me/qwen3", "qwen3", false},
                {"host:5000/me/qwen3", "host:5000/me/qwen3:latest", true},
                {"host:5000/me/qwen3", "host:5001/me/qwen3", false},
                {"hf.co/a/b:Q4", "hf.co/a/b:q4", true}};
    for (size_t i = 0; i < countof(rows); i++)
        if (config_same_ollama_name(rows[i].a, rows[i].b) != rows[i].same ||
            config_same_ollama_name(rows[i].b, rows[i].a) != rows[i].same)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports),         cmocka_unit_test(test_nine_endpoints),
        cmocka_unit_test(test_printed),         cmocka_unit_test(test_times_by_backend),
        cmocka_unit_test(test_placements),      cmocka_unit_test(test_where_the_server_is),
        cmocka_unit_test(test_wishes),          cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_names_of_ollama), cmocka_unit_test(test_recording),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
