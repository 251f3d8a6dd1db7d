/* cmd_devices.c: `wharf devices`: the memory of each device, and whose it is. */
#include <jansson.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/show.h"
#include "cli/text.h"
#include "cli/text_table.h"

static const struct text_column headings[] = {
    {"DEVICE", 9, 8},   {"TOTAL", 8, 0},   {"USED", 7, 0},     {"MODELS", 6, 0}, {"LEASES", 4, 0},
    {"SETTLING", 2, 0}, {"FOREIGN", 3, 0}, {"RESERVED", 1, 0}, {"ROOM", 5, 0},   {"PEAK", 0, 0},
};

static void add_memory(struct text_table *table, const json_t *d)
{
    char total[SHOW_CELL_MAX], used[SHOW_CELL_MAX], own[SHOW_CELL_MAX], leased[SHOW_CELL_MAX];
    char settling[SHOW_CELL_MAX], foreign[SHOW_CELL_MAX], reserved[SHOW_CELL_MAX];
    char room[SHOW_CELL_MAX], peak[SHOW_CELL_MAX];
    bool present = json_is_true(json_object_get(d, "present"));
    const char *cells[] = {show_text(d, "name"),
                           present ? show_bytes(d, "total_bytes", total) : "absent",
                           show_bytes(d, "used_bytes", used),
                           show_bytes(d, "own_bytes", own),
                           show_bytes(d, "leased_bytes", leased),
                           show_bytes(d, "settling_bytes", settling),
                           show_bytes(d, "foreign_bytes", foreign),
                           show_bytes(d, "reserved_bytes", reserved),
                           show_bytes(d, "room_bytes", room),
                           show_bytes(d, "peak_bytes", peak)};
    _Static_assert(countof(cells) == countof(headings), "a heading a cell");
    text_table_add(table, cells);
}

static const struct text_column gauges[] = {
    {"DEVICE", 9, 8}, {"BUSY", 8, 0},  {"TEMP", 7, 0}, {"POWER", 6, 0},
    {"DRIVER", 2, 8}, {"UUID", 3, 12}, {"PCI", 1, 0},
};

/* "41 C", "-" for what is not known. */
static const char *show_unit(const json_t *d, const char *name, const char *unit, char *out)
{
    const json_t *value = json_object_get(d, name);
    if (!json_is_number(value))
        return "-";
    snprintf(out, SHOW_CELL_MAX, "%.0f%s", json_number_value(value), unit);
    return out;
}

static const char *show_driver(const json_t *d, char *out)
{
    const char *driver = json_string_value(json_object_get(d, "driver"));
    const char *version = json_string_value(json_object_get(d, "driver_version"));
    snprintf(out, SHOW_CELL_MAX, "%.30s%s%.60s", driver ? driver : "-", version ? " " : "",
             version ? version : "");
    return out;
}

static void add_gauges(struct text_table *table, const json_t *d)
{
    char busy[SHOW_CELL_MAX], temp[SHOW_CELL_MAX], power[SHOW_CELL_MAX], driver[SHOW_CELL_MAX];
    const char *cells[] = {show_text(d, "name"),
                           show_unit(d, "utilisation_percent", "%", busy),
                           show_unit(d, "temperature_c", " C", temp),
                           show_unit(d, "power_w", " W", power),
                           show_driver(d, driver),
                           show_text(d, "uuid"),
                           show_text(d, "pci")};
    _Static_assert(countof(cells) == countof(gauges), "a heading a cell");
    text_table_add(table, cells);
}

static const struct text_column uses[] = {
    {"DEVICE", 5, 8}, {"PID", 9, 0}, {"PROCESS", 4, 8}, {"BYTES", 8, 0}, {"FOR", 7, 12},
};

static void add_use(struct text_table *table, const json_t *d, const json_t *p)
{
    char pid[SHOW_CELL_MAX], bytes[SHOW_CELL_MAX];
    const char *model = json_string_value(json_object_get(p, "model"));
    bool is_leased = json_is_string(json_object_get(p, "lease"));
    bool is_named = json_is_string(json_object_get(p, "lease_name"));
    struct buf whose = {0};
    if (model)
        buf_printf(&whose, "model %s", model);
    else if (is_leased)
        buf_printf(&whose, "lease %s", show_text(p, is_named ? "lease_name" : "lease"));
    else
        buf_text(&whose, "a stranger");
    const char *cells[] = {show_text(d, "name"), show_count(p, "pid", pid), show_text(p, "name"),
                           show_bytes(p, "bytes", bytes), whose.data};
    _Static_assert(countof(cells) == countof(uses), "a heading a cell");
    text_table_add(table, cells);
    buf_fini(&whose);
}

/* Nothing where no process is known to use anything. */
static void write_uses(struct buf *out, const json_t *devices)
{
    struct text_table table;
    text_table_begin(&table, uses, countof(uses));
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *d = json_array_get(devices, i);
        const json_t *processes = json_object_get(d, "processes");
        for (size_t k = 0; k < json_array_size(processes); k++)
            add_use(&table, d, json_array_get(processes, k));
    }
    if (table.row_count > 1) {
        buf_char(out, '\n');
        text_table_print_within(&table, text_terminal_columns(), out);
    }
    text_table_fini(&table);
}

static void add_table(struct buf *out, const json_t *devices, const struct text_column *layout,
                      uint32_t columns, void (*add)(struct text_table *, const json_t *))
{
    struct text_table table;
    text_table_begin(&table, layout, columns);
    for (size_t i = 0; i < json_array_size(devices); i++)
        add(&table, json_array_get(devices, i));
    text_table_print_within(&table, text_terminal_columns(), out);
    text_table_fini(&table);
}

/* "NAME: degraded: why" for what is not well, and why processes are not known. */
static void write_troubles(struct buf *out, const json_t *devices)
{
    static const struct {
        const char *member, *before;
    } rows[] = {{"degraded", "degraded: "},
                {"processes_unknown", "whose memory it is is not known: "}};
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *d = json_array_get(devices, i);
        for (size_t k = 0; k < countof(rows); k++) {
            const char *text = json_string_value(json_object_get(d, rows[k].member));
            if (!text)
                continue;
            text_escape_all(out, TEXT_LINE, show_text(d, "name"));
            buf_printf(out, ": %s", rows[k].before);
            text_escape_all(out, TEXT_LINE, text);
            buf_char(out, '\n');
        }
    }
}

static void write_devices(struct buf *out, const json_t *answer)
{
    const json_t *devices = json_object_get(answer, "devices");
    const char *degraded = json_string_value(json_object_get(answer, "degraded"));
    if (json_array_size(devices) == 0) {
        buf_text(out, "no devices\n");
    } else {
        add_table(out, devices, headings, countof(headings), add_memory);
        buf_char(out, '\n');
        add_table(out, devices, gauges, countof(gauges), add_gauges);
        write_uses(out, devices);
        write_troubles(out, devices);
    }
    if (degraded && json_array_size(devices) == 0) {
        buf_text(out, "degraded: ");
        text_escape_all(out, TEXT_LINE, degraded);
        buf_char(out, '\n');
    }
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
        "for leases, what models that have gone have not given back yet, what others use, what the "
        "driver keeps, what could be handed out now, and the most that was seen in use. Then how "
        "busy and how warm each is, what it draws, and who it is; which processes use memory "
        "there, "
        "how much, and for which model or lease; and what is wrong with one. What is not known is "
        "'-'.",
    .shared = CLI_WITH_JSON | CLI_WITH_DAEMON,
    .examples = {{"wharf devices", "the table"}},
    .run = run,
};
