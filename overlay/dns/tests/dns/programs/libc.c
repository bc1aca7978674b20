// Resolves each argument with getaddrinfo and prints: name, error or "ok", milliseconds, addresses.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        struct addrinfo hints = {0}, *list = NULL;
        hints.ai_family = AF_UNSPEC;
        hints.ai_socktype = SOCK_STREAM;
        long start = now();
        int error = getaddrinfo(argv[i], NULL, &hints, &list);
        printf("%s %s %ld", argv[i], error ? "failed" : "ok", now() - start);
        for (struct addrinfo *a = error ? NULL : list; a; a = a->ai_next) {
            char text[INET6_ADDRSTRLEN] = "";
            void *from = a->ai_family == AF_INET
                ? (void *)&((struct sockaddr_in *)a->ai_addr)->sin_addr
                : (void *)&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr;
            inet_ntop(a->ai_family, from, text, sizeof text);
            printf(" %s", text);
        }
        printf("\n");
        if (!error) freeaddrinfo(list);
    }
    return 0;
}
