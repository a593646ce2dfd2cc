#include "CLibcurl.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int prepare_socket(void *context, curl_socket_t socket, curlsocktype purpose) {
    (void)purpose;
    const clibcurl_socket_watch *watch = context;
    unsigned timeout_ms = (unsigned)watch->user_timeout_ms;
    int probes = 3;
    // A socket without these works all the same, and curl opens only TCP sockets here.
    (void)setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    (void)setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    watch->opened(watch->context, socket);
    return CURL_SOCKOPT_OK;
}

static int close_socket(void *context, curl_socket_t socket) {
    const clibcurl_socket_watch *watch = context;
    watch->closed(watch->context, socket);
    return close(socket);
}

CURLcode clibcurl_watch_sockets(CURL *easy, clibcurl_socket_watch *watch) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, prepare_socket);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, watch);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    if (code == CURLE_OK) code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, watch);
    return code;
}

long clibcurl_silence_ms(curl_socket_t socket) {
    struct tcp_info info;
    socklen_t length = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return -1;
    if (info.tcpi_state != TCP_ESTABLISHED) return -1;
    return (long)info.tcpi_last_data_recv;
}

void clibcurl_prepare_thread(const char *name) {
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}
