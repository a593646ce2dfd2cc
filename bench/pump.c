// The least that two processes can do to carry TCP over TLS: recv, SSL_write; SSL_read, send. The limit that benchmarks name.
//
//   pump out HOST:PORT HOST:PORT FOLDER   takes plain connections, goes on over TLS
//   pump in HOST:PORT HOST:PORT FOLDER    takes TLS, goes on in plain TCP
//
// FOLDER holds ca.crt, tls.crt and tls.key; both sides show certificates (TLS 1.3). One thread for each connection.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 128 * 1024 };

static SSL_CTX *context;
static struct sockaddr_in to;
static int is_out;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in parse(const char *text) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64] = {0};
    const char *colon = strrchr(text, ':');
    if (!colon || colon - text >= (long)sizeof host) die("HOST:PORT");
    memcpy(host, text, colon - text);
    address.sin_port = htons(atoi(colon + 1));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("HOST:PORT");
    return address;
}

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static int send_all(int fd, const char *bytes, int count) {
    while (count > 0) {
        long sent = send(fd, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0) return 0;
        bytes += sent;
        count -= sent;
    }
    return 1;
}

static void *carry(void *argument) {
    int accepted = (int)(long)argument, connected = socket(AF_INET, SOCK_STREAM, 0);
    char *bytes = malloc(CHUNK);
    SSL *tls = SSL_new(context);
    no_delay(accepted);
    no_delay(connected);
    int plain = is_out ? accepted : connected, secure = is_out ? connected : accepted;
    SSL_set_fd(tls, secure);
    if (connect(connected, (struct sockaddr *)&to, sizeof to) || (is_out ? SSL_connect(tls) : SSL_accept(tls)) != 1) goto out;
    for (;;) {
        struct pollfd both[2] = {{.fd = plain, .events = POLLIN}, {.fd = secure, .events = POLLIN}};
        int pending = SSL_has_pending(tls);
        if (!pending && poll(both, 2, -1) < 0) break;
        if (pending || both[1].revents) {
            int count = 0;
            // As many records as are here already make one send.
            do {
                int read = SSL_read(tls, bytes + count, CHUNK - count);
                if (read <= 0) break;
                count += read;
            } while (count < CHUNK && SSL_has_pending(tls));
            if (count <= 0 || !send_all(plain, bytes, count)) break;
        }
        if (both[0].revents) {
            long count = recv(plain, bytes, CHUNK, 0);
            if (count <= 0 || SSL_write(tls, bytes, count) != count) break;
        }
    }
out:
    SSL_free(tls);
    free(bytes);
    close(accepted);
    close(connected);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5 || chdir(argv[4])) {
        fprintf(stderr, "usage: pump out|in HOST:PORT HOST:PORT FOLDER\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    is_out = !strcmp(argv[1], "out");
    struct sockaddr_in here = parse(argv[2]);
    to = parse(argv[3]);
    context = SSL_CTX_new(TLS_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256"); // what Tieline prefers
    SSL_CTX_set_num_tickets(context, 0); // a read must not wait behind one
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, CHUNK);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, 0);
    if (SSL_CTX_use_certificate_chain_file(context, "tls.crt") != 1 ||
        SSL_CTX_use_PrivateKey_file(context, "tls.key", SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_load_verify_locations(context, "ca.crt", 0) != 1)
        die("certificates");
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096)) die("listen");
    for (;;) {
        int fd = accept(listener, 0, 0);
        pthread_t thread;
        if (fd < 0) continue;
        if (pthread_create(&thread, 0, carry, (void *)(long)fd)) close(fd);
        else pthread_detach(thread);
    }
}
