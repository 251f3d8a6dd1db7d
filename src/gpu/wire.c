#include "gpu/wire.h"

#include <string.h>

void wire_init_question(struct gpu_question *q, uint64_t number)
{
    *q = (struct gpu_question){.magic = WIRE_MAGIC, .version = WIRE_VERSION, .number = number};
}

bool wire_check_question(const struct gpu_question *q, size_t bytes)
{
    return bytes == sizeof(*q) && q->magic == WIRE_MAGIC && q->version == WIRE_VERSION;
}

size_t wire_report_bytes(const struct gpu_report *r)
{
    return offsetof(struct gpu_report, devices) + r->device_count * sizeof(r->devices[0]);
}

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

static bool check_device(const struct gpu_device *d)
{
    return d->source < GPU_SOURCE__COUNT && d->use_count <= GPU_USES_MAX &&
           ends(d->uuid, sizeof(d->uuid)) && ends(d->name, sizeof(d->name)) &&
           ends(d->pci, sizeof(d->pci)) && ends(d->driver, sizeof(d->driver)) &&
           ends(d->driver_version, sizeof(d->driver_version)) &&
           ends(d->problem, sizeof(d->problem)) && ends(d->uses_problem, sizeof(d->uses_problem));
}

bool wire_check_report(const struct gpu_report *r, size_t bytes)
{
    if (bytes < offsetof(struct gpu_report, devices) || r->magic != WIRE_MAGIC ||
        r->version != WIRE_VERSION || r->device_bytes != sizeof(r->devices[0]) ||
        r->device_count > GPU_DEVICES_MAX || bytes != wire_report_bytes(r) ||
        !ends(r->text, sizeof(r->text)))
        return false;
    for (uint32_t i = 0; i < r->device_count; i++)
        if (!check_device(&r->devices[i]))
            return false;
    return true;
}
