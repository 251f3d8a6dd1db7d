/* tls.h: TLS over bytes in memory; it knows neither sockets nor the loop. The only user of OpenSSL
 * is tls.c, and nothing of OpenSSL runs before the first context is made.
 *
 * Ciphertext from the other side goes in by tls_feed; what is to be sent to it comes out by
 * tls_output, after each of the other calls. A connection takes some 30 KiB while it is open, and
 * more during its handshake, far more than a plain one. */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/pure/check.h"
#include "server/net/certificate.h"

struct tls_context;
struct tls;

/* What tls_read returns besides a count. */
#define TLS_ENDED (-1)  /* the other side ended the connection as it should */
#define TLS_BROKEN (-2) /* tls_why says how */

/* For connections to servers, whose certificates must be signed by an authority that the system
 * trusts (SSL_CERT_FILE and SSL_CERT_DIR name others). NULL, and a sentence in err. */
struct tls_context *tls_context_client(struct err *err);
/* For clients: a chain of certificates and its key, PEM files, which are read now. NULL, and a
 * sentence in err. */
struct tls_context *tls_context_server(const char *cert_file, const char *key_file,
                                       struct err *err);
/* When all of the chain that the server's half shows is valid. */
struct certificate_life tls_context_life(const struct tls_context *c);
/* Connections that were made with it go on. */
void tls_context_free(struct tls_context *c);

/* name: that the server's certificate must hold, a host's or an address. NULL when there is no
 * memory, or name is none. */
struct tls *tls_connect(struct tls_context *c, const char *name);
/* The server's half. NULL when there is no memory. */
struct tls *tls_accept(struct tls_context *c);
void tls_free(struct tls *t);

void tls_feed(struct tls *t, const char *data, size_t n);
/* 1: done; 0: more has to come from the other side; TLS_BROKEN. */
int tls_handshake(struct tls *t) warn_unused;
/* A count of bytes, 0 when more has to come, TLS_ENDED, TLS_BROKEN. */
ssize_t tls_read(struct tls *t, char *out, size_t n) warn_unused;
/* All of it; false when the connection is broken. n > 0. */
bool tls_write(struct tls *t, const char *data, size_t n) warn_unused;
/* Says that nothing more will be written. */
void tls_end(struct tls *t);
/* What is to be sent, valid until the next call. Returns its length. */
size_t tls_output(const struct tls *t, char **ret_data);
/* All of it has been sent, or kept elsewhere. */
void tls_sent(struct tls *t);
/* Why it is broken, as a clause. */
const char *tls_why(const struct tls *t);

#endif
