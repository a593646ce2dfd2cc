#include "COpenSSL.h"

// At exit OpenSSL would take itself apart, and a thread that ends at the same moment crashes over it: those of HTTPTransport end by
// themselves, some time after they were told to. Said before main, for the first word on this holds.
__attribute__((constructor)) static void keep_whole_until_the_end(void) {
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}
