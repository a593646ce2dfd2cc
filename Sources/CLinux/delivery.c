// Apart from the others: linux/tcp.h, which has the newer fields of TCP_INFO, cannot be included beside netinet/tcp.h.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

int clinux_round_trip(int socket, unsigned *least, unsigned *most) {
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return -1;
    // An older kernel gives a shorter structure.
    *least = size >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt ? info.tcpi_min_rtt : ~0u;
    *most = info.tcpi_rtt == 0 || info.tcpi_rtt > ~0u / 16 ? ~0u : info.tcpi_rtt + 4 * info.tcpi_rttvar;
    return 0;
}
