/* What config_load says about texts that are not right: one row a rule, the report in full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four before it. */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"
#include "config/config.h"
#include "config_text.h"

/* With its length, since some have a NUL inside. */
#define TEXT(text) text, sizeof(text) - 1

static const struct {
    const char *rule, *text;
    size_t n;
    const char *report;
} cases[] = {
    {"nothing", TEXT(""), ""},
    {"only comments",
     TEXT("# nothing\n"
          "\n"),
     ""},
    {"null document", TEXT("---\n"), ""},
    /* source */
    {"top level is a list", TEXT("- a\n"),
     "c:1:1: error: the top level must be a mapping, such as 'models:'\n"},
    {"top level is a text", TEXT("hello\n"),
     "c:1:1: error: the top level must be a mapping, such as 'models:'\n"},
    {"not UTF-8",
     TEXT("models:\n"
          "  a: \377\n"),
     "c:2:6: error: not a text file: byte 0xff is not allowed in YAML\n"},
    {"control byte",
     TEXT("a: b\n"
          "c: \001\n"),
     "c:2:4: error: not a text file: byte 0x01 is not allowed in YAML\n"},
    {"NUL byte", TEXT("a\000b"),
     "c:1:2: error: not a text file: byte 0x00 is not allowed in YAML\n"},
    {"NUL by escape", TEXT("state: \"a\\0b\"\n"),
     "c:1:8: error: the text holds a NUL byte or bytes that are not UTF-8\n"},
    {"tab for indentation",
     TEXT("models:\n"
          "\ta: {}\n"),
     "c:2:1: error: indented with a tab; YAML takes spaces only\n"},
    {"bracket not closed",
     TEXT("apiKeys: [a, b\n"
          "models: {}\n"),
     "c:3:1: error: not valid YAML: flow sequence without a closing bracket\n"},
    {"text after a quoted one", TEXT("state: \"a\" b\n"),
     "c:1:12: error: not valid YAML: invalid trailing content after double-quoted scalar\n"},
    {"key twice",
     TEXT("state: a\n"
          "logLevel: info\n"
          "state: b\n"),
     "c:3:1: error: key 'state' stands here twice, first in line 1\n"},
    {"key twice, models",
     TEXT("models:\n"
          "  a: {cmd: x, proxy: \"http://h\"}\n"
          "  a: {cmd: x, proxy: \"http://h\"}\n"),
     "c:3:3: error: key 'a' stands here twice, first in line 2\n"},
    {"second document",
     TEXT("state: a\n"
          "---\n"
          "state: b\n"),
     "c:2:1: warning: a second YAML document starts here; it and what follows is ignored\n"},
    {"alias without anchor",
     TEXT("x-a: &base {ttl: 5}\n"
          "models: *bsae\n"),
     "c:2:10: error: alias 'bsae' has no anchor before it; did you mean 'base'?\n"},
    {"alias inside itself", TEXT("x-a: &a [*a]\n"),
     "c:1:11: error: alias 'a' stands inside what it refers to\n"},
    {"merge of a text",
     TEXT("models:\n"
          "  <<: 5\n"),
     "c:2:7: error: '<<' takes a mapping or a list of mappings, such as *name\n"},
    {"key that is a list",
     TEXT("? [a, b]\n"
          ": c\n"),
     "c:1:3: error: a key must be text, not a list or a mapping\n"},
    /* keys */
    {"unknown key with a near one", TEXT("loglevel: info\n"),
     "c:1:1: warning: unknown key 'loglevel', ignored; did you mean 'logLevel'?\n"},
    {"unknown key of another scope", TEXT("ttl: 5\n"),
     "c:1:1: warning: unknown key 'ttl', ignored; it belongs to models.ID\n"},
    {"unknown key, nothing near", TEXT("qqqqqqqq: 5\n"),
     "c:1:1: warning: unknown key 'qqqqqqqq', ignored\n"},
    {"unknown key in a model",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, concurencyLimit: 3}}"),
     "c:1:43: warning: unknown key 'concurencyLimit' in models.ID, ignored; did you mean "
     "'concurrencyLimit'?\n"},
    {"unknown key in timeouts", TEXT("timeouts: {reed: 3s}\n"),
     "c:1:12: warning: unknown key 'reed' in timeouts, ignored; did you mean 'head'?\n"},
    {"x- keys and definitions are silent",
     TEXT("x-y: 1\n"
          "defs:\n"
          "  d: &d {ttl: 5}\n"
          "models: {m: {proxy: \"http://h:1\", cmd: x, <<: *d}}"),
     ""},
    {"empty keys of llama-swap",
     TEXT("peers: {}\nselectors: {}\nprofiles: {}\nstore: {}\nui: {}\nperformance: {}\n"
          "upstream: {}\nkeys: []\nlogRequests: true\n"),
     ""},
    {"no effect yet",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, suspend: cuda, onAbort: drain}}\n"
          "hooks: {on: {evicted: x}}\n"),
     "c:1:52: warning: suspend: cuda has no effect yet: the driver's checkpoint is not used so "
     "far\n"},
    /* types */
    {"mapping for text", TEXT("models: {m: {proxy: \"http://h:1\", cmd: {a: b}}}"),
     "c:1:40: error: cmd must be a text, not a mapping\n"},
    {"list for bool", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, unlisted: []}}"),
     "c:1:53: error: unlisted must be true or false, not a list\n"},
    {"quoted bool", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, unlisted: \"true\"}}"),
     "c:1:53: error: unlisted must be true or false, without quotes, not 'true'\n"},
    {"word for bool", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, unlisted: yea}}"),
     "c:1:53: error: unlisted must be true or false, not 'yea'\n"},
    {"quoted number", TEXT("startPort: \"5800\"\n"),
     "c:1:12: error: startPort must be a number; write startPort: 5800, without quotes\n"},
    {"text for number", TEXT("startPort: first\n"),
     "c:1:12: error: startPort must be a whole number, not a text\n"},
    {"bool for number", TEXT("startPort: true\n"),
     "c:1:12: error: startPort must be a whole number, not true or false\n"},
    {"float for whole number",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, concurrencyLimit: 2.7}}"),
     "c:1:61: warning: concurrencyLimit takes whole numbers; 2.7 is taken as 2\n"},
    {"quoted seconds", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, ttl: \"300\"}}"),
     "c:1:48: error: ttl must be a number; write ttl: 300, without quotes\n"},
    {"bad seconds", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, ttl: soon}}"),
     "c:1:48: error: ttl must be a number of seconds, or such as 90s or 5m, not 'soon'\n"},
    {"negative seconds", TEXT("globalTTL: -1\n"),
     "c:1:12: error: globalTTL must be 0 or more, not -1\n"},
    {"negative ttl", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, ttl: -2}}"),
     "c:1:48: error: ttl must be 0 or more, or -1 for the top-level value, not -2\n"},
    {"negative unloadTimeout", TEXT("unloadTimeout: -3\n"),
     "c:1:16: error: unloadTimeout must be 0 or more, not -3\n"},
    {"time without unit", TEXT("timeouts: {head: 30}\n"),
     "c:1:18: error: head must be a time with its unit, such as 30s or 5m, not '30'\n"},
    {"bad size", TEXT("maxBody: lots\n"),
     "c:1:10: error: maxBody must be a size such as 512MiB or 10.5GiB, not 'lots'\n"},
    {"size that is too small", TEXT("maxBody: 5\n"),
     "c:1:10: error: maxBody must be at least 1KiB; write a size with its unit, such as "
     "24GiB\n"},
    {"vram without unit", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, vram: 24}}"),
     "c:1:49: error: vram must be at least 1MiB; write a size with its unit, such as 24GiB\n"},
    {"bad vram", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, vram: all}}"),
     "c:1:49: error: vram must be a size such as 512MiB or 10.5GiB, or auto, not 'all'\n"},
    {"bad share", TEXT("gpus: [{limit: 2}, {limit: much}, {limit: 0}]\n"),
     "c:1:16: error: limit must be at most 1 (or 100%)\n"
     "c:1:28: error: limit must be a share such as 0.95 or 95%\n"
     "c:1:43: error: limit must be at least 0.001 (or 0.1%)\n"},
    {"sample too short", TEXT("gpus: [{sample: 1ms}]\n"),
     "c:1:17: error: sample must be at least 10ms\n"},
    {"text for list", TEXT("apiKeys: secret\n"),
     "c:1:10: error: apiKeys must be a list, in [ ] or with a line '- ...' for each item, not "
     "a text\n"},
    {"mapping in list", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, aliases: [{a: b}]}}"),
     "c:1:53: error: aliases must be a list of texts, not a mapping\n"},
    {"text for mapping", TEXT("routing: fit\n"),
     "c:1:10: error: routing must be a mapping, not a text\n"},
    {"text for model",
     TEXT("models:\n"
          "  a: llama-server\n"),
     "c:2:6: error: 'a' in models must be a mapping, not a text\n"},
    {"list for models", TEXT("models: [a]\n"),
     "c:1:9: error: models must be a mapping, not a list\n"},
    {"mapping for gpus", TEXT("gpus: {reserve: 1GiB}\n"),
     "c:1:7: error: gpus must be a list, not a mapping\n"},
    /* ranges */
    {"port 0", TEXT("startPort: 0\n"), "c:1:12: error: startPort must be at least 1\n"},
    {"port too high", TEXT("startPort: 70000\n"),
     "c:1:12: error: startPort must be at most 65535\n"},
    {"no port left",
     TEXT("startPort: 65535\n"
          "models:\n"
          "  a: {cmd: \"x ${PORT}\"}\n"
          "  b: {cmd: \"x ${PORT}\"}\n"),
     "c:4:3: error: no port is left for this model; write a lower startPort\n"},
    {"no connections", TEXT("maxConnections: 0\n"),
     "c:1:17: error: maxConnections must be at least 1\n"},
    /* env */
    {"not set", TEXT("state: ${env.WHARF_TEST_UNSET}\n"),
     "c:1:8: error: environment variable 'WHARF_TEST_UNSET' is not set\n"},
    {"not set, in flow", TEXT("apiKeys: [${env.WHARF_TEST_UNSET}]\n"),
     "c:1:11: error: environment variable 'WHARF_TEST_UNSET' is not set\n"},
    {"not set, in a comment", TEXT("# ${env.WHARF_TEST_UNSET}\n"), ""},
    {"not set, in a command's comment",
     TEXT("models:\n"
          "  m:\n"
          "    proxy: http://h:1\n"
          "    cmd: |\n"
          "      # ${env.WHARF_TEST_UNSET}\n"
          "      x\n"),
     "c:4:5: error: environment variable 'WHARF_TEST_UNSET' is not set\n"},
    {"line break", TEXT("state: ${env.WHARF_TEST_LINES}\n"),
     "c:1:8: error: environment variable 'WHARF_TEST_LINES' holds a line break\n"},
    {"not UTF-8", TEXT("state: ${env.WHARF_TEST_BYTES}\n"),
     "c:1:8: error: environment variable 'WHARF_TEST_BYTES' is not valid text (UTF-8)\n"},
    {"variable in a variable in a variable", TEXT("state: ${env.WHARF_TEST_TWICE}\n"),
     "c:1:8: error: state: environment variable 'WHARF_TEST_THIRD' stands in another's value\n"},
    /* macros */
    {"not a mapping", TEXT("macros: [a]\n"),
     "c:1:9: error: macros must be a mapping of names to values\n"},
    {"bad name", TEXT("macros: {a.b: x}\n"),
     "c:1:10: error: macro name 'a.b' may only have letters, digits, '_' and '-'\n"},
    {"name too long",
     TEXT("macros: {aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: x}\n"),
     "c:1:10: error: macro name "
     "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' is longer than 63 "
     "characters\n"},
    {"reserved names",
     TEXT("macros:\n"
          "  PORT: 1\n"
          "  PID: 1\n"
          "  MODEL_ID: 1\n"),
     "c:2:3: error: macro name 'PORT' is reserved\n"
     "c:3:3: error: macro name 'PID' is reserved\n"
     "c:4:3: error: macro name 'MODEL_ID' is reserved\n"},
    {"bad values",
     TEXT("macros:\n"
          "  a: [x]\n"
          "  b: {c: d}\n"
          "  e: ~\n"),
     "c:2:6: error: macro 'a' must be a text, a number, true or false, not a list\n"
     "c:3:6: error: macro 'b' must be a text, a number, true or false, not a mapping\n"
     "c:4:6: error: macro 'e' must be a text, a number, true or false, not empty\n"},
    {"contains itself", TEXT("macros: {a: \"x ${a}\"}\n"),
     "c:1:13: error: macro 'a' contains itself\n"},
    {"unknown",
     TEXT("macros: {base: x}\n"
          "state: /a/${bsae}\n"),
     "c:2:8: error: state: unknown macro ${bsae}; did you mean 'base'?\n"},
    {"unknown, in a model",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, env: [\"A=1\", \"B=${nope}\"]}}"),
     "c:1:56: error: models.m.env[1]: unknown macro ${nope}\n"},
    {"unknown, in the metadata of a model",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, metadata: {a: [\"${nope}\"]}}}"),
     "c:1:58: error: models.m.metadata.a[0]: unknown macro ${nope}\n"},
    {"unknown top-level keys are left alone", TEXT("qqqqqq: ${nope}\n"),
     "c:1:1: warning: unknown key 'qqqqqq', ignored\n"},
    {"a later macro is unknown to an earlier",
     TEXT("macros: {a: \"${b}\", b: x}\n"
          "state: ${a}\n"),
     "c:2:8: error: state: unknown macro ${b}; it stands below the macro that uses it, move "
     "it up\n"},
    {"a model's macro is unknown to the others",
     TEXT("models:\n"
          "  a: {cmd: x, proxy: \"http://h\", macros: {k: 1}}\n"
          "  b: {cmd: \"x ${k}\", proxy: \"http://h\"}\n"),
     "c:3:12: error: models.b.cmd: unknown macro ${k}\n"},
    {"reserved ones out of place",
     TEXT("state: ${PORT}\n"
          "logLevel: ${MODEL_ID}\n"
          "models: {m: {cmd: \"x ${PID}\", proxy: \"http://h\"}}\n"),
     "c:1:8: error: state: ${PORT} can only stand in a model\n"
     "c:2:11: error: logLevel: ${MODEL_ID} can only stand in a model\n"
     "c:3:19: error: models.m.cmd: ${PID} can only stand in cmdStop\n"},
    {"macro in a comment of cmd",
     TEXT("models:\n"
          "  m:\n"
          "    proxy: http://h:1\n"
          "    cmd: |\n"
          "      # ${nope}\n"
          "      x\n"),
     ""},
    {"too large",
     TEXT("macros:\n"
          "  a: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"
          "  b: "
          "\"${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${"
          "a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}${a}\"\n"
          "  c: "
          "\"${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${"
          "b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}${b}\"\n"
          "  d: "
          "\"${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${"
          "c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}${c}\"\n"
          "  e: "
          "\"${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${"
          "d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}${d}\"\n"
          "  f: "
          "\"${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${"
          "e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}${e}\"\n"
          "state: ${f}\n"),
     "c:8:8: error: macros grow too large here (more than 4 MiB in all)\n"},
    /* models */
    {"no id", TEXT("models: {\"\": {cmd: x, proxy: \"http://h\"}}\n"),
     "c:1:10: error: a model needs an id\n"},
    {"line break in id", TEXT("models: {\"a\\nb\": {cmd: x, proxy: \"http://h\"}}\n"),
     "c:1:10: error: model id 'a\\x0ab' holds a line break or a tab\n"},
    {"empty model",
     TEXT("models:\n"
          "  a:\n"),
     "c:2:3: warning: model 'a' has no cmd, so it cannot be started\n"
     "c:2:3: error: model 'a': the default proxy is http://localhost:${PORT}, but cmd has no "
     "${PORT}; put it there, or write proxy\n"},
    {"no cmd", TEXT("models: {a: {proxy: \"http://h\"}}\n"),
     "c:1:10: warning: model 'a' has no cmd, so it cannot be started\n"},
    {"default proxy without port in cmd", TEXT("models: {a: {cmd: x}}\n"),
     "c:1:10: error: model 'a': the default proxy is http://localhost:${PORT}, but cmd has no "
     "${PORT}; put it there, or write proxy\n"},
    {"proxy with port, cmd without", TEXT("models: {a: {cmd: x, proxy: \"http://h:${PORT}\"}}\n"),
     "c:1:29: error: proxy has ${PORT} but cmd has not; put ${PORT} into cmd\n"},
    {"env and cmdStop with port, cmd without",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, env: [\"P=${PORT}\"], cmdStop: \"k "
          "${PORT}\"}}"),
     "c:1:49: error: env has ${PORT} but cmd has not; put ${PORT} into cmd\n"
     "c:1:72: error: cmdStop has ${PORT} but cmd has not; put ${PORT} into cmd\n"},
    {"checkEndpoint with port, cmd without",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, checkEndpoint: \"/${PORT}\"}}"),
     "c:1:58: error: models.m.checkEndpoint: ${PORT} is only known to models that have it in "
     "cmd\n"},
    {"proxy without scheme", TEXT("models: {a: {cmd: x, proxy: \"localhost:9000\"}}\n"),
     "c:1:29: error: this proxy cannot be used: it must start with http:// or https://, or be "
     "unix:/PATH\n"},
    {"proxy without host", TEXT("models: {a: {cmd: x, proxy: \"http:///a\"}}\n"),
     "c:1:29: error: this proxy cannot be used: it names no host\n"},
    {"proxy with bad port", TEXT("models: {a: {cmd: x, proxy: \"http://h:99999\"}}\n"),
     "c:1:29: error: this proxy cannot be used: its port must be a number from 1 to 65535, or "
     "${PORT}\n"},
    {"proxy with user", TEXT("models: {a: {cmd: x, proxy: \"http://u:p@h\"}}\n"),
     "c:1:29: warning: user name and password in proxy are ignored\n"},
    {"proxy with query", TEXT("models: {a: {cmd: x, proxy: \"http://h/?a\"}}\n"), ""},
    {"proxy with blank", TEXT("models: {a: {cmd: x, proxy: \"http://h /\"}}\n"),
     "c:1:29: error: this proxy cannot be used: it holds a character that no URL may have\n"},
    {"empty proxy", TEXT("models: {a: {cmd: x, proxy: \"\"}}\n"),
     "c:1:29: warning: the proxy of model 'a' is empty, so it cannot be started\n"},
    {"quote not closed",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: \"x 'y\", cmdStop: \"k '\"}}"),
     "c:1:40: warning: cmd: a quote is never closed; it ends with the text\nc:1:57: warning: "
     "cmdStop: a quote is never closed; it ends with the text\n"},
    {"checkEndpoint with blank",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, checkEndpoint: \"/a b\"}}"),
     "c:1:58: error: checkEndpoint '/a b' is no path; write such as /health, or none\n"},
    {"env without =", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, env: [A, \"=b\", C=d]}}"),
     "c:1:49: warning: env takes NAME=value; 'A' is ignored\n"
     "c:1:52: warning: env takes NAME=value; '=b' is ignored\n"},
    {"alias twice",
     TEXT("models:\n"
          "  a: {cmd: x, proxy: \"http://h\", aliases: [q, q]}\n"
          "  b: {cmd: x, proxy: \"http://h\", aliases: [q]}\n"),
     "c:2:47: error: alias 'q' already belongs to model 'a'\n"
     "c:3:44: error: alias 'q' already belongs to model 'a'\n"},
    {"alias that is an id",
     TEXT("models:\n"
          "  a: {cmd: x, proxy: \"http://h\", aliases: [b]}\n"
          "  b: {cmd: x, proxy: \"http://h\"}\n"),
     "c:2:44: warning: alias 'b' is also the id of a model, which comes first\n"},
    {"empty alias", TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, aliases: [\"\"]}}"),
     "c:1:53: warning: an alias is empty, ignored\n"},
    /* machine */
    {"bad listen",
     TEXT("listen: [\"8080\", \"::1:80\", \"a:b\", \"a:70000\", \"unix:rel\", "
          "\"unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", \"[]:1\"]\n"),
     "c:1:10: error: listen '8080': write host:port, :port, [::1]:port or unix:/path\n"
     "c:1:18: error: listen '::1:80': an IPv6 address stands in brackets: [::1]:8080\n"
     "c:1:28: error: listen 'a:b': the port must be a number from 0 to 65535\n"
     "c:1:35: error: listen 'a:70000': the port must be a number from 0 to 65535\n"
     "c:1:46: error: listen 'unix:rel': a unix socket needs an absolute path, such as "
     "unix:/run/wharf/wharf.sock\n"
     "c:1:58: error: listen "
     "'unix:/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...': "
     "the path of a unix socket may have 107 bytes at most\n"
     "c:1:178: error: listen '[]:1': write host:port, :port, [::1]:port or unix:/path\n"},
    {"empty key", TEXT("apiKeys: [\"\", \"a b\"]\n"),
     "c:1:11: error: apiKeys[0] is empty\n"
     "c:1:15: error: apiKeys[1] holds a blank\n"},
    {"unknown level", TEXT("logLevel: wran\n"),
     "c:1:11: warning: logLevel 'wran' is taken as info (debug, info, warn or error); did you "
     "mean 'warn'?\n"},
    {"sim without memory", TEXT("gpus: [{sim: {name: a}}]\n"),
     "c:1:14: error: a simulated GPU needs its memory, such as memory: 24GiB\n"},
    {"two sims of a name",
     TEXT("gpus: [{sim: {name: a, memory: 1GiB}}, {sim: {name: a, memory: 1GiB}}]\n"),
     "c:1:53: error: two simulated GPUs have the name 'a'\n"},
    {"bad names of sims",
     TEXT("gpus: [{sim: {name: a/b, memory: 1GiB}}, {sim: {name: .., memory: 1GiB}}]\n"),
     "c:1:21: error: the name of a simulated GPU must not start with a dot, have a '/' or be "
     "longer than 63 bytes\n"
     "c:1:55: error: the name of a simulated GPU must not start with a dot, have a '/' or be "
     "longer than 63 bytes\n"},
    {"gpus that are not simulated",
     TEXT("gpus: [{reserve: x, sample: 2h, limit: 0.5}, {limt: 1}, {}]\n"),
     "c:1:18: error: reserve must be a size such as 512MiB or 10.5GiB, not 'x'\n"
     "c:1:29: error: sample must be at most 1h\n"
     "c:1:47: warning: unknown key 'limt' in gpus[], ignored; did you mean 'limit'?\n"},
    {"reserve of everything", TEXT("gpus: [{reserve: 2GiB, sim: {memory: 1GiB}}]\n"),
     "c:1:8: error: the reserve leaves nothing of this GPU's memory\n"},
    {"unknown gpu",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, gpus: [simo, \"1\", sim0, 0]}}\n"
          "gpus: [{sim: {memory: 1GiB}}]\n"),
     "c:1:50: error: unknown GPU 'simo'; did you mean 'sim0'?\n"
     "c:1:56: error: unknown GPU '1'\n"},
    {"what only a shell would heed",
     TEXT("models: {m: {cmd: \"x ${PORT} 2>&1 | tee l\", cmdStop: \"sh -c 'a | b'\"}}\n"
          "hooks: {on: {oom: logger > f}}\n"),
     "c:1:19: warning: cmd: no shell is involved, so '2>&1' is just a word for 'x'; where a shell "
     "is meant, write sh -c '...'\n"
     "c:2:19: warning: hooks.on: no shell is involved, so '>' is just a word for 'logger'; where a "
     "shell is meant, write sh -c '...'\n"},
    {"model that can never fit",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, vram: 23GiB}}\n"
          "gpus: [{sim: {memory: 24GiB}, limit: 0.95, reserve: 1GiB}]\n"),
     "c:1:49: warning: model 'm' can never be loaded: it takes 23GiB, and no GPU has more "
     "than 21.8GiB for models\n"},
    {"more GPUs than it may use",
     TEXT("models:\n"
          "  a: {cmd: x, proxy: \"http://h\", gpuCount: 3}\n"
          "  b: {cmd: x, proxy: \"http://h\", gpuCount: 2, gpus: [sim0, 0]}\n"
          "  c: {cmd: x, proxy: \"http://h\", gpuCount: 2, gpus: [sim0, 1]}\n"
          "gpus: [{sim: {memory: 1GiB}}, {sim: {memory: 1GiB}}]\n"),
     "c:2:44: error: gpuCount is 3, but model 'a' may use only 2 GPUs\n"
     "c:3:44: error: gpuCount is 2, but model 'b' may use only 1 GPU\n"},
    {"more GPUs than it names, where none is known",
     TEXT("models:\n"
          "  a: {cmd: x, proxy: \"http://h\", gpuCount: 2, gpus: [GPU-1]}\n"
          "  b: {cmd: x, proxy: \"http://h\", gpuCount: 8}\n"),
     "c:2:44: error: gpuCount is 2, but model 'a' may use only 1 GPU\n"},
    {"no GPU at once, and too many",
     TEXT("models:\n"
          "  a: {cmd: x, proxy: \"http://h\", gpuCount: 0, vram: 1GiB}\n"
          "  b: {cmd: x, proxy: \"http://h\", gpuCount: 9}\n"
          "gpus: [{sim: {memory: 1GiB}}]\n"),
     "c:2:44: error: gpuCount must be at least 1\n"
     "c:3:44: error: gpuCount must be at most 8\n"},
    {"model that can never fit on two",
     TEXT("models:\n"
          "  a: {cmd: x, proxy: \"http://h\", vram: 6GiB, gpuCount: 2}\n"
          "  b: {cmd: x, proxy: \"http://h\", vram: 4GiB, gpuCount: 2}\n"
          "  c: {cmd: x, proxy: \"http://h\", vram: 3GiB, gpus: [sim1]}\n"
          "gpus: [{sim: {memory: 4GiB}}, {sim: {memory: 2GiB}}]\n"),
     "c:2:40: warning: model 'a' can never be loaded: it takes 3GiB on each of 2 GPUs, and only 1 "
     "can give that\n"
     "c:4:40: warning: model 'c' can never be loaded: it takes 3GiB, and no GPU has more than "
     "2GiB for models\n"},
    /* policies of a model */
    {"unknown words",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, class: forground, suspend: vlm, onAbort: "
          "stop, pin: 1, maxLoadRetries: -1}}\n"
          "onExit: drop\n"),
     "c:1:50: error: class must be foreground, normal or background, not 'forground'; did you mean "
     "'foreground'?\n"
     "c:1:70: error: suspend must be none, vllm, sglang, comfyui, a1111, tabby, http or cuda, not "
     "'vlm'; did you mean "
     "'vllm'?\n"
     "c:1:84: error: onAbort must be cancel or drain, not 'stop'\n"
     "c:1:95: error: pin must be true or false, not a number\n"
     "c:1:114: error: maxLoadRetries must be at least 0\n"
     "c:2:9: error: onExit must be stop or keep, not 'drop'; did you mean 'stop'?\n"},
    {"too many retries",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, maxLoadRetries: 101, maxQueue: 1000001}}\n"),
     "c:1:59: error: maxLoadRetries must be at most 100\n"
     "c:1:74: error: maxQueue must be at most 1000000\n"},
    /* classes, gates, host */
    {"classes",
     TEXT("classes: {foreground: {maxWait: soon}, normal: 30s, background: {maxWait: -1s}, "
          "forground: "
          "{}}\n"),
     "c:1:33: error: maxWait must be a time with its unit, such as 30s or 5m, or never, not "
     "'soon'\n"
     "c:1:48: error: normal must be a mapping, not a text\n"
     "c:1:75: error: maxWait must be a time with its unit, such as 30s or 5m, or never, not "
     "'-1s'\n"
     "c:1:81: warning: unknown key 'forground' in classes, ignored; did you mean 'foreground'?\n"},
    {"a wait beyond a year", TEXT("classes: {normal: {maxWait: 9000h}}\n"),
     "c:1:29: error: maxWait must be at most 8760h\n"},
    {"gates",
     TEXT("gates: {a: {limit: 0}, b: 1, \"\": {}, \"c\\nd\": {limit: 1000001}, e: {limt: 2}}\n"),
     "c:1:20: error: limit must be at least 1\n"
     "c:1:27: error: 'b' in gates must be a mapping, not a number\n"
     "c:1:30: error: a gate needs an id\n"
     "c:1:38: error: gate id 'c\\x0ad' holds a line break or a tab\n"
     "c:1:54: error: limit must be at most 1000000\n"
     "c:1:68: warning: unknown key 'limt' in gates.NAME, ignored; did you mean 'limit'?\n"},
    {"host", TEXT("host: {suspendBudget: much, suspendBugdet: 1}\n"),
     "c:1:23: error: suspendBudget must be a size such as 512MiB or 10.5GiB, not 'much'\n"
     "c:1:29: warning: unknown key 'suspendBugdet' in host, ignored; did you mean "
     "'suspendBudget'?\n"},
    /* modes */
    {"modes",
     TEXT("models: {qwen: {cmd: x, proxy: \"http://h\", aliases: [q]}, two: {cmd: x, proxy: "
          "\"http://h\", gpuCount: 2, gpus: [0, 1]}}\n"
          "gpus: [{sim: {memory: 1GiB}}, {sim: {memory: 1GiB}}, {}]\n"
          "modes:\n"
          "  a: {qwne: loaded}\n"
          "  b: {qwen: load, two: cpu}\n"
          "  c: {qwen: loaded, q: unloaded}\n"
          "  d: {two: 2, qwen: 3}\n"
          "  e: {two: sim1}\n"
          "  f: {qwen: , two: [0]}\n"
          "  g: loaded\n"
          "  h:\n"
          "startMode: hh\n"),
     "c:4:7: error: mode 'a': unknown model 'qwne'; did you mean 'qwen'?\n"
     "c:5:13: error: a mode wants a model loaded, unloaded, or on a GPU that 'gpus' lists, not "
     "'load'; did you mean 'loaded'?\n"
     "c:5:24: error: a mode wants a model loaded, unloaded, or on a GPU that 'gpus' lists, not "
     "'cpu'\n"
     "c:6:21: error: mode 'c': model 'qwen' stands there twice\n"
     "c:7:12: error: model 'two' may not use GPU '2', as its gpus say\n"
     "c:7:21: error: a mode wants a model loaded, unloaded, or on a GPU that 'gpus' lists, not "
     "'3'\n"
     "c:8:12: error: model 'two' takes 2 GPUs at once, so a mode can only want it loaded or "
     "unloaded\n"
     "c:9:7: error: a mode wants a model loaded, unloaded, or on a GPU that 'gpus' lists, not "
     "''\n"
     "c:9:20: error: 'two' in modes.NAME must be a text, not a list\n"
     "c:10:6: error: 'g' in modes must be a mapping, not a text\n"
     "c:12:12: error: startMode: unknown mode 'hh'\n"},
    {"unknown mode at start", TEXT("modes: {autopilot: {}}\nstartMode: autopliot\n"),
     "c:2:12: error: startMode: unknown mode 'autopliot'; did you mean 'autopilot'?\n"},
    /* hooks */
    {"hooks",
     TEXT("hooks:\n"
          "  on:\n"
          "    model_laoded: x\n"
          "    evicted: \"x 'y\"\n"
          "    oom: [\"\", {a: b}, c]\n"
          "    waiting: {a: b}\n"
          "    granted: []\n"),
     "c:3:5: error: hooks.on: there is no event 'model_laoded'; did you mean 'model_loaded'?\n"
     "c:4:14: error: hooks.on: a quote is never closed\n"
     "c:5:11: error: hooks.on: the command is empty\n"
     "c:5:15: error: 'oom' in hooks.on must be a text, not a mapping\n"
     "c:6:14: error: 'waiting' in hooks.on must be a text or a list of texts, not a mapping\n"},
    {"the end of an event's name", TEXT("hooks: {on: {loaded: x}}\n"),
     "c:1:14: error: hooks.on: there is no event 'loaded'; did you mean 'model_loaded'?\n"},
    {"hooks that are a list", TEXT("hooks: {on: [a]}\n"),
     "c:1:13: error: on must be a mapping, not a list\n"},
    /* routing */
    {"unknown router", TEXT("routing: {router: {use: grup}}\n"),
     "c:1:25: error: use must be group, matrix or fit, not 'grup'; did you mean 'group'?\n"},
    {"unknown scheduler", TEXT("routing: {scheduler: {use: lifo}}\n"),
     "c:1:28: error: use must be fair, fifo or serial, not 'lifo'; did you mean 'fifo'?\n"},
    {"mapping for scheduler", TEXT("routing: {scheduler: {use: {}}}\n"),
     "c:1:28: error: use must be fair, fifo or serial, not a mapping\n"},
    {"fair settings",
     TEXT("routing: {scheduler: {settings: {fair: {minResident: 5, maxServe: 0, "
          "minResident2: 1}}}}\n"),
     "c:1:54: error: minResident must be a time with its unit, such as 30s or 5m, not '5'\n"
     "c:1:67: error: maxServe must be at least 1s\n"
     "c:1:70: warning: unknown key 'minResident2' in routing.scheduler.settings.fair, ignored; "
     "did you mean 'minResident'?\n"},
    {"fair settings with fifo",
     TEXT("routing: {scheduler: {use: fifo, settings: {fair: {maxServe: 1m}}}}\n"),
     "c:1:51: warning: settings of fair have no effect with the fifo scheduler\n"},
    {"unknown priority",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x}}\n"
          "routing: {scheduler: {settings: {fifo: {priority: {mm: 1, m: high}}}}}\n"),
     "c:2:52: error: routing.scheduler.settings.fifo.priority: unknown model 'mm'\n"
     "c:2:62: error: priority must be a whole number, not a text\n"},
    {"old and new groups",
     TEXT("groups: {a: {}}\n"
          "routing: {router: {settings: {groups: {b: {}}}}}\n"),
     "c:1:9: error: both 'groups' and 'routing.router' are there; move the groups to "
     "routing.router.settings.groups\n"},
    {"old groups and router.use",
     TEXT("groups: {a: {}}\n"
          "routing: {router: {use: group}}\n"),
     "c:1:9: error: both 'groups' and 'routing.router' are there; move the groups to "
     "routing.router.settings.groups\n"},
    {"unknown member",
     TEXT("models: {qwen: {cmd: x, proxy: \"http://h\"}}\n"
          "groups: {g: {members: [qwem]}}\n"),
     "c:2:24: error: group 'g' has the unknown member 'qwem'; did you mean 'qwen'?\n"},
    {"member twice",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, aliases: [q]}}\n"
          "groups: {g: {members: [m, q]}}\n"),
     "c:2:27: error: model 'q' stands twice in group 'g'\n"},
    {"member of two groups",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x}}\n"
          "groups: {g: {members: [m]}, h: {members: [m]}}\n"),
     "c:2:43: error: model 'm' is in group 'g' already; a model has one group\n"},
    {"default group", TEXT("groups: {(default): {}}\n"),
     "c:1:10: warning: '(default)' is the group of the models in no group; ignored, write another "
     "name\n"},
    {"groups with fit",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, vram: 1GiB}}\n"
          "groups: {g: {members: [m]}}\n"),
     "c:2:9: warning: groups have no effect with the fit router, in use because model m gives "
     "vram; write routing.router.use: group to keep them\n"},
    {"unknown preload",
     TEXT("models: {qwen: {cmd: x, proxy: \"http://h\"}}\n"
          "hooks: {on_startup: {preload: [qwenn, \" \"]}}\n"),
     "c:2:32: warning: preload: unknown model 'qwenn', ignored; did you mean 'qwen'?\n"},
    {"model macro that stands too low",
     TEXT("models:\n"
          "  a: {cmd: \"x ${k}\", proxy: \"http://h\", macros: {k: \"${l}\", l: 1}}\n"),
     "c:2:12: error: models.a.cmd: unknown macro ${l}; it stands below the macro that uses "
     "it, move it up\n"},
    {"columns count characters",
     TEXT("models: {m: {proxy: \"http://h:1\", cmd: x, name: \"\303\274\303\274\", ttl: soon}}"),
     "c:1:60: error: ttl must be a number of seconds, or such as 90s or 5m, not 'soon'\n"},
    /* all at once, in the order of the file */
    {"many",
     TEXT("globalTTL: -5\n"
          "models:\n"
          "  a:\n"
          "    proxy: ftp://h\n"
          "    cmd: \"x ${nope}\"\n"
          "    ttl: x\n"
          "bad: &x 1\n"
          "startPort: -1\n"
          "what: 1\n"),
     "c:1:12: error: globalTTL must be 0 or more, not -5\n"
     "c:4:12: error: this proxy cannot be used: it must start with http:// or https://, or be "
     "unix:/PATH\n"
     "c:5:10: error: models.a.cmd: unknown macro ${nope}\n"
     "c:6:10: error: ttl must be a number of seconds, or such as 90s or 5m, not 'x'\n"
     "c:8:12: error: startPort must be at least 1\n"
     "c:9:1: warning: unknown key 'what', ignored\n"},
};

static void test_reports(void **state)
{
    (void)state;
    uint32_t failed = 0;
    for (size_t i = 0; i < countof(cases); i++)
        failed += !config_says(cases[i].rule, cases[i].text, cases[i].n, cases[i].report);
    assert_int_equal(failed, 0);
}

static void test_files(void **state)
{
    (void)state;
    static const struct {
        const char *path, *report;
    } files[] = {
        {"/nonexistent/c.yaml",
         "/nonexistent/c.yaml: error: cannot be opened: No such file or directory\n"},
        {"/dev", "/dev: error: is a directory; name the configuration file itself\n"},
        {"/dev/null", ""},
        {"/dev/zero", "/dev/zero: error: larger than 4 MiB; this is no configuration\n"},
    };
    for (size_t i = 0; i < countof(files); i++) {
        struct config_report report = {0};
        struct config *c = config_load_file(files[i].path, &report);
        assert_string_equal(report.text.data ? report.text.data : "", files[i].report);
        assert_int_equal(c != NULL, files[i].report[0] == '\0');
        config_free(c);
        config_report_fini(&report);
    }
}

#define TEXT_10 "xxxxxxxxxx"
#define TEXT_100 TEXT_10 TEXT_10 TEXT_10 TEXT_10 TEXT_10 TEXT_10 TEXT_10 TEXT_10 TEXT_10 TEXT_10
#define TEXT_1000                                                                                  \
    TEXT_100 TEXT_100 TEXT_100 TEXT_100 TEXT_100 TEXT_100 TEXT_100 TEXT_100 TEXT_100 TEXT_100

/* A flood is cut, and nothing runs away. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *start, *repeat, *end;
        size_t times;
        const char *wanted; /* in the report */
    } floods[] = {
        {"deep flow", "", "[", "", 100000, "c:1:65: error: nested too deeply"},
        {"messages", "a0: 1\n", "? b\n", "", 5000, "more errors and warnings are not shown"},
        {"values", "a: [", "x,", "]", 120000, "more than 100000 values"},
        {"bytes", "a: ", "xxxxxxxxxx", "", 500000, "larger than 4 MiB"},
        {"alias in alias",
         "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
         "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [",
         "*d,", "]", 20, "more than 100000 values"},
        {"long text by alias", "a: &a " TEXT_1000 "\nb: [", "*a,", "]", 5000,
         "more than 4 MiB, aliases expanded"},
    };
    for (size_t i = 0; i < countof(floods); i++) {
        struct buf text = {0};
        struct config_report report = {0};
        buf_text(&text, floods[i].start);
        for (size_t k = 0; k < floods[i].times; k++)
            buf_text(&text, floods[i].repeat);
        buf_text(&text, floods[i].end);
        assert_null(config_load_text("c", text.data, text.len, &report));
        if (!strstr(report.text.data, floods[i].wanted))
            fail_msg("%s: %.2000s", floods[i].rule, report.text.data);
        config_report_fini(&report);
        buf_fini(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_limits),
    };
    unsetenv("WHARF_TEST_UNSET");
    unsetenv("WHARF_TEST_THIRD");
    setenv("WHARF_TEST_LINES", "a\nb", 1);
    setenv("WHARF_TEST_BYTES", "\377", 1);
    setenv("WHARF_TEST_TWICE", "${env.WHARF_TEST_SECOND}", 1);
    setenv("WHARF_TEST_SECOND", "${env.WHARF_TEST_THIRD}", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
