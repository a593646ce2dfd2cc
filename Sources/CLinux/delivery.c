// Apart from the others: linux/tcp.h, which has the newer fields of TCP_INFO, cannot be included beside netinet/tcp.h.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

int clinux_least_round_trip(int socket, unsigned *microseconds) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return -1;
    // An older kernel gives a shorter structure.
    *microseconds = size >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt ? info.tcpi_min_rtt : ~0u;
    return 0;
}
