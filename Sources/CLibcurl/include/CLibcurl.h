#ifndef CLIBCURL_H
#define CLIBCURL_H

#include <curl/curl.h>
#include <stddef.h>

// curl_easy_setopt and its kin are variadic, which Swift cannot call: one typed wrapper for each
// kind of argument.

static inline CURLcode clibcurl_set_long(CURL *easy, CURLoption option, long value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode clibcurl_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode clibcurl_set_string(CURL *easy, CURLoption option, const char *value) {
    return curl_easy_setopt(easy, option, value);
}

static inline CURLcode clibcurl_set_pointer(CURL *easy, CURLoption option, void *value) {
    return curl_easy_setopt(easy, option, value);
}

// curl keeps a copy of the bytes.
static inline CURLcode clibcurl_set_blob(CURL *easy, CURLoption option, const void *bytes,
                                         size_t count) {
    struct curl_blob blob = {(void *)bytes, count, CURL_BLOB_COPY};
    return curl_easy_setopt(easy, option, &blob);
}

typedef size_t (*clibcurl_data_callback)(char *bytes, size_t size, size_t count, void *context);

static inline CURLcode clibcurl_set_data_callback(CURL *easy, CURLoption option,
                                                  clibcurl_data_callback callback) {
    return curl_easy_setopt(easy, option, callback);
}

// Whether the transfer got as far as sending its request.
static inline int clibcurl_has_sent(CURL *easy) {
    curl_off_t microseconds = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &microseconds);
    return microseconds > 0;
}

static inline CURLMcode clibcurl_multi_set_long(CURLM *multi, CURLMoption option, long value) {
    return curl_multi_setopt(multi, option, value);
}

// The handle and the result of a finished transfer; NULL when there is none.
static inline CURL *clibcurl_multi_next_finished(CURLM *multi, CURLcode *result) {
    int left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            *result = message->data.result;
            return message->easy_handle;
        }
    }
    return NULL;
}

// Told of each socket that curl opens (and closes) for a handle.
typedef void (*clibcurl_socket_callback)(void *context, curl_socket_t socket);

typedef struct {
    clibcurl_socket_callback opened;
    clibcurl_socket_callback closed;
    void *context;
    long user_timeout_ms;
} clibcurl_socket_watch;

// Makes a dead peer show on every socket of the handle: unacknowledged bytes and unanswered keepalive
// probes end the connection after user_timeout_ms; curl has no options of its own for this. Also tells
// of the sockets. A connection outlives the handle that opened it, so the watch must live as long as
// the multi handle.
CURLcode clibcurl_watch_sockets(CURL *easy, clibcurl_socket_watch *watch);

// For how many milliseconds nothing was received on the socket; negative when that is not known.
long clibcurl_silence_ms(curl_socket_t socket);

// Names the calling thread, for debuggers and top (at most 15 bytes), and keeps all signals from it:
// OpenSSL's writes would raise SIGPIPE here, and the process handles its other signals elsewhere.
void clibcurl_prepare_thread(const char *name);

#endif
