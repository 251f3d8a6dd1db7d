#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "backend/out_of_memory.h"
#include "base/pure/check.h"

/* Lines of real logs. */
static const char *const gpu_lines[] = {
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 13285.50 MiB on device 0: cudaMalloc "
    "failed: out of memory",
    "alloc_tensor_range: failed to allocate CUDA0 buffer of size 151851674624",
    "alloc_tensor_range: failed to allocate ROCm0 buffer of size 21474836480",
    "ggml_gallocr_reserve_n: failed to allocate CUDA4 buffer of size 150995968",
    "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
    "llama_model_load: error loading model: unable to allocate Vulkan0 buffer",
    "CUDA error: out of memory",
    "ROCm error: out of memory",
    "E 0.00.100.000 CUDA error: Out Of Memory",
    "ggml_vulkan: Device memory allocation of size 462323712 failed.",
    "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
    "terminate called after throwing an instance of 'vk::OutOfDeviceMemoryError'",
    "vkAllocateMemory: VK_ERROR_OUT_OF_DEVICE_MEMORY",
    "Native API returns: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
    "RuntimeError: HIP error: hipErrorOutOfMemory",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total "
    "capacity of 23.65 GiB of which 1.06 GiB is free. If reserved but unallocated memory is large "
    "try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.",
    "torch.cuda.OutOfMemoryError: HIP out of memory. Tried to allocate 224.00 MiB",
    "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. "
    "Please try lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine.",
    "(EngineCore_0 pid=217) ValueError: Free memory on device cuda:0 (3.25/23.43 GiB) on startup "
    "is "
    "less than desired GPU memory utilization (0.96, 22.49 GiB). Decrease GPU memory utilization "
    "or "
    "reduce GPU memory used by other processes.",
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` "
    "when initializing the engine.",
    "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static.",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "failed to create a context: CUDA_ERROR_OUT_OF_MEMORY",
    "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to "
    "allocate 17179869184 bytes.",
    "ggml_metal_synchronize: error: Insufficient Memory "
    "(00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
};

/* The host's memory, advice, what does no harm, and other failures. */
static const char *const other_lines[] = {
    "",
    "\r",
    "error: failed to load the model",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "llama_model_load: error loading model: mmap failed: Cannot allocate memory",
    "MemoryError",
    "Out of memory: Killed process 4711 (llama-server) total-vm:41943040kB, anon-rss:31457280kB",
    "memory cgroup out of memory: Killed process 4711 (python3)",
    "ggml_cuda_host_malloc: failed to allocate 1900.00 MiB of pinned memory: out of memory",
    "ggml_vulkan: Failed to allocate pinned memory.",
    "vkAllocateMemory: VK_ERROR_OUT_OF_HOST_MEMORY",
    "vk::Device::createBuffer: ErrorOutOfHostMemory",
    "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 4362076192",
    "alloc_tensor_range: failed to allocate CPU buffer of size 4362076192",
    "alloc_tensor_range: failed to allocate CPU_REPACK buffer of size 4362076192",
    "ggml_gallocr_reserve_n: failed to allocate CUDA_Host buffer of size 150995968",
    "llama_model_load: error loading model: unable to allocate CPU buffer",
    "ggml_aligned_malloc: insufficient memory (attempted to allocate 4096.00 MB)",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't "
    "allocate memory: you tried to allocate 8589934592 bytes. Error code 12",
    "INFO gpu_model_runner.py: Graph capturing finished. CUDA graphs can take additional 1~3 GiB "
    "memory per GPU. If you are running out of memory, consider decreasing "
    "`gpu_memory_utilization` or enforcing eager mode.",
    "hint: lower -ngl if you run out of memory",
    "WARNING: the KV cache is large, the GPU may run out of memory",
    "cudaErrorNoDevice: no CUDA-capable device is detected",
    "CUDA error: an illegal memory access was encountered",
    "llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv "
    "cache",
    "bind: Address already in use",
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < countof(gpu_lines); i++)
        if (!out_of_memory_said(gpu_lines[i], strlen(gpu_lines[i])))
            fail_msg("not noticed: %s", gpu_lines[i]);
    for (size_t i = 0; i < countof(other_lines); i++)
        if (out_of_memory_said(other_lines[i], strlen(other_lines[i])))
            fail_msg("taken for it: %s", other_lines[i]);
}

/* One line is enough, wherever it stands, and does not make up for another. */
static void test_texts(void **state)
{
    static const char first[] = "CUDA error: out of memory\n  current device: 0\nAborted\n";
    static const char last[] = "loading\nwarming up\nCUDA error: out of memory";
    static const char apart[] = "CUDA error: out of\nmemory\n";
    static const char split[] = "failed to allocate\nbuffer of size 12\n";
    static const char both[] =
        "CUDA error: out of memory\nfailed to allocate CPU buffer of size 1\n";
    (void)state;
    assert_true(out_of_memory_said(first, strlen(first)));
    assert_true(out_of_memory_said(last, strlen(last)));
    assert_true(out_of_memory_said(both, strlen(both)));
    assert_false(out_of_memory_said(apart, strlen(apart)));
    assert_false(out_of_memory_said(split, strlen(split)));
    assert_false(out_of_memory_said(NULL, 0));
}

/* A text that is cut anywhere is read to its end and no further. */
static void test_cut(void **state)
{
    static const char text[] = "\0x\nout of mem\xff\nfailed to allocate CUDA0 buffer of size 1";
    (void)state;
    for (size_t n = 0; n < sizeof(text); n++) {
        char *cut = malloc(n + 1); /* sanitizers and valgrind see what lies behind */
        assert_non_null(cut);
        memcpy(cut, text, n);
        char *exact = realloc(cut, n ? n : 1);
        assert_int_equal(out_of_memory_said(exact, n), n >= sizeof(text) - 3);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
