/* Which events may follow: what a caller of the core owes it (event.h, CORE 1 and 4). A recorded
 * list from which events were taken out has others that make no sense any more. */
#include "judge_priv.h"

static bool legal_model(const struct judge *j, const struct event *ev)
{
    const struct judge_model *m = &j->models[ev->model.model];
    switch ((int)ev->type) {
    case EVENT_MODEL_LOADED:
    case EVENT_MODEL_LOAD_FAILED:
        return m->seat == SEAT_LOADING;
    case EVENT_MODEL_UNLOADED:
        return m->seat == SEAT_UNLOADING;
    case EVENT_MODEL_MOVED:
        return m->seat == SEAT_MOVING;
    case EVENT_MODEL_SUSPENDED:
        return m->seat == SEAT_SUSPENDING;
    case EVENT_MODEL_RESUMED:
        return m->seat == SEAT_RESUMING;
    case EVENT_MODEL_ADOPTED:
        return m->policy.present && (ev->model.placement == CORE_SLOT_NONE ||
                                     ev->model.placement < m->policy.placement_count);
    default:
        return true; /* EXITED and BROKEN may cross anything */
    }
}

static bool legal_lease(const struct judge *j, const struct event *ev)
{
    if (ev->type == EVENT_LEASE_RESTORED && j->booted)
        return false;
    if (ev->type == EVENT_LEASE_ASKED || ev->type == EVENT_LEASE_RESTORED) {
        for (uint32_t k = 0; k < ev->lease.ask->gate_count; k++)
            if (ev->lease.ask->gates[k] >= j->config.gate_count)
                return false;
        return j->parties[ev->lease.tag % JUDGE_PARTIES_MAX].state == PARTY_FREE;
    }
    return true;
}

bool judge_legal(const struct judge *j, const struct event *ev)
{
    switch ((int)ev->type) {
    case EVENT_REQUEST_ARRIVED:
        if ((ev->request.running || ev->request.since.ns) && j->booted)
            return false;
        return j->parties[ev->request.tag % JUDGE_PARTIES_MAX].state == PARTY_FREE;
    case EVENT_LEASE_ASKED:
    case EVENT_LEASE_RESTORED:
        return legal_lease(j, ev);
    case EVENT_COMMAND:
        return !j->commands[ev->command.tag % JUDGE_COMMANDS_MAX].open;
    case EVENT_BACKEND_DOWN:
        return !j->backend_down[ev->backend.backend];
    case EVENT_BACKEND_UP:
        return j->backend_down[ev->backend.backend];
    case EVENT_DEVICE_FOUND:
        return !j->found[ev->found.device];
    case EVENT_DEVICE_LOST:
        return j->found[ev->found.device];
    case EVENT_BOOT_DONE:
        return !j->booted;
    case EVENT_MODEL_ADOPTED:
    case EVENT_MODEL_LOADED:
    case EVENT_MODEL_LOAD_FAILED:
    case EVENT_MODEL_UNLOADED:
    case EVENT_MODEL_MOVED:
    case EVENT_MODEL_SUSPENDED:
    case EVENT_MODEL_RESUMED:
    case EVENT_MODEL_EXITED:
    case EVENT_UPSTREAM_BROKEN:
        return ev->model.model < j->model_count && legal_model(j, ev);
    default:
        return true;
    }
}
