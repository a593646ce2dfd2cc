#include "CLibcurl.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static int bound_silence(void *context, curl_socket_t socket, curlsocktype purpose) {
    (void)purpose;
    unsigned timeout_ms = (unsigned)(uintptr_t)context;
    int probes = 3;
    // A socket without these works all the same, and curl opens only TCP sockets here.
    (void)setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    (void)setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    return CURL_SOCKOPT_OK;
}

CURLcode clibcurl_bound_silence(CURL *easy, long user_timeout_ms) {
    CURLcode code = curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, bound_silence);
    if (code != CURLE_OK) return code;
    return curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, (void *)(uintptr_t)user_timeout_ms);
}

void clibcurl_prepare_thread(const char *name) {
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL);
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
}
