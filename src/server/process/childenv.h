/* childenv.h: the environment of what wharf starts: the daemon's own, without what is the daemon's
 * alone. */
#ifndef SERVER_CHILDENV_H
#define SERVER_CHILDENV_H

#include <stdbool.h>

/* own, more: "NAME=VALUE", NULL-terminated. more is added, mark ("NAME=VALUE") stands first and is
 * set whatever the others say. Of own is left out: what an init system told the daemon about itself
 * (sockets, notification, watchdog, credentials: sd_listen_fds(3), sd_notify(3), systemd.exec(5)),
 * names that begin with WHARF_KEY, and variables whose value is one of hidden (NULL-terminated, or
 * NULL): keys of clients. Returns texts of their own, NULL-terminated. */
char **childenv_make(const char *const *own, const char *const *more, const char *mark,
                     const char *const *hidden);
void childenv_free(char **env);

#endif
