#define _GNU_SOURCE
#include "CNamespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>

int cns_new_network(void) {
    if (unshare(CLONE_NEWNET) != 0) return -errno;
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int cns_enter_network(int network) { return setns(network, CLONE_NEWNET) == 0 ? 0 : -errno; }
