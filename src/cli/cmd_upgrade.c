/* cmd_upgrade.c: `wharf upgrade`. */
#include <jansson.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/show.h"
#include "cli/text.h"

static void write_answer(struct buf *out, const json_t *answer)
{
    const char *from = show_text(answer, "from"), *to = show_text(answer, "to");
    char running[SHOW_CELL_MAX];
    bool same = strcmp(from, to) == 0;
    buf_text(out, same ? "started anew: version " : "upgraded from version ");
    text_escape_all(out, TEXT_LINE, from);
    if (!same) {
        buf_text(out, " to ");
        text_escape_all(out, TEXT_LINE, to);
    }
    if (json_integer_value(json_object_get(answer, "running")))
        buf_printf(out, "; requests that the earlier program finishes: %s",
                   show_count(answer, "running", running));
    buf_char(out, '\n');
}

static int run(const struct cli_args *args)
{
    /* The new program reads its configuration twice, and its models answer before it speaks. */
    const struct client_request rq = {.method = "POST", .path = "/wharf/upgrade"};
    return show_answer(args, &rq, "upgrade", write_answer);
}

const struct cli_command cmd_upgrade = {
    .name = "upgrade",
    .summary = "have the installed program take the running daemon's place",
    .description =
        "Has the daemon run the program that is now installed where it was started from, with the "
        "same arguments and in the same process, and returns when that answers. No connection is "
        "refused and no model is loaded anew; streams that run are finished, requests and leases "
        "that wait keep their places, holders of leases come back, and followers of events get an "
        "end.\n\n"
        "The new program is tried first, with the configuration as it is now: if it does not "
        "start, it is said why, and the daemon goes on as it is. SIGUSR2 to the daemon does the "
        "same.",
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf upgrade", "after a new version has been installed"}},
    .run = run,
};
