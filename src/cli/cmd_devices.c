/* cmd_devices.c: `wharf devices`: the memory of each device, and whose it is. */
#include <jansson.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "cli/text.h"

static const char *const headings[] = {"DEVICE", "TOTAL",    "USED",    "MODELS",
                                       "LEASES", "SETTLING", "FOREIGN", "ROOM"};

static void add_device(struct text_table *table, const json_t *d)
{
    char total[SHOW_CELL_MAX], used[SHOW_CELL_MAX], own[SHOW_CELL_MAX], leased[SHOW_CELL_MAX];
    char settling[SHOW_CELL_MAX], foreign[SHOW_CELL_MAX], room[SHOW_CELL_MAX];
    bool present = json_is_true(json_object_get(d, "present"));
    const char *cells[] = {show_text(d, "name"),
                           present ? show_bytes(d, "total_bytes", total) : "absent",
                           show_bytes(d, "used_bytes", used),
                           show_bytes(d, "own_bytes", own),
                           show_bytes(d, "leased_bytes", leased),
                           show_bytes(d, "settling_bytes", settling),
                           show_bytes(d, "foreign_bytes", foreign),
                           show_bytes(d, "room_bytes", room)};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
}

static void write_devices(struct buf *out, const json_t *answer)
{
    const json_t *devices = json_object_get(answer, "devices");
    struct text_table table = {.columns = countof(headings)};
    if (json_array_size(devices) == 0) {
        buf_text(out, "no devices are configured\n");
        return;
    }
    text_table_add(&table, headings);
    for (size_t i = 0; i < json_array_size(devices); i++)
        add_device(&table, json_array_get(devices, i));
    text_table_print(&table, out);
    text_table_fini(&table);
}

static int run(const struct cli_args *args)
{
    const struct client_request rq = {
        .method = "GET", .path = "/wharf/devices", .silence_ms_max = SESSION_SILENCE_MS_MAX};
    return show_answer(args, &rq, "list the devices", write_devices);
}

const struct cli_command cmd_devices = {
    .name = "devices",
    .summary = "show each device's memory, and whose it is",
    .description =
        "One line a device: its memory in all, what is used of it, what is counted for models and "
        "for leases, what models that have gone have not given back yet, what others use, and what "
        "could be handed out now.",
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf devices", "the table"}},
    .run = run,
};
