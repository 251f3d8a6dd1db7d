/* request.h: the requests of a simulated world, as the world itself knows them. */
#ifndef SIMULATE_REQUEST_H
#define SIMULATE_REQUEST_H

#include <stdint.h>

#include "core/words.h"

#define SIM_NO_LOOP UINT32_MAX

enum sim_state { SIM_ASKING, SIM_WAITING, SIM_SERVED, SIM_DONE, SIM_REFUSED };

struct sim_request {
    uint64_t at_ns, serve_ns;
    uint64_t granted_ns; /* 0: not yet */
    uint64_t loading_ns; /* of its wait, while its model was coming in */
    struct id id;
    uint32_t model, key;
    uint32_t prompt, output; /* tokens; 0: not known */
    uint32_t loop;           /* whose it is; SIM_NO_LOOP: nobody asks again */
    enum class class;
    enum sim_state state;
    /* bound.h: the work that had come to its model and class before it; and as far as it was known
     * when it became overdue, when it has to be served (0: it is not overdue), and until when
     * others may begin to load whose turn had been decided. */
    uint64_t before_ns, until_ns, decided_ns;
};

struct sim_requests {
    struct sim_request *items; /* owned */
    uint32_t count, items_max;
};

#endif
