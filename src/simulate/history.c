#include "simulate/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/date.h"
#include "base/pure/units.h"

#define WRITE_BYTES 65536

void sim_history_fini(struct sim_history *h)
{
    free(h->requests.items);
    free(h->swaps);
    free(h->leases);
    *h = (struct sim_history){.base_ns = 0};
}

uint32_t sim_history_swap(struct sim_history *h, const struct sim_swap *swap)
{
    if (h->swap_count == h->swaps_max) {
        h->swaps_max = h->swaps_max ? 2 * h->swaps_max : 256;
        h->swaps = alloc_grow(h->swaps, h->swaps_max, sizeof(*h->swaps));
    }
    h->swaps[h->swap_count] = *swap;
    return h->swap_count++;
}

/* ---- texts ---- */

struct writer {
    const struct sim_history *history;
    const struct config *config;
    const struct workload *work;
    uint64_t epoch_ns;
    struct buf out;
    FILE *file;
};

static void put_date(struct writer *w, const char *name, uint64_t at_ns)
{
    char date[DATE_TEXT_MAX];
    date_format(w->epoch_ns + (at_ns - w->history->base_ns), date);
    /* Milliseconds are enough. */
    char *point = strchr(date, '.');
    buf_printf(&w->out, ",\"%s\":\"%.*sZ\"", name, (int)(point - date) + 4, date);
}

static void put_text(struct writer *w, const char *name, const char *text)
{
    buf_printf(&w->out, ",\"%s\":", name);
    buf_json_text(&w->out, text);
}

static void put_count(struct writer *w, const char *name, uint64_t value, bool is_known)
{
    buf_printf(&w->out, ",\"%s\":", name);
    if (is_known)
        buf_whole(&w->out, (int64_t)value);
    else
        buf_text(&w->out, "null");
}

static void put_devices(struct writer *w, uint32_t devices)
{
    const char *sep = "";
    buf_text(&w->out, ",\"devices\":[");
    for (uint32_t d = 0; d < w->config->gpu_count; d++) {
        if (!(devices >> d & 1))
            continue;
        buf_text(&w->out, sep);
        buf_json_text(&w->out, w->config->gpus[d].name);
        sep = ",";
    }
    buf_char(&w->out, ']');
}

static const char *key_of(const struct writer *w, uint32_t key)
{
    return key <= w->work->keys.count ? w->work->keys.texts[key - 1] : "drawn";
}

/* ---- records ---- */

static void put_request(struct writer *w, uint32_t i)
{
    const struct sim_request *r = &w->history->requests.items[i];
    bool is_served = r->state == SIM_DONE;
    uint64_t waited_ms = r->granted_ns ? (r->granted_ns - r->at_ns) / NS_PER_MS : 0;
    uint64_t prefill_ns = (uint64_t)((double)r->prompt * (double)NS_PER_S / w->work->speed.prefill);
    bool has_tokens = r->prompt || r->output;
    buf_printf(&w->out, "{\"id\":%" PRIu32, i + 1);
    put_date(w, "arrived", r->at_ns);
    put_text(w, "model", w->config->models[r->model].id);
    put_text(w, "class", class_text(r->class));
    put_text(w, "path", "/v1/chat/completions");
    put_count(w, "status", is_served ? 200 : 429, true);
    put_text(w, "ended", is_served ? "done" : "gone");
    if (r->key)
        put_text(w, "key", key_of(w, r->key));
    else
        put_count(w, "key", 0, false);
    put_count(w, "trace", 0, false);
    put_count(w, "waited_ms", waited_ms, is_served);
    put_count(w, "load_ms", r->loading_ns / NS_PER_MS, is_served);
    put_count(w, "first_byte_ms", waited_ms + prefill_ns / NS_PER_MS, is_served && has_tokens);
    put_count(w, "total_ms", waited_ms + r->serve_ns / NS_PER_MS, is_served);
    put_count(w, "input_tokens", r->prompt, is_served && has_tokens);
    put_count(w, "output_tokens", r->output, is_served && has_tokens);
    put_count(w, "cached_tokens", 0, false);
    buf_text(&w->out, "}\n");
}

static void put_swap(struct writer *w, uint32_t i)
{
    static const char *const kinds[] = {"load", "unload", "move", "suspend", "resume"};
    _Static_assert(countof(kinds) == SIM_SWAP__KINDS, "a word a kind");
    const struct sim_swap *s = &w->history->swaps[i];
    bool is_over = s->took_ns != UINT64_MAX;
    buf_printf(&w->out, "{\"id\":%" PRIu32, i + 1);
    put_date(w, "at", s->at_ns);
    put_text(w, "kind", kinds[s->kind]);
    put_text(w, "model", w->config->models[s->model].id);
    put_devices(w, s->devices);
    buf_text(&w->out, ",\"seconds\":");
    if (is_over)
        buf_printf(&w->out, "%" PRIu64 ".%03" PRIu64, s->took_ns / NS_PER_S,
                   s->took_ns % NS_PER_S / NS_PER_MS);
    else
        buf_text(&w->out, "null");
    put_count(w, "bytes", s->bytes, true);
    put_text(w, "reason", reason_text(s->reason));
    if (s->leaves.model != CORE_SLOT_NONE)
        put_text(w, "for_model", w->config->models[s->leaves.model].id);
    if (s->leaves.lease != CORE_SLOT_NONE)
        buf_printf(&w->out, ",\"for_lease\":\"%" PRIu32 "\"", s->leaves.lease + 1);
    buf_printf(&w->out, ",\"ok\":%s}\n", s->ok ? "true" : "false");
}

static void put_lease(struct writer *w, uint32_t i)
{
    const struct sim_lease_life *life = &w->history->leases[i];
    const struct work_lease *l = &w->work->leases[i];
    if (life->asked_ns == 0)
        return; /* all was over before its time came */
    uint32_t devices = (uint32_t)__builtin_popcount(life->devices);
    buf_printf(&w->out, "{\"id\":\"%" PRIu32 "\"", i + 1);
    put_date(w, "asked", life->asked_ns);
    if (life->granted_ns)
        put_date(w, "granted", life->granted_ns);
    else
        put_count(w, "granted", 0, false);
    if (life->ended_ns)
        put_date(w, "ended", life->ended_ns);
    else
        put_count(w, "ended", 0, false);
    put_text(w, "name", key_of(w, l->name));
    put_text(w, "class", class_text(l->class));
    put_count(w, "bytes", l->bytes * (devices ? devices : l->device_count), true);
    put_devices(w, life->devices);
    if (life->how)
        put_text(w, "how", life->how);
    else
        put_count(w, "how", 0, false);
    buf_text(&w->out, "}\n");
}

static int write_lines(struct writer *w, const char *folder, const char *name, uint32_t count,
                       void (*put)(struct writer *, uint32_t), struct err *e)
{
    auto_free char *path = alloc_printf("%s/%s", folder, name);
    w->file = fopen(path, "we");
    bool ok = w->file != NULL;
    buf_clear(&w->out);
    for (uint32_t i = 0; ok && i < count; i++) {
        put(w, i);
        if (w->out.len >= WRITE_BYTES || i + 1 == count) {
            ok = fwrite(w->out.data, 1, w->out.len, w->file) == w->out.len;
            buf_clear(&w->out);
        }
    }
    if (w->file && fclose(w->file) != 0)
        ok = false;
    return ok ? 0 : err_set(e, "%.300s: %s", path, strerror(errno));
}

int sim_history_write(const struct sim_history *h, const struct config *config,
                      const struct workload *work, uint64_t epoch_ns, const char *folder,
                      struct err *e)
{
    struct writer w = {.history = h, .config = config, .work = work, .epoch_ns = epoch_ns};
    if (mkdir(folder, 0777) < 0 && errno != EEXIST)
        return err_set(e, "%.300s: %s", folder, strerror(errno));
    int rc = write_lines(&w, folder, "requests.jsonl", h->requests.count, put_request, e);
    if (rc == 0)
        rc = write_lines(&w, folder, "swaps.jsonl", h->swap_count, put_swap, e);
    if (rc == 0)
        rc = write_lines(&w, folder, "leases.jsonl", work->lease_count, put_lease, e);
    buf_fini(&w.out);
    return rc;
}
