/* tools.h: which tools an answer calls, and with what arguments.
 *
 * That is up to the request, in any dialect's wording. By its tool_choice: none of them, the one
 * that is named, or, where it wants any, the first; left to choose, those whose names are words of
 * the last message. Each property of a tool's schema gets a value of its type: of an enum the
 * first, of a string the last word of the message, of a number how many words that has. */
#ifndef DEMO_TOOLS_H
#define DEMO_TOOLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct tool_call {
    const char *name; /* borrowed from the request */
    char *arguments;  /* owned; JSON, with blanks between its parts */
    struct buf said;  /* as much of the arguments as has been generated */
};

struct tool_calls {
    struct tool_call *calls; /* owned */
    uint32_t count;
    uint32_t now; /* the first that is not all said */
};

/* The calls that answer a request whose last message consists of these words. */
void tools_plan(const json_t *request, const char *const *words, uint32_t word_count,
                struct tool_calls *ret);
void tools_fini(struct tool_calls *t);
/* How many tokens the calls take. */
uint32_t tools_count_tokens(const struct tool_calls *t);
/* Says the next token of the present call. Returns it as a text, freed by the caller. */
char *tools_say_token(struct tool_calls *t);
bool tools_all_said(const struct tool_call *call);

#endif
