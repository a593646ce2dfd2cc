// Random conversations over TCP, the same over several ways: what both ends saw must not depend on the way.
//
//   script SERVER_ADDRESS FIRST_PORT SEED FIRST_SCRIPT COUNT NAME=HOST:PORT...
//
// A way is where clients connect: HOST:PORT + n is to lead to SERVER_ADDRESS:FIRST_PORT + n, where this program listens, for n below
// LANES. The first way is the reference (this program's own listeners: direct TCP). Script number K is made of SEED and K alone.
//
// A conversation is a list of steps that both ends go through: each writes so much and reads so much at the same time, in slices and
// with delays; shuts down; resets. Where the bytes that arrive before a reset depend on timing in TCP itself, only their being
// a prefix is compared. Left out, because proxies differ by design: a server that ends before anything was exchanged (it counts
// as failing, the next one is tried), and clients that reset before that (nobody need have connected).
//
// Begins when standard input ends. Prints differences, and at the end one JSON object.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

enum { LANES = 16, STEPS = 24, WAYS = 8, CLIENT = 0, SERVER = 1, BUFFER = 65536 };
enum { LIMIT = 60 }; // seconds of a conversation
typedef enum { EXCHANGE, FINISH, RESET, DELAY } Kind;
typedef enum { OPEN, END, BROKEN, TIMEOUT, REFUSED, OPEN_BYTES } Ending;
static const char *endings[] = {"open", "FIN", "RST", "time-out", "refused", "bytes in place of FIN"};

// One step: what each end (CLIENT, SERVER) does of it.
typedef struct {
    Kind kind;
    int side;          // who finishes, resets or waits
    int is_synchronous; // a reset: all that was written before has arrived; a FIN: the other end goes on when it has arrived
    int size[2];       // what each writes
    int slice[2];      // in writes of this size
    int pause[2];      // microseconds between slices of reads
} Step;

typedef struct {
    Step steps[STEPS];
    int count, races; // races: what arrives before a reset is timing
} Script;

typedef struct {
    int fd, side, step, connected, has_heard_end;
    int written, taken;       // in this step
    int64_t sent, received;   // in all
    int wrong;                // a byte that was not the one sent
    Ending ending;
    double resume;            // not before
    struct Lane *lane;
} Endpoint;

typedef struct {
    int64_t received;
    Ending ending;
    int wrong;
} Seen;

typedef struct Lane {
    int number, listener, way;
    int64_t script_number;
    Script script;
    Endpoint ends[2];
    double since, done;
    int accepted; // connections that this conversation made at the server
    int early;    // of them given up after bytes had arrived
    Seen seen[WAYS][2];
} Lane;

static Lane lanes[LANES];
static struct { char name[32]; struct sockaddr_in address; int64_t extra; double seconds; } ways[WAYS];
static int way_count, poller;
static int64_t next_script, last_script, differences, compared;
static uint64_t seed, state;
static char buffer[BUFFER];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t draw(uint64_t below) {
    state += 0x9E3779B97F4A7C15u;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % below;
}

static char pattern(int64_t script, int side, int64_t offset) {
    uint64_t z = (offset >> 3) * 0x9E3779B97F4A7C15u + script * 2 + side;
    z = (z ^ z >> 29) * 0xBF58476D1CE4E5B9u;
    return z >> (offset & 7) * 8;
}

// MARK: Scripts

static int some_size(void) {
    static const int bounds[] = {3, 100, 3000, 30000, 400000};
    return draw(4) ? 1 + draw(bounds[draw(10) ? draw(4) : 4]) : 0;
}

static void add_exchange(Script *script, int client, int server) {
    Step *step = &script->steps[script->count++];
    *step = (Step){.kind = EXCHANGE, .size = {client, server}};
    for (int side = 0; side < 2; side++) {
        step->slice[side] = step->size[side] < 300 && draw(3) == 0 ? 1 : 1 + draw(draw(2) ? 2000 : BUFFER);
        step->pause[side] = draw(4) || step->size[1 - side] > 3000 ? 0 : draw(3000);
    }
}

// Before anything was exchanged the server must not end by itself: it waits for the client's FIN.
static void finish_side(Script *script, int side, int exchanged) {
    script->steps[script->count++] = (Step){.kind = FINISH, .side = side, .is_synchronous = !exchanged || draw(2)};
}

static void make(Script *script, int64_t number) {
    state = seed * 1000003 + number;
    *script = (Script){0};
    int open[2] = {1, 1}, exchanged = 0;
    for (int length = draw(10); length > 0 && script->count < STEPS - 4; length--) {
        int side = draw(2);
        switch (draw(10)) {
        case 0:
            if (!open[side] || (side == SERVER && !exchanged && open[CLIENT])) break;
            finish_side(script, side, exchanged);
            open[side] = 0;
            break;
        case 1: case 2:
            script->steps[script->count++] = (Step){.kind = DELAY, .side = side, .pause = {draw(30000), draw(30000)}};
            break;
        default:
            add_exchange(script, open[CLIENT] ? some_size() : 0, open[SERVER] ? some_size() : 0);
            // Exchanged is what both know of: a byte of each, the client's first.
            if (script->steps[script->count - 1].size[CLIENT] && open[SERVER]) {
                add_exchange(script, 0, 1);
                exchanged = 1;
            }
        }
    }
    int side = draw(2);
    if (exchanged && open[side] && draw(4) == 0) {
        int is_synchronous = open[1 - side] && draw(2);
        if (is_synchronous) add_exchange(script, side == SERVER, side == CLIENT);
        else add_exchange(script, side == CLIENT ? some_size() : 0, side == SERVER ? some_size() : 0);
        script->steps[script->count++] = (Step){.kind = RESET, .side = side, .is_synchronous = is_synchronous};
        script->races = !is_synchronous;
        return;
    }
    for (int i = 0; i < 2; i++, side = 1 - side)
        if (open[side] && !(side == SERVER && !exchanged && open[CLIENT])) {
            finish_side(script, side, exchanged);
            open[side] = 0;
        }
    if (open[SERVER]) finish_side(script, SERVER, exchanged);
}

static void describe(const Script *script) {
    for (int i = 0; i < script->count; i++) {
        const Step *step = &script->steps[i];
        const char *side = step->side ? "server" : "client";
        if (step->kind == EXCHANGE) printf("    client %d by %d, server %d by %d\n", step->size[0], step->slice[0], step->size[1], step->slice[1]);
        else printf("    %s %s%s\n", side, step->kind == FINISH ? "FIN" : step->kind == RESET ? "RST" : "waits",
                    step->kind != DELAY && !step->is_synchronous ? " at once" : "");
    }
}

// MARK: Ends

static void watch(Endpoint *end, int operation) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = end};
    if (epoll_ctl(poller, operation, end->fd, &event)) die("epoll_ctl");
}

static void settle(Endpoint *end, Ending ending) {
    if (end->ending == OPEN) end->ending = ending;
    if (end->fd >= 0) {
        // After an orderly end there is nothing to reset.
        if (ending != END) setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        close(end->fd);
        end->fd = -1;
    }
}

// The bytes that wait in the socket, at most `most`; false when the connection is over.
static int take(Endpoint *end, int most, int *got) {
    *got = 0;
    long count = recv(end->fd, buffer, most < BUFFER ? most : BUFFER, 0);
    if (count < 0 && errno == EAGAIN) return 1;
    if (count <= 0) {
        settle(end, count == 0 ? END : BROKEN);
        return 0;
    }
    for (long i = 0; i < count; i++)
        if (buffer[i] != pattern(end->lane->script_number, 1 - end->side, end->received + i)) end->wrong = 1;
    end->received += count;
    *got = count;
    return 1;
}

static void advance(Endpoint *end);

// An exchange: true when this end has done its part.
static int exchange(Endpoint *end, const Step *step) {
    int side = end->side, size = step->size[side], expected = step->size[1 - side];
    while (end->written < size) {
        int part = size - end->written < step->slice[side] ? size - end->written : step->slice[side];
        for (int i = 0; i < part; i++) buffer[i] = pattern(end->lane->script_number, side, end->sent + i);
        long count = send(end->fd, buffer, part, MSG_NOSIGNAL);
        if (count < 0 && errno == EAGAIN) break;
        if (count < 0) {
            // What arrived before the reset is still to be read, and says how it ended.
            int got;
            while (end->fd >= 0 && take(end, BUFFER, &got) && got > 0) {}
            settle(end, BROKEN);
            return 0;
        }
        end->written += count;
        end->sent += count;
    }
    while (end->taken < expected) {
        if (end->resume > now()) return 0;
        int got, most = step->pause[side] ? 1 + expected / 4 : BUFFER;
        if (!take(end, expected - end->taken < most ? expected - end->taken : most, &got)) return 0;
        if (!got) return 0;
        end->taken += got;
        if (step->pause[side]) end->resume = now() + step->pause[side] / 1e6;
    }
    return end->written == size && end->taken == expected;
}

// Goes on until something has to be waited for.
static void advance(Endpoint *end) {
    while (end->fd >= 0 && end->connected && end->resume <= now()) {
        const Script *script = &end->lane->script;
        if (end->step == script->count) {
            // Nothing but the end may come.
            int got;
            if (!take(end, BUFFER, &got)) return;
            if (!got) return;
            continue;
        }
        const Step *step = &script->steps[end->step];
        if (step->kind == EXCHANGE) {
            if (!exchange(end, step)) return;
        } else if (step->side == end->side) {
            if (step->kind == RESET) return settle(end, BROKEN);
            if (step->kind == DELAY) end->resume = now() + step->pause[end->side] / 1e6;
            if (step->kind == FINISH) shutdown(end->fd, SHUT_WR);
        } else if (step->kind == FINISH && step->is_synchronous && !end->has_heard_end) {
            long count = recv(end->fd, buffer, 1, MSG_PEEK);
            if (count < 0 && errno == EAGAIN) return;
            if (count) return settle(end, count < 0 ? BROKEN : OPEN_BYTES);
            end->has_heard_end = 1;
        }
        end->step++;
        end->written = end->taken = 0;
    }
}

static void begin(Lane *lane);

static void clear(Lane *lane, int side) {
    lane->ends[side] = (Endpoint){.fd = -1, .side = side, .lane = lane};
}

static void tune(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void connect_client(Lane *lane) {
    clear(lane, CLIENT);
    clear(lane, SERVER);
    lane->accepted = lane->early = 0;
    lane->since = now();
    lane->done = 0;
    Endpoint *end = &lane->ends[CLIENT];
    struct sockaddr_in address = ways[lane->way].address;
    address.sin_port = htons(ntohs(address.sin_port) + lane->number);
    end->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (end->fd < 0) die("socket");
    tune(end->fd);
    if (connect(end->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) return settle(end, REFUSED);
    watch(end, EPOLL_CTL_ADD);
}

// The server of an attempt that was given up waits for its end: one that ended by itself would count as failing.
static void forsake(Endpoint *end) {
    if (end->fd < 0) return;
    Endpoint *stray = malloc(sizeof *stray);
    if (!stray) die("malloc");
    *stray = (Endpoint){.fd = end->fd};
    watch(stray, EPOLL_CTL_MOD);
    end->fd = -1;
}

static void accept_server(Lane *lane) {
    int fd;
    while ((fd = accept4(lane->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        Endpoint *end = &lane->ends[SERVER];
        if (lane->accepted++) { // another attempt: the one before may have seen nothing
            lane->early += end->received > 0;
            forsake(end);
        }
        clear(lane, SERVER);
        end->fd = fd;
        end->connected = 1;
        tune(fd);
        watch(end, EPOLL_CTL_ADD);
        advance(end);
    }
}

static void turn(Endpoint *end, uint32_t events) {
    if (end->fd < 0) return;
    if (!end->lane) { // a stray; its memory stays, for an event may be on its way
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) settle(end, BROKEN);
        return;
    }
    if (!end->connected) {
        int error = 0;
        socklen_t size = sizeof error;
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) return;
        getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) return settle(end, error == ECONNREFUSED ? REFUSED : BROKEN);
        end->connected = 1;
    }
    advance(end);
}

// MARK: Judgment

static void compare(Lane *lane) {
    for (int way = 1; way < way_count; way++) {
        compared++;
        for (int side = 0; side < 2; side++) {
            Seen *a = &lane->seen[0][side], *b = &lane->seen[way][side];
            int same = a->ending == b->ending && !b->wrong && (lane->script.races || a->received == b->received);
            if (same) continue;
            differences++;
            printf("script %ld, %s:", (long)lane->script_number, ways[way].name);
            for (int each = 0; each < 2; each++) {
                a = &lane->seen[0][each], b = &lane->seen[way][each];
                printf(" the %s saw %ld bytes and %s%s, directly %ld and %s;", each ? "server" : "client", (long)b->received,
                       endings[b->ending], b->wrong ? ", wrong ones" : "", (long)a->received, endings[a->ending]);
            }
            printf("\n");
            describe(&lane->script);
            fflush(stdout);
            break;
        }
    }
}

static void finish(Lane *lane) {
    for (int side = 0; side < 2; side++) {
        Endpoint *end = &lane->ends[side];
        settle(end, TIMEOUT);
        lane->seen[lane->way][side] = (Seen){end->received, end->ending, end->wrong || (side == SERVER && lane->early)};
    }
    ways[lane->way].extra += lane->accepted > 1;
    ways[lane->way].seconds += now() - lane->since;
    if (++lane->way < way_count) return connect_client(lane);
    compare(lane);
    begin(lane);
}

static void begin(Lane *lane) {
    lane->way = 0;
    lane->script_number = next_script++;
    if (lane->script_number >= last_script) {
        lane->script_number = -1;
        return;
    }
    make(&lane->script, lane->script_number);
    connect_client(lane);
}

// True while the conversation goes on.
static int tend(Lane *lane, double time) {
    if (lane->script_number < 0) return 0;
    for (int side = 0; side < 2; side++)
        if (lane->ends[side].resume && lane->ends[side].resume <= time) advance(&lane->ends[side]);
    int client = lane->ends[CLIENT].ending != OPEN, server = lane->ends[SERVER].ending != OPEN;
    // A client that found nobody has no server to wait for.
    if ((client && server) || (client && !lane->accepted && lane->ends[CLIENT].ending == REFUSED) || time - lane->since > LIMIT)
        finish(lane);
    return 1;
}

static int listen_at(const char *host, int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 64)) die("listen");
    return fd;
}

int main(int argc, char **argv) {
    if (argc < 8 || argc - 6 > WAYS) {
        fprintf(stderr, "usage: script SERVER_ADDRESS FIRST_PORT SEED FIRST_SCRIPT COUNT NAME=HOST:PORT...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(EPOLL_CLOEXEC);
    seed = strtoull(argv[3], NULL, 10);
    next_script = atoll(argv[4]);
    last_script = next_script + atoll(argv[5]);
    for (int i = 6; i < argc; i++, way_count++) {
        char host[64];
        int port;
        if (sscanf(argv[i], "%31[^=]=%63[^:]:%d", ways[way_count].name, host, &port) != 3) die(argv[i]);
        ways[way_count].address.sin_family = AF_INET;
        ways[way_count].address.sin_port = htons(port);
        inet_pton(AF_INET, host, &ways[way_count].address.sin_addr);
    }
    double start = now();
    for (int i = 0; i < LANES; i++) {
        lanes[i].number = i;
        lanes[i].listener = listen_at(argv[1], atoi(argv[2]) + i);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &lanes[i]};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, lanes[i].listener, &event)) die("epoll_ctl");
    }
    // Proxies look whether there are servers before they send anybody: until standard input says that all do.
    if (read(0, buffer, 1) < 0) die("standard input");
    for (int i = 0; i < LANES; i++) {
        for (int fd; (fd = accept(lanes[i].listener, NULL, NULL)) >= 0;) close(fd);
        begin(&lanes[i]);
    }
    for (int alive = 1; alive;) {
        struct epoll_event events[64];
        int count = epoll_wait(poller, events, 64, 1);
        for (int i = 0; i < count; i++) {
            void *object = events[i].data.ptr;
            if (object >= (void *)lanes && object < (void *)(lanes + LANES) && ((char *)object - (char *)lanes) % sizeof(Lane) == 0)
                accept_server(object);
            else
                turn(object, events[i].events);
        }
        alive = 0;
        double time = now();
        for (int i = 0; i < LANES; i++) alive |= tend(&lanes[i], time);
    }
    printf("{\"scripts\": %ld, \"compared\": %ld, \"differences\": %ld, \"seconds\": %.1f, \"again\": %ld}\n",
           (long)(last_script - atoll(argv[4])), (long)compared, (long)differences, now() - start,
           (long)(ways[1].extra + ways[2].extra + ways[3].extra));
    return differences != 0;
}
