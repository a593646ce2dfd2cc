// OpenSSL as Swift can import it: what is a macro there is a function here.
#ifndef COPENSSL_H
#define COPENSSL_H

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static inline int copenssl_set_tls13_only(SSL_CTX *context) {
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1;
}

static inline int copenssl_set_groups(SSL_CTX *context, const char *groups) {
    return SSL_CTX_set1_groups_list(context, groups) == 1;
}

static inline int copenssl_set_signature_algorithms(SSL_CTX *context, const char *algorithms) {
    return SSL_CTX_set1_sigalgs_list(context, algorithms) == 1;
}

static inline int copenssl_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}

/// One leaf and one CA are sent, nothing is looked up; nothing of a session is ever used again.
static inline void copenssl_set_modes(SSL_CTX *context) {
    SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_max_cert_list(context, 16 * 1024);
    SSL_CTX_set_options(
        context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
}

/// A context for EVP_MAC_init, or NULL.
static inline EVP_MAC_CTX *copenssl_hmac_sha256(void) {
    EVP_MAC *algorithm = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(algorithm);
    EVP_MAC_free(algorithm);
    char digest[] = OSSL_DIGEST_NAME_SHA2_256;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
    if (context != NULL && EVP_MAC_CTX_set_params(context, parameters) == 1) return context;
    EVP_MAC_CTX_free(context);
    return NULL;
}

static const int copenssl_utf8_string = MBSTRING_UTF8;

/// An extension in the notation of x509v3_config(5), or NULL; `hash` and `keyid` speak of the two certificates.
static inline X509_EXTENSION *copenssl_extension(
    const char *name, const char *value, X509 *issuer, X509 *subject) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, subject, NULL, NULL, 0);
    return X509V3_EXT_nconf(NULL, &context, name, value);
}

static inline X509 *copenssl_stack_certificate(const STACK_OF(X509) *stack, int index) {
    return sk_X509_value(stack, index);
}

static inline int copenssl_stack_count(const STACK_OF(X509) *stack) {
    return stack == NULL ? 0 : sk_X509_num(stack);
}

static inline int copenssl_names_count(const GENERAL_NAMES *names) {
    return names == NULL ? 0 : sk_GENERAL_NAME_num(names);
}

/// The URI at `index` (not NUL-terminated), or NULL when that name is of another kind.
static inline const unsigned char *copenssl_names_uri(
    const GENERAL_NAMES *names, int index, int *count) {
    int kind = 0;
    const ASN1_STRING *text =
        (const ASN1_STRING *)GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, index), &kind);
    if (kind != GEN_URI || text == NULL) return NULL;
    *count = ASN1_STRING_length(text);
    return ASN1_STRING_get0_data(text);
}

static inline int copenssl_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int copenssl_library(unsigned long code) { return ERR_GET_LIB(code); }

static inline void copenssl_set_retry_read(BIO *bio) { BIO_set_retry_read(bio); }
static inline void copenssl_clear_retry(BIO *bio) { BIO_clear_retry_flags(bio); }

/// Writes one record of TLS 1.3 (header, ciphertext, tag: `count` + 22 bytes) whose nonce is `nonce`; 1 when that succeeded.
static inline int copenssl_seal(
    EVP_CIPHER_CTX *context, const unsigned char *nonce, unsigned char type,
    const unsigned char *text, int count, unsigned char *record) {
    unsigned char *output = record + 5;
    int length = count + 17, done = 0;
    record[0] = SSL3_RT_APPLICATION_DATA;
    record[1] = record[2] = 3;
    record[3] = (unsigned char)(length >> 8);
    record[4] = (unsigned char)length;
    return EVP_EncryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
           EVP_EncryptUpdate(context, NULL, &done, record, 5) == 1 &&
           EVP_EncryptUpdate(context, output, &done, text, count) == 1 && done == count &&
           EVP_EncryptUpdate(context, output + count, &done, &type, 1) == 1 && done == 1 &&
           EVP_EncryptFinal_ex(context, output + count + 1, &done) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, output + count + 1) == 1;
}

/// Decrypts the record whose ciphertext and tag have `length` bytes (17 or more) into `length` - 16 bytes; 1 when it is genuine.
static inline int copenssl_open(
    EVP_CIPHER_CTX *context, const unsigned char *nonce, const unsigned char *record, int length,
    unsigned char *text) {
    const unsigned char *input = record + 5;
    int count = length - 16, done = 0;
    return EVP_DecryptInit_ex(context, NULL, NULL, NULL, nonce) == 1 &&
           EVP_DecryptUpdate(context, NULL, &done, record, 5) == 1 &&
           EVP_DecryptUpdate(context, text, &done, input, count) == 1 && done == count &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, (void *)(input + count)) == 1 &&
           EVP_DecryptFinal_ex(context, text + count, &done) == 1;
}

#endif
