#include "backend/out_of_memory.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/pure/check.h"

/* A line of text; case does not matter. */
struct line {
    const char *at;
    size_t n;
};

/* One word behind the other, with anything between them. */
struct saying {
    const char *first, *then; /* then: NULL: the first is all */
};

/* How engines and their libraries say it. */
static const struct saying sayings[] = {
    {"out of memory", NULL},             /* CUDA, ROCm, PyTorch, JAX and most others */
    {"outofmemory", NULL},               /* hipErrorOutOfMemory, torch.OutOfMemoryError, Metal */
    {"out_of_memory", NULL},             /* CUDA_ERROR_OUT_OF_MEMORY */
    {"outofdevicememory", NULL},         /* Vulkan, vk::OutOfDeviceMemoryError */
    {"out_of_device_memory", NULL},      /* VK_ERROR_, UR_RESULT_ERROR_ (SYCL) */
    {"cudaerrormemoryallocation", NULL}, /* its old name */
    {"cublas_status_alloc_failed", NULL},
    {"hipblas_status_alloc_failed", NULL},
    {"insufficient memory", "iogpu"},                   /* Metal */
    {"device memory allocation of size", "failed"},     /* ggml_vulkan */
    {"failed to allocate", "buffer of size"},           /* ggml: CUDA0, ROCm0, Vulkan0, SYCL0 */
    {"unable to allocate", "buffer"},                   /* llama_model_load: likewise */
    {"no available memory for the cache blocks", NULL}, /* vLLM */
    {"free memory on device", "is less than desired gpu memory utilization"},
    {"not enough memory. please try to increase --mem-fraction-static", NULL}, /* SGLang */
};

/* The same words about something else: the host's memory, advice, what did no harm. */
static const struct saying others[] = {
    {"pinned memory", NULL}, /* ggml-cuda does without it then */
    {"host memory", NULL},
    {"outofhostmemory", NULL},
    {"out_of_host_memory", NULL},
    {"failed to allocate", "cpu"}, /* "CPU buffer", CPU_REPACK, CPU_Mapped */
    {"failed to allocate", "_host buffer"},
    {"failed to allocate buffer of size", NULL}, /* ggml names the GPU's */
    {"unable to allocate", "cpu"},
    {"unable to allocate", "_host buffer"},
    {"backend_cpu", NULL},           /* ggml_backend_cpu_buffer_type_alloc_buffer */
    {"aligned_malloc", NULL},        /* ggml, of the host */
    {"out of memory: kill", NULL},   /* the kernel's log */
    {"running out of memory", NULL}, /* vLLM: "If you are …, consider …" */
    {"you run out of memory", NULL},
    {"may run out of memory", NULL},
    {"might run out of memory", NULL},
    {"avoid out of memory", NULL},
    {"avoid out-of-memory", NULL},
    {"in case of out of memory", NULL},
};

/* Where the word, which is in small letters, begins in what is left; NULL: nowhere. */
static const char *find(struct line line, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= line.n; i++) {
        size_t k = 0;
        while (k < n && tolower((unsigned char)line.at[i + k]) == word[k])
            k++;
        if (k == n)
            return line.at + i;
    }
    return NULL;
}

static bool says(struct line line, const struct saying *s)
{
    const char *at = find(line, s->first);
    if (!at || !s->then)
        return at != NULL;
    const char *rest = at + strlen(s->first);
    return find((struct line){.at = rest, .n = line.n - (size_t)(rest - line.at)}, s->then) != NULL;
}

static bool says_any(struct line line, const struct saying *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (says(line, &list[i]))
            return true;
    return false;
}

bool out_of_memory_said(const char *text, size_t n)
{
    while (n) {
        const char *end = memchr(text, '\n', n);
        struct line line = {.at = text, .n = end ? (size_t)(end - text) : n};
        if (says_any(line, sayings, countof(sayings)) && !says_any(line, others, countof(others)))
            return true;
        size_t used = line.n + (end != NULL);
        text += used;
        n -= used;
    }
    return false;
}
