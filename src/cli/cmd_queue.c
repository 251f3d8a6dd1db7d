/* cmd_queue.c: `wharf queue`: who waits for what. */
#include <jansson.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "cli/text.h"

static const char *const headings[] = {"POSITION", "FOR",       "CLASS",
                                       "WAITING",  "ESTIMATED", "OVERDUE IN"};

static void add_request(struct text_table *table, const json_t *r)
{
    char position[SHOW_CELL_MAX], since[SHOW_CELL_MAX], estimate[SHOW_CELL_MAX];
    char deadline[SHOW_CELL_MAX];
    bool overdue = json_is_true(json_object_get(r, "overdue"));
    const char *cells[] = {show_count(r, "position", position),
                           show_text(r, "model"),
                           show_text(r, "class"),
                           show_seconds(r, "since_s", since),
                           show_seconds(r, "estimate_s", estimate),
                           overdue ? "overdue" : show_seconds(r, "deadline_s", deadline)};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
}

static void add_lease(struct text_table *table, const json_t *l)
{
    char bytes[SHOW_CELL_MAX], gates[SHOW_CELL_MAX], since[SHOW_CELL_MAX], estimate[SHOW_CELL_MAX];
    char position[SHOW_CELL_MAX];
    bool waits = json_is_integer(json_object_get(l, "position"));
    const char *name = json_string_value(json_object_get(l, "name"));
    struct buf what = {0};
    buf_printf(&what, "lease %s of %s", name ? name : show_text(l, "id"),
               show_bytes(l, "bytes", bytes));
    if (json_array_size(json_object_get(l, "gates")))
        buf_printf(&what, ", %s", show_list(l, "gates", gates));
    const char *cells[] = {waits ? show_count(l, "position", position) : show_text(l, "state"),
                           what.data,
                           show_text(l, "class"),
                           show_seconds(l, "since_s", since),
                           show_seconds(l, "estimate_s", estimate),
                           "-"};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
    buf_fini(&what);
}

static void write_queue(struct buf *out, const json_t *answer)
{
    const json_t *requests = json_object_get(answer, "requests");
    const json_t *leases = json_object_get(answer, "leases");
    struct text_table table = {.columns = countof(headings)};
    json_int_t all = json_integer_value(json_object_get(answer, "waiting"));
    if (json_array_size(requests) + json_array_size(leases) == 0) {
        buf_text(out, "nobody waits\n");
        return;
    }
    text_table_add(&table, headings);
    for (size_t i = 0; i < json_array_size(requests); i++)
        add_request(&table, json_array_get(requests, i));
    for (size_t i = 0; i < json_array_size(leases); i++)
        add_lease(&table, json_array_get(leases, i));
    text_table_print(&table, out);
    text_table_fini(&table);
    if (all > (json_int_t)json_array_size(requests))
        buf_printf(out, "and %lld more\n",
                   (long long)(all - (json_int_t)json_array_size(requests)));
}

static int run(const struct cli_args *args)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/queue", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    return show_answer(args, &rq, "look at the queue", write_queue);
}

const struct cli_command cmd_queue = {
    .name = "queue",
    .summary = "list who waits for what",
    .description =
        "One line a request that waits, in order of arrival: its place in its model's queue, the "
        "model, its class, for how long it has waited, how long it will probably wait still, and "
        "when it has waited for too long, after which it goes first. Then the leases.",
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf queue", "the table"},
                 {"wharf queue --json | jq .waiting", "how many wait"}},
    .run = run,
};
