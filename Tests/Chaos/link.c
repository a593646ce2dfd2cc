// A link between two network namespaces: two TUN devices, and between them a rate with a bounded queue, delay, jitter, loss and
// reordering.
//
//   link NETNS_A NETNS_B DEVICE     makes DEVICE in both namespaces, says "ready", and runs until standard input ends
//
// Lines on standard input change it while it runs, both ways or one (`ab`, `ba` before the names):
//   rate BITS_PER_SECOND (0: none)  queue BYTES  delay MICROSECONDS  jitter MICROSECONDS  loss PARTS_PER_MILLION
//   reorder PARTS_PER_MILLION (overtaken by what comes within the next 5 ms)  cut 0|1  seed NUMBER
// for example `rate 100000000 delay 40000` or `ab loss 1000`.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PACKET = 2048, MOST = 1 << 16, BATCH = 64, LATE_NS = 5000000 };

typedef struct {
    int64_t due, order;
    int size;
    char *bytes;
} Packet;

typedef struct {
    int from, to;
    double rate;
    int64_t queue, delay, jitter, loss, reorder, cut;
    int64_t sent_until; // when the last packet has left the sender
    int64_t last_due;
    Packet heap[MOST]; // the next one due first
    int count;
} Way;

static Way ways[2];
static int64_t order;
static uint64_t seed = 1;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint64_t draw(uint64_t below) {
    seed += 0x9E3779B97F4A7C15u;
    uint64_t z = seed;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % below;
}

static int is_before(const Packet *a, const Packet *b) { return a->due != b->due ? a->due < b->due : a->order < b->order; }

static void swap(Packet *a, Packet *b) {
    Packet c = *a;
    *a = *b;
    *b = c;
}

static void push(Way *way, Packet packet) {
    int at = way->count++;
    way->heap[at] = packet;
    for (; at && is_before(&way->heap[at], &way->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&way->heap[at], &way->heap[(at - 1) / 2]);
}

static void pop(Way *way) {
    free(way->heap[0].bytes);
    way->heap[0] = way->heap[--way->count];
    for (int at = 0;;) {
        int least = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < way->count && is_before(&way->heap[child], &way->heap[least])) least = child;
        if (least == at) return;
        swap(&way->heap[at], &way->heap[least]);
        at = least;
    }
}

// What becomes of one packet that was sent at `time`.
static void take(Way *way, const char *bytes, int size, int64_t time) {
    int64_t start = way->sent_until > time ? way->sent_until : time, leaves = time;
    if (way->rate > 0) {
        if ((start - time) * way->rate / 8e9 > way->queue) return;
        leaves = way->sent_until = start + (int64_t)(size * 8e9 / way->rate);
    }
    if (way->cut || way->count == MOST || (way->loss && (int64_t)draw(1000000) < way->loss)) return;
    int64_t due = leaves + way->delay * 1000 + (way->jitter ? (int64_t)draw(way->jitter * 1000) : 0);
    if (way->reorder && (int64_t)draw(1000000) < way->reorder)
        due += draw(LATE_NS);
    else if (due < way->last_due) // jitter alone keeps the order
        due = way->last_due;
    else
        way->last_due = due;
    char *copy = malloc(size);
    if (!copy) die("malloc");
    memcpy(copy, bytes, size);
    push(way, (Packet){due, order++, size, copy});
}

static void deliver(Way *way, int64_t time) {
    while (way->count && way->heap[0].due <= time) {
        if (!way->cut && write(way->to, way->heap[0].bytes, way->heap[0].size) < 0 && errno == EAGAIN) return;
        pop(way);
    }
}

static void set(Way *way, const char *name, double value) {
    if (!strcmp(name, "rate")) way->rate = value;
    else if (!strcmp(name, "queue")) way->queue = value;
    else if (!strcmp(name, "delay")) way->delay = value;
    else if (!strcmp(name, "jitter")) way->jitter = value;
    else if (!strcmp(name, "loss")) way->loss = value;
    else if (!strcmp(name, "reorder")) way->reorder = value;
    else if (!strcmp(name, "cut")) way->cut = value;
    else if (!strcmp(name, "seed")) seed = value;
    else fprintf(stderr, "link: no such thing: %s\n", name);
}

// False when standard input has ended.
static int obey(void) {
    char text[1024];
    long size = read(0, text, sizeof text - 1);
    if (size <= 0) return 0;
    text[size] = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        int first = 0, last = 1;
        for (char *word; (word = strsep(&line, " "));) {
            if (!*word) continue;
            if (!strcmp(word, "ab")) last = 0;
            else if (!strcmp(word, "ba")) first = 1;
            else {
                char *value = strsep(&line, " ");
                for (int i = first; value && i <= last; i++) set(&ways[i], word, atof(value));
            }
        }
    }
    return 1;
}

static int device(const char *space, const char *name) {
    int old = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), new = open(space, O_RDONLY | O_CLOEXEC);
    if (old < 0 || new < 0 || setns(new, CLONE_NEWNET)) die(space);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request)) die("tun");
    if (setns(old, CLONE_NEWNET)) die("setns");
    close(old);
    close(new);
    return fd;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: link NETNS_A NETNS_B DEVICE\n");
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1);
    int a = device(argv[1], argv[3]), b = device(argv[2], argv[3]);
    for (int i = 0; i < 2; i++) {
        ways[i].from = i ? b : a;
        ways[i].to = i ? a : b;
        ways[i].queue = 1 << 20;
    }
    puts("ready");
    fflush(stdout);
    struct pollfd waits[3] = {{.fd = 0, .events = POLLIN}, {.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    char bytes[PACKET];
    for (;;) {
        int64_t time = now(), next = -1;
        for (int i = 0; i < 2; i++)
            if (ways[i].count && (next < 0 || ways[i].heap[0].due < next)) next = ways[i].heap[0].due;
        int64_t left = next > time ? next - time : 0;
        struct timespec pause = {left / 1000000000, left % 1000000000};
        if (ppoll(waits, 3, next < 0 ? NULL : &pause, NULL) < 0 && errno != EINTR) die("ppoll");
        if (waits[0].revents && !obey()) return 0;
        time = now();
        for (int i = 0; i < 2; i++)
            for (int n = 0; n < BATCH; n++) {
                long size = read(ways[i].from, bytes, sizeof bytes);
                if (size <= 0) break;
                take(&ways[i], bytes, size, time);
            }
        time = now();
        deliver(&ways[0], time);
        deliver(&ways[1], time);
    }
}
