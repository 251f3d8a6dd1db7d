/* Looking at the core from outside; nothing here changes anything. */
#include "core/core_priv.h"

void core_view(const struct core *c, struct core_view *ret)
{
    *ret = (struct core_view){.waiting = c->arrivals.count,
                              .running = c->running_count,
                              .stale_ids = c->stale_ids,
                              .draining = c->draining,
                              .booted = c->booted};
    for (uint32_t i = 0; i < c->model_count; i++)
        ret->loaded += c->models[i].state == MODEL_LOADED;
}

void core_view_model(const struct core *c, uint32_t model, struct core_model_view *ret)
{
    must(model < c->model_count);
    const struct model *m = &c->models[model];
    const struct heap_item *idle = heap_find(&c->deadlines, deadline_slot(model, DEADLINE_IDLE));
    *ret = (struct core_model_view){.state = m->state,
                                    .reason = m->reason,
                                    .running = m->running.count,
                                    .waiting = m->waiting_count,
                                    .device = m->device,
                                    .charged_bytes = m->charged_bytes,
                                    .settling = m->settling,
                                    .last_used = m->last_used,
                                    .state_since = m->state_since,
                                    .idle_deadline = {idle ? idle->key.major : 0},
                                    .load_ns_mean = m->load_ns_mean};
}

void core_view_device(const struct core *c, uint32_t device, struct core_device_view *ret)
{
    must(device < CORE_DEVICES_MAX);
    const struct device *d = &c->devices[device];
    *ret = (struct core_device_view){.present = d->present,
                                     .total_bytes = d->total_bytes,
                                     .used_bytes = d->used_bytes,
                                     .foreign_bytes = d->foreign_bytes,
                                     .settling_bytes = ledger_settling(c, device),
                                     .room_bytes = ledger_room(c, device, CORE_SLOT_NONE),
                                     .sampled = d->sampled};
    for (uint32_t i = 0; i < c->model_count; i++)
        if (c->models[i].device == device && !c->models[i].settling)
            ret->charged_bytes += c->models[i].charged_bytes;
}

/* Under serial there is one queue, whatever the model and the class. */
static uint32_t place_of(const struct core *c, const struct waiter *w)
{
    const struct model *m = &c->models[w->model];
    const struct link *n;
    uint32_t place = 0;
    if (c->sched == SCHEDULER_SERIAL) {
        list_each(n, &c->arrivals) {
            place++;
            if (n == &w->order)
                break;
        }
        return place;
    }
    for (int class = 0; class < (int)w->class; class ++)
        place += m->waiting[class].count;
    list_each(n, &m->waiting[w->class]) {
        place++;
        if (n == &w->link)
            break;
    }
    return place;
}

void core_view_waiter(const struct core *c, struct id id, uint32_t *ret_position,
                      uint32_t *ret_estimate_s)
{
    *ret_position = *ret_estimate_s = 0;
    if (!pool_alive(&c->waiter_pool, id))
        return;
    const struct waiter *w = &c->waiters[id.slot];
    if (w->state != WAITER_WAITING || w->kind != WAITER_REQUEST)
        return;
    *ret_position = place_of(c, w);
    *ret_estimate_s = queue_estimate_s(c, w->model);
}

bool core_view_next_waiting(const struct core *c, struct id *cursor, struct core_waiting *ret)
{
    const struct link *n = c->arrivals.head.next;
    if (!id_none(*cursor))
        n = c->waiters[cursor->slot].order.next;
    if (n == &c->arrivals.head)
        return false;
    const struct waiter *w = list_entry(n, const struct waiter, order);
    *cursor = pool_id(&c->waiter_pool, (uint32_t)(w - c->waiters));
    *ret = (struct core_waiting){.id = *cursor,
                                 .tag = w->tag,
                                 .model = w->kind == WAITER_REQUEST ? w->model : CORE_SLOT_NONE,
                                 .class = w->class,
                                 .since = w->since};
    return true;
}
