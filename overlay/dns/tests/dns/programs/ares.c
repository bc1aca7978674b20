// Resolves each argument with c-ares and prints: name, error or "ok", milliseconds, addresses.
#include <ares.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static char line[8192];
static long start;

static void done(void *name, int status, int timeouts, struct ares_addrinfo *list) {
    (void)timeouts;
    int n = snprintf(line, sizeof line, "%s %s %ld", (char *)name, status ? "failed" : "ok",
                     now() - start);
    for (struct ares_addrinfo_node *a = list ? list->nodes : NULL; a; a = a->ai_next) {
        char text[INET6_ADDRSTRLEN] = "";
        void *from = a->ai_family == AF_INET
            ? (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr
            : (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;
        ares_inet_ntop(a->ai_family, from, text, sizeof text);
        n += snprintf(line + n, sizeof line - n, " %s", text);
    }
    printf("%s\n", line);
    if (list) ares_freeaddrinfo(list);
}

int main(int argc, char **argv) {
    ares_channel channel;
    if (ares_library_init(ARES_LIB_INIT_ALL) || ares_init(&channel)) return 1;
    for (int i = 1; i < argc; i++) {
        struct ares_addrinfo_hints hints = {0};
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        start = now();
        ares_getaddrinfo(channel, argv[i], NULL, &hints, done, argv[i]);
        for (;;) {
            fd_set read, write;
            FD_ZERO(&read);
            FD_ZERO(&write);
            int count = ares_fds(channel, &read, &write);
            if (count == 0) break;
            struct timeval wait, *timeout = ares_timeout(channel, NULL, &wait);
            select(count, &read, &write, NULL, timeout);
            ares_process(channel, &read, &write);
        }
    }
    ares_destroy(channel);
    return 0;
}
