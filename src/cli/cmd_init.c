/* cmd_init.c: `wharf init`: looks at the machine and writes a configuration that works on it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pure/units.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/init/gpus.h"
#include "cli/init/names.h"
#include "cli/init/places.h"
#include "cli/init/pulled.h"
#include "cli/init/quote.h"
#include "cli/init/target.h"
#include "cli/init/tell.h"
#include "cli/init/walk.h"
#include "cli/init/writer.h"
#include "cli/output.h"
#include "config/config.h"

#define FILE_DEFAULT "wharf.yaml"
#define STDOUT "-"
#define FOLDERS_MAX 64
#define SERVER "llama-server"

/* What was asked for by name has to be there; what is only tried need not. */

static int look_for_server(const struct cli_args *args, struct found *f)
{
    const char *given = cli_args_text(args, "llama-server");
    f->server = places_program(given ? given : SERVER);
    if (given && !f->server) {
        output_complain("--llama-server %s: %s", given, strerror(errno));
        return CLI_FAILED;
    }
    if (f->server && !quote_is_word(f->server)) {
        output_complain("%s: its path has characters that a configuration cannot hold", f->server);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int look_into_given(struct walk *w, const struct cli_args *args, struct found *f)
{
    const char *given[FOLDERS_MAX];
    uint32_t n = cli_args_texts(args, "models", given, FOLDERS_MAX);
    for (uint32_t i = 0; i < n; i++) {
        auto_free char *folder = realpath(given[i], NULL);
        int error = folder ? walk_folder(w, folder, &f->notes) : errno;
        if (error) {
            output_complain("--models %s: %s", given[i], strerror(error));
            return CLI_FAILED;
        }
    }
    return CLI_DONE;
}

static void look_into_usual(struct walk *w, struct found *f)
{
    char *folders[PLACES_MAX];
    uint32_t n = places_of_models(folders);
    for (uint32_t i = 0; i < n; i++) {
        int error = walk_folder(w, folders[i], &f->notes);
        if (error && error != ENOENT && error != ENOTDIR)
            found_note(&f->notes, "%s: %s", folders[i], strerror(error));
        free(folders[i]);
    }
}

static int look_for_models(const struct cli_args *args, struct found *f)
{
    const struct walk_bounds bounds = {.depth_max = WALK_DEPTH_MAX,
                                       .entries_max = WALK_ENTRIES_MAX,
                                       .files_max = WALK_FILES_MAX,
                                       .ns_max = WALK_SECONDS_MAX * NS_PER_S};
    struct walk *w = walk_new(&bounds);
    int status = CLI_DONE;
    uint32_t count;
    if (cli_args_text(args, "models"))
        status = look_into_given(w, args, f);
    else
        look_into_usual(w, f);
    if (status == CLI_DONE) {
        walk_read_heads(w);
        struct gguf_seen *seen = walk_seen(w, &count);
        models_sort_out(seen, count, f);
    }
    walk_free(w);
    return status;
}

static int look_for_ollama(const struct cli_args *args, struct found *f)
{
    const char *given = cli_args_text(args, "ollama");
    struct buf url = {0};
    places_ollama(given ? given : getenv("OLLAMA_HOST"), &url);
    f->ollama = buf_take(&url);
    if (pulled_look(f) == 0 || !given)
        return CLI_DONE;
    output_complain("--ollama %s: %s", given,
                    f->notes.count ? f->notes.items[f->notes.count - 1] : "nobody answers there");
    return CLI_FAILED;
}

/* Nothing is written before all of it is known: Ctrl-C meanwhile leaves nothing. */
static int look(const struct cli_args *args, struct found *f)
{
    int status = look_for_server(args, f);
    if (status == CLI_DONE)
        status = look_for_models(args, f);
    if (status == CLI_DONE)
        status = look_for_ollama(args, f);
    if (status != CLI_DONE)
        return status;
    gpus_look(f);
    names_assign(f);
    return CLI_DONE;
}

static int write_out(const struct cli_args *args, const struct found *f,
                     const struct writer_wishes *wishes)
{
    struct buf text = {0}, said = {0};
    struct err e = {.set = false};
    int status = CLI_DONE;
    writer_write(f, wishes, &text);
    if (strcmp(wishes->file, STDOUT) == 0) {
        output_safe(&text);
    } else if (target_write(wishes->file, cli_args_flag(args, "force"), &text, &e) < 0) {
        output_complain("init: %s", e.text);
        status = CLI_FAILED;
    } else if (cli_args_flag(args, "json")) {
        tell_json(f, wishes->file, &said);
        output_json(said.data, said.len);
    } else {
        tell_text(f, wishes->file, wishes->listen, &said);
        output_safe(&said);
    }
    buf_fini(&text);
    buf_fini(&said);
    return status;
}

/* The exit status when nothing is to be looked for, else CLI_DONE. */
static int check_words(const struct cli_args *args, const struct writer_wishes *wishes)
{
    struct config_listen listen;
    struct err e = {.set = false};
    bool prints = strcmp(wishes->file, STDOUT) == 0;
    if (prints && cli_args_flag(args, "json")) {
        output_complain("init: - and --json exclude each other: both go to stdout");
        return CLI_USAGE;
    }
    if (config_parse_listen(wishes->listen, &listen) < 0 || !quote_is_text(wishes->listen)) {
        output_complain("init: --listen '%s' is neither HOST:PORT nor unix:/PATH", wishes->listen);
        return CLI_USAGE;
    }
    config_listen_fini(&listen);
    if (!prints && target_check(wishes->file, cli_args_flag(args, "force"), &e) < 0) {
        output_complain("init: %s", e.text);
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    const char *listen = cli_args_text(args, "listen");
    const struct writer_wishes wishes = {.file =
                                             args->operand_count ? args->operands[0] : FILE_DEFAULT,
                                         .listen = listen ? listen : WRITER_LISTEN_DEFAULT};
    struct found found = {.gpu_count = 0};
    int status = check_words(args, &wishes);
    if (status == CLI_DONE)
        status = look(args, &found);
    if (status == CLI_DONE)
        status = write_out(args, &found, &wishes);
    found_fini(&found);
    return status;
}

static const struct cli_option options[] = {
    {.name = "models",
     .kind = CLI_TEXT,
     .repeats = true,
     .value = "DIR",
     .takes = CLI_A_FOLDER,
     .help = "Where GGUF files are looked for, in folders below it too, in place of the usual "
             "places: $LLAMA_CACHE, the caches of llama.cpp and Hugging Face, LM Studio's models, "
             "~/models, /models and /srv/models."},
    {.name = "llama-server",
     .kind = CLI_TEXT,
     .value = "PATH",
     .takes = CLI_A_PROGRAM,
     .help = "The program that serves GGUF files; without it, llama-server in $PATH."},
    {.name = "ollama",
     .kind = CLI_TEXT,
     .value = "URL",
     .help = "Where Ollama answers; without it, $OLLAMA_HOST, else http://127.0.0.1:11434."},
    {.name = "listen",
     .kind = CLI_TEXT,
     .value = "HOST:PORT",
     .help = "The address to be written as `listen` (" WRITER_LISTEN_DEFAULT ")."},
    {.name = "force", .letter = 'f', .help = "Replace a file that is there."},
};

const struct cli_command cmd_init = {
    .name = "init",
    .operand_takes = {CLI_A_FILE},
    .summary = "write a configuration for what is on this machine",
    .description =
        "Looks for GPUs, llama-server, GGUF files and an Ollama server, and writes a configuration "
        "with comments that serves what was found: FILE, or wharf.yaml in the present folder; - "
        "prints it instead. Each model gets as much context as its GPUs have room for. Nothing is "
        "started and nothing is downloaded.\n\nModels that need llama-server are written commented "
        "out where there is none. What was seen and left out is named at the end of the file. A "
        "new file can be read by its owner alone, since keys get written into it. What an option "
        "names has to be there; what is only looked for need not.",
    .operand = "FILE",
    .operands_max = 1,
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_JSON,
    .examples = {{"wharf init", "write wharf.yaml"},
                 {"wharf init --models /srv/gguf --models ~/more", "GGUF files are elsewhere"},
                 {"wharf init - | less", "look at it first"},
                 {"wharf init --listen :8080 --force", "for the network, and over the last one"}},
    .run = run,
};
