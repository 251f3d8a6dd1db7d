/* check.h: what the daemon adds to the report of a broken invariant. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

/* Called before the process aborts, with the descriptor to write to; must not allocate. */
void check_set_dump(void (*dump)(int fd));

#endif
