/* query.h: what the query of a request says. */
#ifndef API_QUERY_H
#define API_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct exchange;

/* The first value of that name; false where there is none, or an empty one. One that cannot be
 * decoded or does not fit is "?", which nothing takes. */
bool api_query_value(const struct exchange *ex, const char *name, char *value, size_t size);
/* Whether the name is there, with a value or without. */
bool api_query_has(const struct exchange *ex, const char *name);
/* A flag: false for 0 and false; absent where it is not there. */
bool api_query_flag(const struct exchange *ex, const char *name, bool absent);
/* A number; absent where it is not there or none. */
uint64_t api_query_number(const struct exchange *ex, const char *name, uint64_t absent);

#endif
