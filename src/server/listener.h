/* listener.h -- the listening socket. */
#ifndef WN_SERVER_LISTENER_H
#define WN_SERVER_LISTENER_H

#include <winnow.h>

/* "HOST:PORT", "[V6]:PORT", ":PORT" (all addresses). The socket systemd hands over (LISTEN_FDS) is taken first. */
wn_status srv_listen(const char *address, int *out, wn_error *err);
/* Where a socket listens: "127.0.0.1:8080", "[::1]:8080", "unix:/path". */
void srv_listen_describe(int fd, char *out, size_t size);
/* As many open files as the hard limit allows; returns how many. */
size_t srv_raise_file_limit(void);
#endif
