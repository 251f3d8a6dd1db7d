/* POST /wharf/upgrade. */
#include "server/handover/upgrade.h"
#include "api/handlers.h"

void api_upgrade(struct server *s, struct exchange *ex)
{
    upgrade_begin(s, ex);
}
