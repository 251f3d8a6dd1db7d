/* cmd_queue.c: `wharf queue`: who waits for what. */
#include <jansson.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/queue_text.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/text_table.h"

static const struct text_column headings[] = {
    {"NEXT", 8, 0},    {"WHO", 9, 12},      {"CLASS", 3, 4},      {"PLACE", 2, 0},
    {"WAITING", 6, 0}, {"ESTIMATED", 5, 0}, {"OVERDUE IN", 4, 0}, {"FOR", 7, 16},
};

static void add_place(struct text_table *table, size_t number, const json_t *w)
{
    char next[SHOW_CELL_MAX], since[SHOW_CELL_MAX], estimate[SHOW_CELL_MAX];
    char deadline[SHOW_CELL_MAX], place[SHOW_CELL_MAX];
    bool overdue = json_is_true(json_object_get(w, "overdue"));
    struct buf who = {0};
    snprintf(next, sizeof(next), "%zu", number);
    queue_text_who(&who, w);
    const char *cells[] = {next,
                           who.data,
                           show_text(w, "class"),
                           show_count(w, "position", place),
                           show_seconds(w, "since_s", since),
                           show_seconds(w, "estimate_s", estimate),
                           overdue ? "overdue" : show_seconds(w, "deadline_s", deadline),
                           show_text(w, "for")};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
    buf_fini(&who);
}

static void write_queue(struct buf *out, const json_t *answer)
{
    const json_t *queue = json_object_get(answer, "queue");
    struct text_table table;
    json_int_t all = json_integer_value(json_object_get(answer, "waiting")) +
                     json_integer_value(json_object_get(answer, "leases_waiting"));
    if (json_array_size(queue) == 0) {
        buf_text(out, "nobody waits\n");
        return;
    }
    text_table_begin(&table, headings, countof(headings));
    for (size_t i = 0; i < json_array_size(queue); i++)
        add_place(&table, i + 1, json_array_get(queue, i));
    text_table_print_within(&table, text_terminal_columns(), out);
    text_table_fini(&table);
    if (all > (json_int_t)json_array_size(queue))
        buf_printf(out, "and %lld more\n", (long long)(all - (json_int_t)json_array_size(queue)));
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
        "One line a request or lease that waits, in the order in which they are to be served: who "
        "is overdue, then by class, priority and arrival; under the scheduler serial by arrival "
        "alone. What fits may go before what does not yet. Each with its place among those that "
        "want the same model, or the same memory or gates, for how long it has waited, how long it "
        "will probably wait still, when it has waited for too long, after which it goes first, and "
        "what it waits for. `wharf lease` lists the leases that are granted.",
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf queue", "the table"},
                 {"wharf queue --json | jq .waiting", "how many wait"}},
    .run = run,
};
