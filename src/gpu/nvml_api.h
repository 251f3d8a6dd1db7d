/* nvml_api.h: the part of NVIDIA's management library that is used here, declared by hand, so that
 * nothing of NVIDIA's is needed to build: names, numbers and layouts as in nvml.h of API 13. */
#ifndef GPU_NVML_API_H
#define GPU_NVML_API_H

#include <stdint.h>

typedef struct nvml_device_opaque *nvml_device;
typedef struct nvml_event_set_opaque *nvml_event_set;

enum nvml_return {
    NVML_SUCCESS = 0,
    NVML_NOT_SUPPORTED = 3,
    NVML_NO_PERMISSION = 4,
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_DRIVER_NOT_LOADED = 9,
    NVML_TIMEOUT = 10,
    NVML_LIBRARY_NOT_FOUND = 12,
    NVML_FUNCTION_NOT_FOUND = 13,
    NVML_GPU_IS_LOST = 15,
    NVML_RESET_REQUIRED = 16,
    NVML_LIB_RM_VERSION_MISMATCH = 18,
    NVML_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_GPU_NOT_FOUND = 28,
};

#define NVML_TEXT_BYTES 96
#define NVML_TEMPERATURE_GPU 0U
#define NVML_EVENT_XID_CRITICAL 0x8ULL
/* A number of bytes that is not known (nvmlProcessInfo_t). */
#define NVML_VALUE_NOT_AVAILABLE UINT64_MAX

struct nvml_memory {
    uint64_t total, free, used;
};

struct nvml_memory_v2 {
    uint32_t version;
    uint64_t total, reserved, free, used;
};
/* Versions of structs are their size, and the number in the uppermost byte. */
#define NVML_MEMORY_V2_VERSION ((uint32_t)sizeof(struct nvml_memory_v2) | 2U << 24)

struct nvml_process {
    uint32_t pid;
    uint64_t used_bytes;
    uint32_t gpu_instance, compute_instance;
};

struct nvml_pci {
    char bus_id_legacy[16];
    uint32_t domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

struct nvml_utilisation {
    uint32_t gpu, memory;
};

struct nvml_event {
    nvml_device device;
    uint64_t type, data;
    uint32_t gpu_instance, compute_instance;
};

_Static_assert(sizeof(struct nvml_memory_v2) == 40 && sizeof(struct nvml_process) == 24 &&
                   sizeof(struct nvml_pci) == 68 && sizeof(struct nvml_event) == 32,
               "as the library has them");

/* F(member, symbol, parameters): all return an enum nvml_return. */
#define NVML_FUNCTIONS(F)                                                                          \
    F(init, "nvmlInit_v2", (void))                                                                 \
    F(shutdown, "nvmlShutdown", (void))                                                            \
    F(driver_version, "nvmlSystemGetDriverVersion", (char *, unsigned))                            \
    F(count, "nvmlDeviceGetCount_v2", (unsigned *))                                                \
    F(by_index, "nvmlDeviceGetHandleByIndex_v2", (unsigned, nvml_device *))                        \
    F(uuid, "nvmlDeviceGetUUID", (nvml_device, char *, unsigned))                                  \
    F(name, "nvmlDeviceGetName", (nvml_device, char *, unsigned))                                  \
    F(pci, "nvmlDeviceGetPciInfo_v3", (nvml_device, struct nvml_pci *))                            \
    F(memory, "nvmlDeviceGetMemoryInfo", (nvml_device, struct nvml_memory *))                      \
    F(memory_v2, "nvmlDeviceGetMemoryInfo_v2", (nvml_device, struct nvml_memory_v2 *))             \
    F(utilisation, "nvmlDeviceGetUtilizationRates", (nvml_device, struct nvml_utilisation *))      \
    F(temperature, "nvmlDeviceGetTemperature", (nvml_device, unsigned, unsigned *))                \
    F(power, "nvmlDeviceGetPowerUsage", (nvml_device, unsigned *))                                 \
    F(power_limit, "nvmlDeviceGetEnforcedPowerLimit", (nvml_device, unsigned *))                   \
    F(fan, "nvmlDeviceGetFanSpeed", (nvml_device, unsigned *))                                     \
    F(mig_mode, "nvmlDeviceGetMigMode", (nvml_device, unsigned *, unsigned *))                     \
    F(compute_v3, "nvmlDeviceGetComputeRunningProcesses_v3",                                       \
      (nvml_device, unsigned *, struct nvml_process *))                                            \
    F(compute_v2, "nvmlDeviceGetComputeRunningProcesses_v2",                                       \
      (nvml_device, unsigned *, struct nvml_process *))                                            \
    F(graphics_v3, "nvmlDeviceGetGraphicsRunningProcesses_v3",                                     \
      (nvml_device, unsigned *, struct nvml_process *))                                            \
    F(graphics_v2, "nvmlDeviceGetGraphicsRunningProcesses_v2",                                     \
      (nvml_device, unsigned *, struct nvml_process *))                                            \
    F(event_set_create, "nvmlEventSetCreate", (nvml_event_set *))                                  \
    F(register_events, "nvmlDeviceRegisterEvents",                                                 \
      (nvml_device, unsigned long long, nvml_event_set))                                           \
    F(supported_events, "nvmlDeviceGetSupportedEventTypes", (nvml_device, unsigned long long *))   \
    F(event_wait, "nvmlEventSetWait_v2", (nvml_event_set, struct nvml_event *, unsigned))          \
    F(event_set_free, "nvmlEventSetFree", (nvml_event_set))

/* A member is NULL where the library lacks it. */
struct nvml_api {
#define MEMBER(member, symbol, parameters) int(*member) parameters;
    NVML_FUNCTIONS(MEMBER)
#undef MEMBER
};

#endif
