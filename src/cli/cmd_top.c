/* cmd_top.c: `wharf top`: devices, models and the queue as they are now, in a terminal, and keys
 * for what can be done. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/text.h"
#include "cli/top/acts.h"
#include "cli/top/feed.h"
#include "cli/top/layout.h"
#include "cli/top/screen.h"

/* Ages go on that often. */
#define TICK_MS 1000
#define SIZE_MAX_EACH 1000

struct top {
    const struct session *session;
    struct top_known known;
    struct top_view view;
    struct top_feed feed;
    struct top_acts acts;
    int quit_fd, wake_fd;
};

static void draw(struct top *t)
{
    struct top_cells cells;
    uint32_t width, height;
    screen_size(&width, &height);
    top_cells_init(&cells, width, height, text_locale_is_utf8());
    top_layout(&t->known, &t->view, t->session->options.address.text, top_now_ns(), &cells);
    screen_draw(&cells);
    top_cells_fini(&cells);
}

static void take_news(struct top *t)
{
    struct buf said = {0};
    bool is_bad;
    top_unsignal(t->wake_fd);
    if (top_feed_take(&t->feed, &t->known))
        top_view_settle(&t->view, &t->known);
    while (top_acts_take(&t->acts, &said, &is_bad)) {
        top_view_say(&t->view, is_bad, said.len ? said.data : "done");
        top_feed_kick(&t->feed);
    }
    buf_fini(&said);
}

/* False: it is to end. */
static bool take_keys(struct top *t)
{
    uint32_t key;
    while ((key = screen_key()) != 0) {
        struct buf said = {0};
        struct top_order order = top_view_key(&t->view, &t->known, key);
        if (order.kind == TOP_ORDER_QUIT)
            return false;
        if (order.kind == TOP_ORDER_NONE)
            continue;
        bool begun = top_acts_begin(&t->acts, &order, &said);
        top_view_say(&t->view, !begun, said.data);
        buf_fini(&said);
    }
    return true;
}

/* Until the person leaves, a signal ends it, or the terminal is gone. */
static void loop(struct top *t)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = t->wake_fd, .events = POLLIN},
                               {.fd = t->session->options.stop_fd, .events = POLLIN}};
        draw(t);
        (void)poll(fds, countof(fds), TICK_MS); /* interrupted when the terminal is resized */
        if (fds[2].revents || session_interrupted() || fds[0].revents & (POLLHUP | POLLERR))
            return;
        take_news(t);
        if (!take_keys(t))
            return;
    }
}

static int run_here(const struct session *s)
{
    struct top t = {.session = s};
    int status = CLI_FAILED;
    t.quit_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    t.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t.quit_fd < 0 || t.wake_fd < 0 ||
        top_feed_begin(&t.feed, &s->options, t.quit_fd, t.wake_fd) < 0) {
        screen_close();
        output_complain("cannot begin: %s", strerror(errno));
    } else {
        top_view_init(&t.view);
        top_acts_init(&t.acts, &s->options, t.quit_fd, t.wake_fd);
        loop(&t);
        screen_close();
        top_signal(t.quit_fd);
        top_acts_fini(&t.acts);
        top_feed_end(&t.feed);
        top_view_fini(&t.view);
        top_known_fini(&t.known);
        status = CLI_DONE;
    }
    close(t.quit_fd);
    close(t.wake_fd);
    return status;
}

/* $COLUMNS and $LINES, then the terminal, then the least there can be. */
static void size_of_picture(uint32_t *ret_width, uint32_t *ret_height)
{
    struct winsize size = {.ws_col = 0};
    const char *columns = getenv("COLUMNS"), *lines = getenv("LINES");
    long width = columns ? strtol(columns, NULL, 10) : 0;
    long height = lines ? strtol(lines, NULL, 10) : 0;
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    if (width <= 0 || width > SIZE_MAX_EACH)
        width = size.ws_col ? size.ws_col : TOP_WIDTH_MIN;
    if (height <= 0 || height > SIZE_MAX_EACH)
        height = size.ws_row ? size.ws_row : TOP_HEIGHT_MIN;
    *ret_width = (uint32_t)width;
    *ret_height = (uint32_t)height;
}

static int print_once(const struct session *s)
{
    struct top_known k;
    struct top_view v;
    struct top_cells cells;
    struct buf out = {0};
    uint32_t width, height;
    int rc = top_known_ask(&s->options, &k);
    if (rc < 0) {
        if (!session_interrupted())
            output_complain("%s", k.trouble);
        top_known_fini(&k);
        return rc == -CLIENT_UNREACHABLE ? CLI_UNREACHABLE : CLI_FAILED;
    }
    top_view_init(&v);
    top_view_settle(&v, &k);
    size_of_picture(&width, &height);
    top_cells_init(&cells, width, height, text_locale_is_utf8());
    top_layout(&k, &v, s->options.address.text, k.at_ns, &cells);
    top_cells_print(&cells, &out);
    output_safe(&out);
    buf_fini(&out);
    top_cells_fini(&cells);
    top_view_fini(&v);
    top_known_fini(&k);
    return CLI_DONE;
}

static int run(const struct cli_args *args)
{
    struct session s;
    const char *no_colour = getenv("NO_COLOR");
    bool has_colours = !cli_args_flag(args, "no-color") && !(no_colour && *no_colour);
    bool is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    int status = session_open(args, &s);
    if (status != CLI_DONE)
        return status;
    if (cli_args_flag(args, "once") || !is_terminal)
        return print_once(&s);
    if (screen_lack()) {
        output_complain("%s", screen_lack());
        return CLI_FAILED;
    }
    if (screen_open(has_colours) < 0)
        return print_once(&s);
    return run_here(&s);
}

static const struct cli_option options[] = {
    {.name = "once",
     .help = "Print one picture as text, and end: as wide and high as $COLUMNS and $LINES or the "
             "terminal say. So it is anyway where there is no terminal, or one that cannot move "
             "its cursor."},
    {.name = "no-color", .help = "Use no colours. Neither are there any where $NO_COLOR is set."},
};

const struct cli_command cmd_top = {
    .name = "top",
    .summary = "watch devices, models and the queue, and act on them by keys",
    .description =
        "Fills the terminal, of 80x24 at least, with how things are now: each device's memory as a "
        "bar of what is in it (models, leases, others', what settles, what the driver keeps, what "
        "is free); the models, with what they do, where they sit, how many requests run there and "
        "wait, how long until they are unloaded for idleness, and how long the last load took; and "
        "the queue, with what each waits for. It changes as things happen, and stays when the "
        "daemon goes away, until that is back.\n\n"
        "Tab goes to the next section, the arrow keys or j and k select. For the model that is "
        "selected: l loads it, u unloads it when it has finished its work, U at once, s sends it "
        "to sleep, w wakes it, m moves it, p pins it or lets it go. M sets another mode, / shows "
        "only what has a text in its name, ? shows all keys, q leaves. What would end requests is "
        "asked about first.",
    .options = options,
    .option_count = countof(options),
    .shared = CLI_WITH_DAEMON,
    .examples = {{"wharf top", "watch"}, {"wharf top --once", "one picture, for a script"}},
    .run = run,
};
