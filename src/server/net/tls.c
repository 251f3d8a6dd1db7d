#include "server/net/tls.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/alloc.h"

struct tls_context {
    SSL_CTX *ctx;
};

struct tls {
    SSL *ssl;
    BIO *in, *out; /* the SSL's */
    char why[160];
};

/* The names of protocols in ALPN's form: each behind its length. */
static const unsigned char protocols[] = "\x08http/1.1";

static void describe_error(char *out, size_t n)
{
    unsigned long code = ERR_peek_error(); /* the first is the cause of the others */
    const char *text = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
                       : code                 ? ERR_reason_error_string(code)
                                              : NULL;
    snprintf(out, n, "%s", text ? text : "unexpected end");
    ERR_clear_error();
}

static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        return NULL;
    /* Below 1.2 nothing is safe (RFC 8996); renegotiation is a way to keep a server busy. */
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    return ctx;
}

static struct tls_context *wrap(SSL_CTX *ctx)
{
    struct tls_context *c = alloc_zeroed(1, sizeof(*c));
    c->ctx = ctx;
    return c;
}

struct tls_context *tls_context_client(struct err *err)
{
    SSL_CTX *ctx = new_ctx(TLS_client_method());
    if (!ctx || SSL_CTX_set_default_verify_paths(ctx) != 1 ||
        SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1) != 0) {
        char why[128];
        describe_error(why, sizeof(why));
        SSL_CTX_free(ctx);
        err_set(err, "TLS cannot be used: %s", why);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    /* Names stand in subjectAltName alone, and a wildcard is a whole label (RFC 9525, section 6.3).
     */
    X509_VERIFY_PARAM_set_hostflags(SSL_CTX_get0_param(ctx),
                                    X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                        X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return wrap(ctx);
}

/* HTTP/1.1 whenever it is offered; who offers other protocols alone is told that there is none
 * (RFC 7301, section 3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                           const unsigned char *offered, unsigned offered_len, void *arg)
{
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, ret_len, protocols, sizeof(protocols) - 1, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A key with a password cannot be asked for by a daemon. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

struct tls_context *tls_context_server(const char *cert_file, const char *key_file, struct err *err)
{
    SSL_CTX *ctx = new_ctx(TLS_server_method());
    const char *file = NULL;
    ERR_clear_error();
    if (ctx) {
        SSL_CTX_set_default_passwd_cb(ctx, no_password);
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
        if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1)
            file = cert_file;
        else if (SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
                 SSL_CTX_check_private_key(ctx) != 1) /* of another kind, it would just stand by */
            file = key_file;
    }
    if (ctx && !file)
        return wrap(ctx);
    char why[128];
    describe_error(why, sizeof(why));
    SSL_CTX_free(ctx);
    err_set(err, "TLS cannot be used: %s%s%s", file ? file : "", file ? ": " : "", why);
    return NULL;
}

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void narrow(struct certificate_life *life, const X509 *cert)
{
    int64_t from = seconds_of(X509_get0_notBefore(cert));
    int64_t until = seconds_of(X509_get0_notAfter(cert));
    life->from = from > life->from ? from : life->from;
    life->until = until < life->until ? until : life->until;
}

struct certificate_life tls_context_life(const struct tls_context *c)
{
    struct certificate_life life = {.from = INT64_MIN, .until = INT64_MAX};
    STACK_OF(X509) *chain = NULL;
    narrow(&life, SSL_CTX_get0_certificate(c->ctx));
    SSL_CTX_get0_chain_certs(c->ctx, &chain);
    for (int i = 0; i < sk_X509_num(chain); i++)
        narrow(&life, sk_X509_value(chain, i));
    return life;
}

void tls_context_free(struct tls_context *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
}

static struct tls *open_connection(struct tls_context *c)
{
    struct tls *t = alloc_zeroed(1, sizeof(*t));
    t->ssl = SSL_new(c->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    if (!t->ssl || !t->in || !t->out) {
        BIO_free(t->in);
        BIO_free(t->out);
        SSL_free(t->ssl);
        free(t);
        return NULL;
    }
    BIO_set_mem_eof_return(t->in, -1); /* an empty one is not the end */
    SSL_set_bio(t->ssl, t->in, t->out);
    return t;
}

/* An address stands in a certificate as an address, and is no name to be told to the server
 * (RFC 6066, section 3). */
static bool expect_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
        return true;
    ERR_clear_error();
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct tls *tls_connect(struct tls_context *c, const char *name)
{
    struct tls *t = open_connection(c);
    if (!t)
        return NULL;
    SSL_set_connect_state(t->ssl);
    if (expect_name(t->ssl, name))
        return t;
    ERR_clear_error();
    tls_free(t);
    return NULL;
}

struct tls *tls_accept(struct tls_context *c)
{
    struct tls *t = open_connection(c);
    if (t)
        SSL_set_accept_state(t->ssl);
    return t;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    free(t);
}

void tls_feed(struct tls *t, const char *data, size_t n)
{
    must(n <= INT_MAX);
    /* It can only fail for want of memory, which alloc does not survive either. */
    must(BIO_write(t->in, data, (int)n) == (int)n);
}

/* After a call that returned rc: 0 when it is to be repeated later, else how it ended. */
static int outcome(struct tls *t, int rc)
{
    int error = SSL_get_error(t->ssl, rc);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    if (error == SSL_ERROR_ZERO_RETURN)
        return TLS_ENDED;
    long verified = SSL_get_verify_result(t->ssl);
    if (verified != X509_V_OK) {
        snprintf(t->why, sizeof(t->why), "its certificate cannot be trusted: %s",
                 X509_verify_cert_error_string(verified));
        ERR_clear_error();
    } else {
        char why[120];
        describe_error(why, sizeof(why));
        snprintf(t->why, sizeof(t->why), "TLS: %s", why);
    }
    return TLS_BROKEN;
}

int tls_handshake(struct tls *t)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1)
        return 1;
    return outcome(t, rc) == 0 ? 0 : TLS_BROKEN;
}

ssize_t tls_read(struct tls *t, char *out, size_t n)
{
    size_t got;
    ERR_clear_error();
    int rc = SSL_read_ex(t->ssl, out, n, &got);
    return rc == 1 ? (ssize_t)got : outcome(t, rc);
}

bool tls_write(struct tls *t, const char *data, size_t n)
{
    size_t put;
    ERR_clear_error();
    int rc = SSL_write_ex(t->ssl, data, n, &put);
    if (rc == 1)
        return true;
    if (outcome(t, rc) != TLS_BROKEN)
        snprintf(t->why, sizeof(t->why), "TLS: the connection has ended");
    return false;
}

void tls_end(struct tls *t)
{
    ERR_clear_error();
    /* A second call would read on, and lose what it reads. */
    if (!SSL_is_init_finished(t->ssl) || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
        return;
    if (SSL_shutdown(t->ssl) < 0)
        ERR_clear_error();
}

size_t tls_output(const struct tls *t, char **ret_data)
{
    long n = BIO_get_mem_data(t->out, ret_data);
    return n > 0 ? (size_t)n : 0;
}

void tls_sent(struct tls *t)
{
    (void)BIO_reset(t->out);
}

const char *tls_why(const struct tls *t)
{
    return t->why;
}
