/* listener.c -- binds, or takes systemd's socket. Of several handed over, the first is used. */
#include "listener.h"
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_PASSED_FD = 3 };

/* sd_listen_fds(3), without libsystemd for it. */
static int passed_socket(void) {
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (!pid || !count || strtol(pid, NULL, 10) != (long)getpid() || strtol(count, NULL, 10) < 1) return -1;
    int listens = 0;
    socklen_t size = sizeof listens;
    if (getsockopt(FIRST_PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) || !listens) return -1;
    fcntl(FIRST_PASSED_FD, F_SETFD, FD_CLOEXEC);
    return FIRST_PASSED_FD;
}

/* host [256], port [16]; false: not HOST:PORT. */
static bool split_address(const char *address, char *host, char *port) {
    const char *colon = strrchr(address, ':');
    if (!colon || strlen(colon + 1) > 5 || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strtol(colon + 1, NULL, 10) > 65535)
        return false;
    size_t n = (size_t)(colon - address);
    if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
        address++;
        n -= 2;
    } else if (memchr(address, ':', n)) {
        return false; /* an IPv6 address without its brackets */
    }
    if (n >= 256) return false;
    memcpy(host, address, n);
    host[n] = 0;
    snprintf(port, 16, "%s", colon + 1);
    return true;
}

static int bind_one(const struct addrinfo *info) {
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, info->ai_protocol), one = 1;
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

wn_status srv_listen(const char *address, int *out, wn_error *err) {
    char host[256], port[16];
    int fd = passed_socket();
    if (fd >= 0) {
        *out = fd;
        return WN_OK;
    }
    if (!split_address(address, host, port))
        return srv_fail(err, WN_ERR_ARGUMENT, "\"%.100s\" is no address to listen on; write HOST:PORT, [V6]:PORT or :PORT",
                        address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list = NULL;
    int e = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (e) return srv_fail(err, WN_ERR_ARGUMENT, "%s: %s", address, gai_strerror(e));
    for (const struct addrinfo *info = list; info && fd < 0; info = info->ai_next) fd = bind_one(info);
    int saved = errno;
    freeaddrinfo(list);
    if (fd < 0) return srv_fail(err, WN_ERR_IO, "listening on %s: %s", address, strerror(saved));
    *out = fd;
    return WN_OK;
}

void srv_listen_describe(int fd, char *out, size_t size) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } a;
    socklen_t length = sizeof a;
    char host[INET6_ADDRSTRLEN] = "";
    memset(&a, 0, sizeof a);
    snprintf(out, size, "?");
    if (getsockname(fd, &a.any, &length)) return;
    if (a.any.sa_family == AF_INET)
        snprintf(out, size, "%s:%u", inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof host), ntohs(a.v4.sin_port));
    else if (a.any.sa_family == AF_INET6)
        snprintf(out, size, "[%s]:%u", inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof host),
                 ntohs(a.v6.sin6_port));
    else if (a.any.sa_family == AF_UNIX)
        snprintf(out, size, "unix:%.*s", (int)sizeof a.local.sun_path, a.local.sun_path);
}

size_t srv_raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    }
    return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
}
