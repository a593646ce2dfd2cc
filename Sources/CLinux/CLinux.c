#define _GNU_SOURCE
#include "CLinux.h"

#include <malloc.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

const short clinux_poll_ended = POLLRDHUP;

int clinux_accept(int listener, struct sockaddr *address, socklen_t *length) {
    return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int clinux_pipe(int *output, int *input, int capacity) {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return -1;
    *output = ends[0];
    *input = ends[1];
    if (fcntl(ends[1], F_SETPIPE_SZ, capacity) >= capacity) return 0;
    int code = errno;
    close(ends[0]);
    close(ends[1]);
    errno = code;
    return -1;
}

ssize_t clinux_splice(int from, int to, size_t count) {
    return splice(from, NULL, to, NULL, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

int clinux_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

int clinux_unacknowledged(int socket) {
    int count = 0;
    return ioctl(socket, SIOCOUTQ, &count) == 0 ? count : -1;
}

int clinux_is_unanswered(int socket, unsigned *silence) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return -1;
    *silence = info.tcpi_last_ack_recv;
    // An answer sets the count of probes to 0.
    if (info.tcpi_probes >= 3) return 1;
    // Bytes too are sent again while the window is closed, and answered without being taken. The time between two
    // attempts doubles: the two before the last were a half and three quarters of the present one ago.
    unsigned attempts = info.tcpi_last_data_sent + info.tcpi_rto / 1000 / 4 * 3;
    return info.tcpi_unacked > 0 && info.tcpi_last_ack_recv > attempts;
}

int clinux_name_thread(const char *name) {
    return pthread_setname_np(pthread_self(), name);
}

int clinux_has_writer(int file) {
    // Were somebody to open the file while we hold the lease, the kernel would tell us: by a signal that does nothing.
    if (fcntl(file, F_SETSIG, SIGURG) != 0) return -1;
    if (fcntl(file, F_SETLEASE, F_RDLCK) == 0) {
        fcntl(file, F_SETLEASE, F_UNLCK);
        return 0;
    }
    return errno == EAGAIN ? 1 : -1;
}

void clinux_trim_heap(void) { malloc_trim(0); }
