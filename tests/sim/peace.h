/* peace.h: from some point on nothing fails any more, nothing new comes, and everything comes to
 * its end. Made from what the judge knows alone, so that a recorded list of events can be ended by
 * it. */
#ifndef SIM_PEACE_H
#define SIM_PEACE_H

#include "run.h"

/* Until everybody has been served or refused and every op is over; a broken rule when that takes
 * longer than hours of the world's time. */
void peace_make(struct run *r);

#endif
