/* wharf/wharf.h: all of libwharf.
 *
 * In a program: gate.h, an order among those who want in; broker.h, models and memory by wharf's own
 * decisions; pool.h, jobs that share a GPU's memory. Of a daemon: client.h, lease.h. */
#ifndef WHARF_WHARF_H
#define WHARF_WHARF_H

#include <wharf/api.h>
#include <wharf/broker.h>
#include <wharf/client.h>
#include <wharf/gate.h>
#include <wharf/lease.h>
#include <wharf/pool.h>

#endif
