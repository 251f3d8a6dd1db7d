#include "config/words.h"

#define TEXT(name, text) [name] = text,

const char *const config_class_words[CONFIG_CLASS__COUNT + 1] = {CONFIG_CLASS_WORDS(TEXT)};
const char *const config_scheduler_words[CONFIG_SCHED__COUNT + 1] = {CONFIG_SCHEDULER_WORDS(TEXT)};
const char *const config_planner_words[CONFIG_PLAN__COUNT + 1] = {CONFIG_PLANNER_WORDS(TEXT)};
const char *const config_abort_words[CONFIG_ABORT__COUNT + 1] = {CONFIG_ABORT_WORDS(TEXT)};
const char *const config_exit_words[CONFIG_EXIT__COUNT + 1] = {CONFIG_EXIT_WORDS(TEXT)};
const char *const config_suspend_words[CONFIG_SUSPEND__COUNT + 1] = {CONFIG_SUSPEND_WORDS(TEXT)};
