/* words.h: settings that take one word out of a few: the words, and the enums that they become.
 *
 * Each list is written once; the enum, the table of texts (words.c), the parser and the
 * documentation come from it. */
#ifndef CONFIG_WORDS_H
#define CONFIG_WORDS_H

#include "config/words_log.h"

/* Who waits for whom, the first to be served first. */
#define CONFIG_CLASS_WORDS(WORD)                                                                   \
    WORD(CONFIG_CLASS_FOREGROUND, "foreground")                                                    \
    WORD(CONFIG_CLASS_NORMAL, "normal")                                                            \
    WORD(CONFIG_CLASS_BACKGROUND, "background")

#define CONFIG_SCHEDULER_WORDS(WORD)                                                               \
    WORD(CONFIG_SCHED_FAIR, "fair")                                                                \
    WORD(CONFIG_SCHED_FIFO, "fifo")                                                                \
    WORD(CONFIG_SCHED_SERIAL, "serial")

#define CONFIG_PLANNER_WORDS(WORD)                                                                 \
    WORD(CONFIG_PLAN_GROUP, "group")                                                               \
    WORD(CONFIG_PLAN_MATRIX, "matrix")                                                             \
    WORD(CONFIG_PLAN_FIT, "fit")

/* What becomes of an upstream request whose client left. */
#define CONFIG_ABORT_WORDS(WORD)                                                                   \
    WORD(CONFIG_ABORT_CANCEL, "cancel")                                                            \
    WORD(CONFIG_ABORT_DRAIN, "drain")

/* What becomes of the models when the daemon ends. */
#define CONFIG_EXIT_WORDS(WORD)                                                                    \
    WORD(CONFIG_EXIT_STOP, "stop")                                                                 \
    WORD(CONFIG_EXIT_KEEP, "keep")

/* How a model comes and goes. */
#define CONFIG_BACKEND_WORDS(WORD)                                                                 \
    WORD(CONFIG_BACKEND_PROCESS, "process")                                                        \
    WORD(CONFIG_BACKEND_OLLAMA, "ollama")                                                          \
    WORD(CONFIG_BACKEND_WORKER, "worker")

/* When a model moves off its GPU for another one. */
#define CONFIG_YIELD_WORDS(WORD)                                                                   \
    WORD(CONFIG_YIELD_NEED, "need")                                                                \
    WORD(CONFIG_YIELD_ALWAYS, "always")

/* Whose way of sleeping a model knows; http is one that is written out, cuda is the driver's
 * checkpoint of any process. */
#define CONFIG_SUSPEND_WORDS(WORD)                                                                 \
    WORD(CONFIG_SUSPEND_NONE, "none")                                                              \
    WORD(CONFIG_SUSPEND_VLLM, "vllm")                                                              \
    WORD(CONFIG_SUSPEND_SGLANG, "sglang")                                                          \
    WORD(CONFIG_SUSPEND_COMFYUI, "comfyui")                                                        \
    WORD(CONFIG_SUSPEND_A1111, "a1111")                                                            \
    WORD(CONFIG_SUSPEND_TABBY, "tabby")                                                            \
    WORD(CONFIG_SUSPEND_HTTP, "http")                                                              \
    WORD(CONFIG_SUSPEND_CUDA, "cuda")

/* Which GPUs of the machine are used, where no list says it. */
#define CONFIG_GPUS_WORDS(WORD)                                                                    \
    WORD(CONFIG_GPUS_AUTO, "auto")                                                                 \
    WORD(CONFIG_GPUS_CUDA, "cuda")                                                                 \
    WORD(CONFIG_GPUS_CPU, "cpu")

#define CONFIG_METHOD_WORDS(WORD)                                                                  \
    WORD(CONFIG_METHOD_POST, "POST")                                                               \
    WORD(CONFIG_METHOD_GET, "GET")                                                                 \
    WORD(CONFIG_METHOD_PUT, "PUT")                                                                 \
    WORD(CONFIG_METHOD_PATCH, "PATCH")                                                             \
    WORD(CONFIG_METHOD_DELETE, "DELETE")

/* How a selector chooses among its targets. */
#define CONFIG_STRATEGY_WORDS(WORD)                                                                \
    WORD(CONFIG_STRATEGY_WARM, "warm")                                                             \
    WORD(CONFIG_STRATEGY_PIN, "pin")                                                               \
    WORD(CONFIG_STRATEGY_SPILLOVER, "spillover")

#define CONFIG_MODALITY_WORDS(WORD)                                                                \
    WORD(CONFIG_MODALITY_TEXT, "text")                                                             \
    WORD(CONFIG_MODALITY_AUDIO, "audio")                                                           \
    WORD(CONFIG_MODALITY_IMAGE, "image")

#define CONFIG_WORD_NAME(name, text) name,
enum config_class { CONFIG_CLASS_WORDS(CONFIG_WORD_NAME) CONFIG_CLASS__COUNT };
enum config_scheduler { CONFIG_SCHEDULER_WORDS(CONFIG_WORD_NAME) CONFIG_SCHED__COUNT };
enum config_planner { CONFIG_PLANNER_WORDS(CONFIG_WORD_NAME) CONFIG_PLAN__COUNT };
enum config_abort { CONFIG_ABORT_WORDS(CONFIG_WORD_NAME) CONFIG_ABORT__COUNT };
enum config_exit { CONFIG_EXIT_WORDS(CONFIG_WORD_NAME) CONFIG_EXIT__COUNT };
enum config_backend { CONFIG_BACKEND_WORDS(CONFIG_WORD_NAME) CONFIG_BACKEND__COUNT };
enum config_yield { CONFIG_YIELD_WORDS(CONFIG_WORD_NAME) CONFIG_YIELD__COUNT };
enum config_method { CONFIG_METHOD_WORDS(CONFIG_WORD_NAME) CONFIG_METHOD__COUNT };
enum config_suspend { CONFIG_SUSPEND_WORDS(CONFIG_WORD_NAME) CONFIG_SUSPEND__COUNT };
enum config_gpus { CONFIG_GPUS_WORDS(CONFIG_WORD_NAME) CONFIG_GPUS__COUNT };
enum config_strategy { CONFIG_STRATEGY_WORDS(CONFIG_WORD_NAME) CONFIG_STRATEGY__COUNT };
enum config_log_stdout { CONFIG_LOG_STDOUT_WORDS(CONFIG_WORD_NAME) CONFIG_LOG_STDOUT__COUNT };
enum config_log_format { CONFIG_LOG_FORMAT_WORDS(CONFIG_WORD_NAME) CONFIG_LOG_FORMAT__COUNT };
enum config_log_access { CONFIG_LOG_ACCESS_WORDS(CONFIG_WORD_NAME) CONFIG_LOG_ACCESS__COUNT };
enum config_log_time { CONFIG_LOG_TIME_WORDS(CONFIG_WORD_NAME) CONFIG_LOG_TIME__COUNT };
enum config_modality { CONFIG_MODALITY_WORDS(CONFIG_WORD_NAME) CONFIG_MODALITY__COUNT };
#undef CONFIG_WORD_NAME

/* The texts, by the enum; a NULL follows the last. */
extern const char *const config_class_words[CONFIG_CLASS__COUNT + 1];
extern const char *const config_scheduler_words[CONFIG_SCHED__COUNT + 1];
extern const char *const config_planner_words[CONFIG_PLAN__COUNT + 1];
extern const char *const config_abort_words[CONFIG_ABORT__COUNT + 1];
extern const char *const config_exit_words[CONFIG_EXIT__COUNT + 1];
extern const char *const config_backend_words[CONFIG_BACKEND__COUNT + 1];
extern const char *const config_yield_words[CONFIG_YIELD__COUNT + 1];
extern const char *const config_method_words[CONFIG_METHOD__COUNT + 1];
extern const char *const config_suspend_words[CONFIG_SUSPEND__COUNT + 1];
extern const char *const config_gpus_words[CONFIG_GPUS__COUNT + 1];
extern const char *const config_strategy_words[CONFIG_STRATEGY__COUNT + 1];
extern const char *const config_log_stdout_words[CONFIG_LOG_STDOUT__COUNT + 1];
extern const char *const config_log_format_words[CONFIG_LOG_FORMAT__COUNT + 1];
extern const char *const config_log_access_words[CONFIG_LOG_ACCESS__COUNT + 1];
extern const char *const config_log_time_words[CONFIG_LOG_TIME__COUNT + 1];
extern const char *const config_modality_words[CONFIG_MODALITY__COUNT + 1];

#endif
