/* core_story.h: the language of the golden traces: a story is told to a core, line by line, and
 * written down again with what the core decided below each event. */
#ifndef TESTS_CORE_STORY_H
#define TESTS_CORE_STORY_H

#include <stdbool.h>
#include <stdio.h>

struct story;

/* name: for messages; stays the caller's. */
struct story *story_new(const char *name);
void story_free(struct story *s);
/* The text as the core writes it, for the caller to free; indented lines are what it said last
 * time. A line that makes no sense ends the program. */
char *story_retell(struct story *s, const char *text);
/* Whether an `expect` did not hold; it has been reported. */
bool story_failed(const struct story *s);
/* Says where in the story it is. */
void story_report(const struct story *s);

#endif
