/* words_log.h: the words of the log's settings, for words.h, which makes enums and texts of them.
 */
#ifndef CONFIG_WORDS_LOG_H
#define CONFIG_WORDS_LOG_H

#define CONFIG_LOG_STDOUT_WORDS(WORD)                                                              \
    WORD(CONFIG_LOG_STDOUT_PROXY, "proxy")                                                         \
    WORD(CONFIG_LOG_STDOUT_UPSTREAM, "upstream")                                                   \
    WORD(CONFIG_LOG_STDOUT_BOTH, "both")                                                           \
    WORD(CONFIG_LOG_STDOUT_NONE, "none")

/* auto: the journal where the log goes there, else human. */
#define CONFIG_LOG_FORMAT_WORDS(WORD)                                                              \
    WORD(CONFIG_LOG_FORMAT_AUTO, "auto")                                                           \
    WORD(CONFIG_LOG_FORMAT_HUMAN, "human")                                                         \
    WORD(CONFIG_LOG_FORMAT_JSON, "json")                                                           \
    WORD(CONFIG_LOG_FORMAT_JOURNALD, "journald")

/* Which requests have a line in the log. */
#define CONFIG_LOG_ACCESS_WORDS(WORD)                                                              \
    WORD(CONFIG_LOG_ACCESS_ON, "on")                                                               \
    WORD(CONFIG_LOG_ACCESS_OFF, "off")                                                             \
    WORD(CONFIG_LOG_ACCESS_ERRORS, "errors")

/* The forms of a time in the log, named after the layouts of Go's package time. */
#define CONFIG_LOG_TIME_WORDS(WORD)                                                                \
    WORD(CONFIG_LOG_TIME_NONE, "")                                                                 \
    WORD(CONFIG_LOG_TIME_ANSIC, "ansic")                                                           \
    WORD(CONFIG_LOG_TIME_UNIXDATE, "unixdate")                                                     \
    WORD(CONFIG_LOG_TIME_RUBYDATE, "rubydate")                                                     \
    WORD(CONFIG_LOG_TIME_RFC822, "rfc822")                                                         \
    WORD(CONFIG_LOG_TIME_RFC822Z, "rfc822z")                                                       \
    WORD(CONFIG_LOG_TIME_RFC850, "rfc850")                                                         \
    WORD(CONFIG_LOG_TIME_RFC1123, "rfc1123")                                                       \
    WORD(CONFIG_LOG_TIME_RFC1123Z, "rfc1123z")                                                     \
    WORD(CONFIG_LOG_TIME_RFC3339, "rfc3339")                                                       \
    WORD(CONFIG_LOG_TIME_RFC3339NANO, "rfc3339nano")                                               \
    WORD(CONFIG_LOG_TIME_KITCHEN, "kitchen")                                                       \
    WORD(CONFIG_LOG_TIME_STAMP, "stamp")                                                           \
    WORD(CONFIG_LOG_TIME_STAMPMILLI, "stampmilli")                                                 \
    WORD(CONFIG_LOG_TIME_STAMPMICRO, "stampmicro")                                                 \
    WORD(CONFIG_LOG_TIME_STAMPNANO, "stampnano")

#endif
