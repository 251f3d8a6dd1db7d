/* wire.h: what the probe process and the daemon say to each other, as messages of a socket pair
 * (SOCK_SEQPACKET): a question is a number, its answer a report with that number.
 *
 * Both are the same program on the same machine, so that the structs go as they are; version and
 * size are checked all the same, since a daemon may outlive the file that it was started from. */
#ifndef GPU_WIRE_H
#define GPU_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gpu/gpu.h"

#define WIRE_MAGIC 0x57475055U
#define WIRE_VERSION 1

struct gpu_question {
    uint32_t magic, version;
    uint64_t number;
};

struct gpu_report {
    uint32_t magic, version;
    uint32_t device_bytes; /* of one struct gpu_device */
    uint32_t device_count;
    uint64_t number;
    uint8_t final; /* there is no GPU and will be none: the probe ends */
    uint8_t unused[7];
    char text[2 * GPU_PROBLEM_MAX];             /* what is lacking, or "" */
    struct gpu_device devices[GPU_DEVICES_MAX]; /* only device_count of them are sent */
};

void wire_init_question(struct gpu_question *q, uint64_t number);
bool wire_check_question(const struct gpu_question *q, size_t bytes);
/* How many bytes of the report are to be sent. */
size_t wire_report_bytes(const struct gpu_report *r);
/* Whether a received report of so many bytes is one, with texts that end and numbers in bounds. */
bool wire_check_report(const struct gpu_report *r, size_t bytes);

#endif
