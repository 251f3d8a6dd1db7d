/* interpose.h: how the functions that stand before libc's find these. */
#ifndef FAULT_INTERPOSE_H
#define FAULT_INTERPOSE_H

#include <dlfcn.h>

#include "fault.h"

/* In the body of a function: `next`, the one that it stands before, found at the first call. POSIX
 * has dlsym's result be a function, which ISO C does not. */
#define NEXT(result, name, ...)                                                                    \
    static result (*next)(__VA_ARGS__);                                                            \
    if (!next)                                                                                     \
    *(void **)&next = dlsym(RTLD_NEXT, name)

/* Functions that fail with -1 and errno, whatever they are given; of a path, or of a descriptor
 * (-1: of neither). */
#define FAILING_AT(what, result, name, parameters, arguments, path)                                \
    result name parameters                                                                         \
    {                                                                                              \
        NEXT_OF(result, #name, parameters);                                                        \
        return fault_fails(what, path, -1) ? (result)-1 : next arguments;                          \
    }
#define FAILING(what, result, name, parameters, arguments, fd)                                     \
    result name parameters                                                                         \
    {                                                                                              \
        NEXT_OF(result, #name, parameters);                                                        \
        return fault_fails(what, NULL, fd) ? (result)-1 : next arguments;                          \
    }
#define NEXT_OF(result, name, parameters)                                                          \
    static result(*next) parameters;                                                               \
    if (!next)                                                                                     \
    *(void **)&next = dlsym(RTLD_NEXT, name)

#endif
