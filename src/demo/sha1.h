/* sha1.h: SHA-1 (RFC 3174), for the WebSocket handshake; not for anything secret. */
#ifndef DEMO_SHA1_H
#define DEMO_SHA1_H

#include <stddef.h>
#include <stdint.h>

#define SHA1_BYTES 20

void sha1(const void *data, size_t n, uint8_t out[SHA1_BYTES]);

#endif
