#include "serving.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/alloc.h"
#include "base/build.h"
#include "base/log.h"
#include "cli/config_findings.h"
#include "cli/output.h"
#include "config/sources.h"
#include "server/handover/upgrade.h"
#include "server/serve.h"

#define LISTENS_MAX 16
#define STATE_OF_ROOT "/var/lib/wharf"

/* Where learned footprints, sockets and logs go when neither flag nor configuration says it. The
 * XDG base directory specification: a relative $XDG_STATE_HOME is to be ignored. */
static char *default_state(struct err *e)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (geteuid() == 0)
        return alloc_text(STATE_OF_ROOT);
    if (state && state[0] == '/')
        return alloc_printf("%s/wharf", state);
    if (home && home[0] == '/')
        return alloc_printf("%s/.local/state/wharf", home);
    err_set(e, "neither $XDG_STATE_HOME nor $HOME says where: give --state DIR");
    return NULL;
}

static int make_folder(const char *path, struct err *e)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_set(e, "cannot create the folder '%.300s': %s (see --state)", path,
                       strerror(errno));
    return 0;
}

/* With its parents, which only their owner may enter either. */
static int make_folders(char *path, struct err *e)
{
    struct stat st;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = make_folder(path, e);
        *slash = '/';
        if (rc < 0)
            return -1;
    }
    if (make_folder(path, e) < 0)
        return -1;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(e, "'%.300s' is not a folder (see --state)", path);
    return 0;
}

/* The absolute path of the state folder, which is there now; NULL with e set. Owned by the
 * caller. */
static char *prepare_state(const struct cli_args *args, const struct config *config, struct err *e)
{
    const char *given = cli_args_text(args, "state");
    if (!given && config->state[0])
        given = config->state;
    auto_free char *path = given ? alloc_text(given) : default_state(e);
    if (!path || make_folders(path, e) < 0)
        return NULL;
    char *absolute = realpath(path, NULL);
    if (!absolute)
        err_set(e, "'%.300s': %s", path, strerror(errno));
    return absolute;
}

static struct config *load_config(const struct config_sources *sources)
{
    struct config_report report = {.errors = 0};
    struct config *config = config_load(sources, &report);
    config_findings_complain(&report);
    config_report_fini(&report);
    return config;
}

/* The server parses them again when it opens them; a slip of the pen is told before it begins. */
static bool check_listens(const char *command, const char *const *listens, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct config_listen listen;
        if (config_parse_listen(listens[i], &listen) < 0) {
            output_complain("%s: --listen '%s' is neither HOST:PORT nor unix:/PATH", command,
                            listens[i]);
            return false;
        }
        config_listen_fini(&listen);
    }
    return true;
}

/* CONFIG_LOG_FORMAT__COUNT: none is given. */
static bool find_log_format(const struct cli_args *args, enum config_log_format *ret)
{
    const char *text = cli_args_text(args, "log-format");
    *ret = CONFIG_LOG_FORMAT__COUNT;
    if (!text)
        return true;
    for (int i = 0; i < CONFIG_LOG_FORMAT__COUNT; i++)
        if (strcmp(config_log_format_words[i], text) == 0)
            *ret = (enum config_log_format)i;
    if (*ret == CONFIG_LOG_FORMAT__COUNT)
        output_complain("%s: --log-format '%s' is none of auto, human, json and journald",
                        args->command->name, text);
    return *ret != CONFIG_LOG_FORMAT__COUNT;
}

/* llama-swap's own words. */
static int print_version(void)
{
    struct buf out = {0};
    buf_printf(&out, "version: %s (%s), built at %s\n", build.version, build.commit, build.date);
    output_safe(&out);
    buf_fini(&out);
    return CLI_DONE;
}

/* What a command line may ask for only together, or not at all. */
static bool check_options(const struct cli_args *args)
{
    const char *command = args->command->name;
    bool cert = cli_args_text(args, "tls-cert-file"), key = cli_args_text(args, "tls-key-file");
    if (!cli_args_text(args, "config") && !cli_args_text(args, "config-dir"))
        output_complain("%s: --config FILE is missing, as in `%s`, or --config-dir DIR", command,
                        args->command->examples[0].command);
    else if (cert != key)
        output_complain("%s: --tls-cert-file and --tls-key-file belong together; --tls-%s-file is "
                        "missing",
                        command, cert ? "key" : "cert");
    else
        return true;
    return false;
}

int serving_run(const struct serving *serving)
{
    const struct cli_args *args = serving->args;
    const char *command = args->command->name, *listens[LISTENS_MAX] = {NULL};
    struct err e = {.set = false};
    struct serve_options opt = {.sources = {.file = cli_args_text(args, "config"),
                                            .dir = cli_args_text(args, "config-dir")},
                                .listens = listens,
                                .tls_cert_file = cli_args_text(args, "tls-cert-file"),
                                .tls_key_file = cli_args_text(args, "tls-key-file"),
                                .watches = cli_args_flag(args, "watch-config"),
                                .logs_to_stdout = serving->logs_to_stdout,
                                .logs_plain = cli_args_flag(args, "no-color"),
                                .api = api_table(),
                                .ollama_api = api_table_ollama()};
    opt.listen_default = opt.tls_cert_file ? serving->tls_listen_default : serving->listen_default;
    if (cli_args_flag(args, "version"))
        return print_version();
    opt.listen_count = cli_args_texts(args, "listen", listens, LISTENS_MAX);
    if (!check_options(args) || !check_listens(command, listens, opt.listen_count) ||
        !find_log_format(args, &opt.log_format))
        return serving->refused;
    /* Before it is read: what changes from here on is noticed. */
    opt.stamp = config_stamp_take(&opt.sources, "");
    opt.config = load_config(&opt.sources);
    if (!opt.config)
        return serving->refused;
    auto_free char *state = prepare_state(args, opt.config, &e);
    if (!state) {
        output_complain("%s: %s", command, e.text);
        config_free(opt.config);
        return CLI_FAILED;
    }
    if (upgrade_is_trial()) {
        config_free(opt.config);
        return print_version();
    }
    opt.state_dir = state;
    return serve_run(&opt);
}
