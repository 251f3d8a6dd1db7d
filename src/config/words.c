#include "config/words.h"

#define TEXT(name, text) [name] = text,

const char *const config_class_words[CONFIG_CLASS__COUNT + 1] = {CONFIG_CLASS_WORDS(TEXT)};
const char *const config_scheduler_words[CONFIG_SCHED__COUNT + 1] = {CONFIG_SCHEDULER_WORDS(TEXT)};
const char *const config_planner_words[CONFIG_PLAN__COUNT + 1] = {CONFIG_PLANNER_WORDS(TEXT)};
const char *const config_abort_words[CONFIG_ABORT__COUNT + 1] = {CONFIG_ABORT_WORDS(TEXT)};
const char *const config_exit_words[CONFIG_EXIT__COUNT + 1] = {CONFIG_EXIT_WORDS(TEXT)};
const char *const config_backend_words[CONFIG_BACKEND__COUNT + 1] = {CONFIG_BACKEND_WORDS(TEXT)};
const char *const config_yield_words[CONFIG_YIELD__COUNT + 1] = {CONFIG_YIELD_WORDS(TEXT)};
const char *const config_method_words[CONFIG_METHOD__COUNT + 1] = {CONFIG_METHOD_WORDS(TEXT)};
const char *const config_suspend_words[CONFIG_SUSPEND__COUNT + 1] = {CONFIG_SUSPEND_WORDS(TEXT)};
const char *const config_gpus_words[CONFIG_GPUS__COUNT + 1] = {CONFIG_GPUS_WORDS(TEXT)};
const char *const config_strategy_words[CONFIG_STRATEGY__COUNT + 1] = {CONFIG_STRATEGY_WORDS(TEXT)};
const char *const config_log_stdout_words[CONFIG_LOG_STDOUT__COUNT + 1] = {
    CONFIG_LOG_STDOUT_WORDS(TEXT)};
const char *const config_log_format_words[CONFIG_LOG_FORMAT__COUNT + 1] = {
    CONFIG_LOG_FORMAT_WORDS(TEXT)};
const char *const config_log_access_words[CONFIG_LOG_ACCESS__COUNT + 1] = {
    CONFIG_LOG_ACCESS_WORDS(TEXT)};
const char *const config_log_time_words[CONFIG_LOG_TIME__COUNT + 1] = {CONFIG_LOG_TIME_WORDS(TEXT)};
const char *const config_modality_words[CONFIG_MODALITY__COUNT + 1] = {CONFIG_MODALITY_WORDS(TEXT)};
