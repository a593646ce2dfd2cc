#define _GNU_SOURCE
#include "CLinux.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>

const short clinux_poll_ended = POLLRDHUP;

int clinux_accept(int listener, struct sockaddr *address, socklen_t *length) {
    return accept4(listener, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int clinux_processors(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;
}

int clinux_name_thread(const char *name) {
    return pthread_setname_np(pthread_self(), name);
}
