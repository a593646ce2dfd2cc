// Load for benchmarks: a server and clients that cost so little that what lies between them is measured.
//
//   load serve HOST:PORT                        until it is killed
//   load bulk HOST:PORT STREAMS SECONDS         downloads: bytes in all
//   load connect HOST:PORT PARALLEL SECONDS     connect, one byte to and fro, close; again
//   load request HOST:PORT CONNECTIONS SECONDS  64 bytes to and fro, again, on open connections
//   load beside HOST:PORT CONNECTIONS STREAMS SECONDS   requests while downloads run
//   load idle HOST:PORT CONNECTIONS             opens them, says so, keeps them until standard input ends
//
// The first byte of a connection says what it wants: 'd' a download without end, 'e' an echo. Each client prints one JSON
// object; a connection that broke counts as `broken`, and a benchmark with any is no benchmark.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, REQUEST = 64, LATENCIES = 4 << 20, DESCRIPTORS = 65536 };

typedef enum { NEW, CONNECTING, ECHO, DOWNLOAD } State;
typedef struct {
    State state;
    int wants_download; // a client's: what to ask for
    int got;            // bytes of the answer so far
    double since;       // when the request was sent
} Connection;

static Connection connections[DESCRIPTORS];
static char buffer[BUFFER];
static float *latencies; // in microseconds
static long latency_count, byte_count, answered, broken;
static int poller;
static struct sockaddr_in address;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void parse(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || colon - text >= (long)sizeof host) die("HOST:PORT");
    memcpy(host, text, colon - text);
    host[colon - text] = 0;
    address.sin_family = AF_INET;
    address.sin_port = htons(atoi(colon + 1));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("HOST:PORT");
}

static void watch(int fd, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, operation, fd, &event)) die("epoll_ctl");
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void end(int fd) {
    connections[fd] = (Connection){0};
    close(fd);
}

// MARK: Server

static void produce(int fd) {
    for (int round = 0; round < 2; round++) // the others have their turn, too
        if (send(fd, buffer, BUFFER, MSG_NOSIGNAL) < 0) {
            if (errno != EAGAIN) end(fd);
            return;
        }
}

static void answer(int fd) {
    Connection *connection = &connections[fd];
    char bytes[4096];
    long count = recv(fd, bytes, sizeof bytes, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return end(fd);
    if (connection->state == NEW) {
        connection->state = bytes[0] == 'd' ? DOWNLOAD : ECHO;
        if (connection->state == DOWNLOAD) return watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    if (connection->state == ECHO && send(fd, bytes, count, MSG_NOSIGNAL) != count) end(fd);
}

static void serve(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) die("listen");
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    struct epoll_event events[256];
    for (;;) {
        int count = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (events[i].events & ~EPOLLOUT) answer(fd);
                else produce(fd);
                continue;
            }
            while ((fd = accept4(listener, 0, 0, SOCK_NONBLOCK)) >= 0) {
                if (fd >= DESCRIPTORS) die("too many connections");
                no_delay(fd);
                watch(fd, EPOLL_CTL_ADD, EPOLLIN);
            }
        }
    }
}

// MARK: Clients

static int open_one(int wants_download) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || fd >= DESCRIPTORS) die("socket");
    no_delay(fd);
    // Closed connections rest for a minute: many addresses, or the ports run out.
    static uint32_t turn;
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f020001 + turn++ % 200)};
    int one = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    int is_loopback = ntohl(address.sin_addr.s_addr) >> 24 == 127;
    if (is_loopback && bind(fd, (struct sockaddr *)&source, sizeof source)) die("bind");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) die("connect");
    connections[fd] = (Connection){.state = CONNECTING, .wants_download = wants_download, .since = now()};
    watch(fd, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    return fd;
}

static void ask(int fd, int size) {
    Connection *connection = &connections[fd];
    char request[REQUEST];
    memset(request, 'e', sizeof request);
    connection->got = 0;
    if (send(fd, request, size, MSG_NOSIGNAL) != size) broken++;
}

static void connected(int fd, int request_size) {
    Connection *connection = &connections[fd];
    watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    connection->state = connection->wants_download ? DOWNLOAD : ECHO;
    if (connection->wants_download) {
        if (send(fd, "d", 1, MSG_NOSIGNAL) != 1) broken++;
    } else {
        ask(fd, request_size);
    }
}

static void note_latency(Connection *connection) {
    answered++;
    if (latency_count < LATENCIES) latencies[latency_count++] = (now() - connection->since) * 1e6;
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void report(double seconds) {
    qsort(latencies, latency_count, sizeof *latencies, compare);
    float p50 = latency_count ? latencies[latency_count / 2] : 0, p99 = latency_count ? latencies[latency_count * 99 / 100] : 0;
    printf("{\"seconds\": %.3f, \"bytes\": %ld, \"answered\": %ld, \"p50\": %.0f, \"p99\": %.0f, \"broken\": %ld}\n", seconds,
           byte_count, answered, p50, p99, broken);
    fflush(stdout);
}

// What happens when an answer is whole: nothing (idle), the next request, or the next connection.
typedef enum { REST, AGAIN, RECONNECT } Then;

static void turn(int fd, int size, Then then) {
    Connection *connection = &connections[fd];
    long count = recv(fd, buffer, BUFFER, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        broken++;
        return end(fd);
    }
    if (connection->state == DOWNLOAD) {
        byte_count += count;
        return;
    }
    connection->got += count;
    if (connection->got < size) return;
    note_latency(connection);
    if (then == AGAIN) {
        connection->since = now();
        ask(fd, size);
    } else if (then == RECONNECT) {
        end(fd);
        open_one(0);
    }
}

// Turns until `seconds` are over, or `enough` answers have come.
static void run(double seconds, int size, Then then, long enough) {
    struct epoll_event events[256];
    double start = now();
    while (now() - start < seconds && answered < enough) {
        int count = epoll_wait(poller, events, 256, 20);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (connections[fd].state == CONNECTING && events[i].events & EPOLLOUT && !(events[i].events & EPOLLERR))
                connected(fd, size);
            else if (connections[fd].state != NEW)
                turn(fd, size, then);
        }
    }
}

// A quarter of a second goes by before anything counts.
static void measure(double seconds, int size, Then then) {
    run(0.25, size, then, INT64_MAX);
    latency_count = byte_count = answered = 0;
    puts("{\"begin\": true}");
    fflush(stdout);
    double start = now();
    run(seconds, size, then, INT64_MAX);
    report(now() - start);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc < 3) {
        fprintf(stderr, "usage: load serve|bulk|connect|request|beside|idle HOST:PORT ...\n");
        return 2;
    }
    poller = epoll_create1(0);
    latencies = malloc(LATENCIES * sizeof *latencies);
    parse(argv[2]);
    const char *mode = argv[1];
    int first = argc > 3 ? atoi(argv[3]) : 1;
    double seconds = atof(argv[argc - 1]);
    if (!strcmp(mode, "serve")) serve();
    if (!strcmp(mode, "beside")) {
        for (int i = argc > 5 ? atoi(argv[4]) : 1; i > 0; i--) open_one(1);
        for (int i = 0; i < first; i++) open_one(0);
        measure(seconds, REQUEST, AGAIN);
        return 0;
    }
    for (int i = 0; i < first; i++) {
        open_one(!strcmp(mode, "bulk"));
        if (!strcmp(mode, "idle")) run(10, 1, REST, i + 1); // one by one: no backlog overflows
    }
    if (!strcmp(mode, "idle")) {
        report(0);
        while (read(0, buffer, 1) > 0) {}
    } else {
        measure(seconds, !strcmp(mode, "request") ? REQUEST : 1, !strcmp(mode, "connect") ? RECONNECT : AGAIN);
    }
    return 0;
}
