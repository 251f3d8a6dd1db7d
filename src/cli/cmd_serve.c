/* cmd_serve.c: `wharf serve`: the daemon itself, in the foreground. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/api.h"
#include "base/alloc.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/report.h"
#include "config/config.h"
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
        return err_set(e, "cannot create the folder '%.300s': %s", path, strerror(errno));
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
        return err_set(e, "'%.300s' is not a folder", path);
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

static struct config *load_config(const char *path)
{
    struct config_report report = {.errors = 0};
    struct config *config = config_load_file(path, &report);
    report_complain(&report);
    config_report_fini(&report);
    return config;
}

/* The server parses them again when it opens them; a slip of the pen is told before it begins. */
static bool check_listens(const char *const *listens, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct config_listen listen;
        if (config_parse_listen(listens[i], &listen) < 0) {
            output_complain("serve: --listen '%s' is neither HOST:PORT nor unix:/PATH", listens[i]);
            return false;
        }
        config_listen_fini(&listen);
    }
    return true;
}

static int run(const struct cli_args *args)
{
    const char *listens[LISTENS_MAX] = {NULL};
    struct err e = {.set = false};
    struct serve_options opt = {
        .config_path = cli_args_text(args, "config"), .listens = listens, .api = api_table()};
    opt.listen_count = cli_args_texts(args, "listen", listens, LISTENS_MAX);
    if (!check_listens(listens, opt.listen_count))
        return CLI_USAGE;
    opt.config = load_config(opt.config_path);
    if (!opt.config)
        return CLI_USAGE;
    auto_free char *state = prepare_state(args, opt.config, &e);
    if (!state) {
        output_complain("serve: %s", e.text);
        config_free(opt.config);
        return CLI_FAILED;
    }
    opt.state_dir = state;
    return serve_run(&opt);
}

static const struct cli_option options[] = {
    {.name = "config",
     .letter = 'c',
     .kind = CLI_TEXT,
     .is_required = true,
     .value = "FILE",
     .help = "The configuration: which models there are and how they are started. A llama-swap "
             "config.yaml will do, but for its matrix."},
    {.name = "listen",
     .kind = CLI_TEXT,
     .repeats = true,
     .value = "HOST:PORT",
     .help = "Where to listen, instead of what the configuration says; 127.0.0.1:8080 when that "
             "says nothing either. unix:/PATH is a socket. With port 0 the system picks one, and "
             "the file `listen` in the state folder says which."},
    {.name = "state",
     .kind = CLI_TEXT,
     .value = "DIR",
     .help = "The folder for what outlives the daemon. Default: `state` of the configuration, else "
             "/var/lib/wharf for root, $XDG_STATE_HOME/wharf or ~/.local/state/wharf for others."},
};

const struct cli_command cmd_serve = {
    .name = "serve",
    .summary = "run the daemon in the foreground",
    .description =
        "Serves the models of a configuration: starts them when they are asked for, makes room "
        "for them, and stops them again. Logs go to stderr; GET /health answers 200 once it "
        "serves.\n\nSIGTERM and Ctrl-C stop it and all its models. With errors in the "
        "configuration it prints all of them and does not start.",
    .options = options,
    .option_count = countof(options),
    .examples = {{"wharf serve --config wharf.yaml", "serve on 127.0.0.1:8080"},
                 {"wharf serve --config wharf.yaml --listen :8080", "on all interfaces"}},
    .run = run,
};
