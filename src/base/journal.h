/* journal.h: systemd's journal, by its native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL): an entry is a datagram, or, when it is too large
 * for one, a sealed file in memory whose descriptor is sent. Never waits, which libsystemd's
 * sd_journal_sendv does while the journal is busy. */
#ifndef BASE_JOURNAL_H
#define BASE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pure/check.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Whether what is written to fd goes to the journal (JOURNAL_STREAM of systemd.exec(5)). */
bool journal_is(int fd);
/* To the socket at path; fd: where the sender keeps its own, -1 at first. 0, or -errno: -EAGAIN
 * while the journal does not take more. */
int journal_send(const char *path, int *fd, const void *entry, size_t n) warn_unused;

#endif
