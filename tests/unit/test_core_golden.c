/* Golden traces: each file of tests/golden is a story told to the core, with what it decided
 * indented below each event. The whole text is compared; tests/golden/README.md has the language.
 *
 *     WHARF_GOLDEN_UPDATE=1 build/tests/unit/test_core_golden    writes what the core decides now
 *
 * Lines that begin with `expect` state what must hold in any case: an update does not change them,
 * and one that fails is an error even then. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core_story.h"

#define STORIES_MAX 500

static struct story *current; /* for the handler of SIGABRT */

static char *read_file(const char *path)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = fopen(path, "r");
    if (!f || getdelim(&text, &size, '\0', f) < 0) {
        fprintf(stderr, "%s: can't be read, or is empty\n", path);
        exit(2);
    }
    fclose(f);
    return text;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        fprintf(stderr, "%s: can't be written\n", path);
        exit(2);
    }
}

static void print_lines(const char *mark, const char *from, const char *to)
{
    while (from < to) {
        size_t n = strcspn(from, "\n");
        fprintf(stderr, "%s%.*s\n", mark, (int)n, from);
        from += n + (from[n] == '\n');
    }
}

/* What lies between the common beginning and the common end, in whole lines. */
static void print_difference(const char *wanted, const char *real)
{
    size_t a = strlen(wanted), b = strlen(real), start = 0;
    for (size_t i = 0; wanted[i] && wanted[i] == real[i]; i++)
        if (wanted[i] == '\n')
            start = i + 1;
    while (a > start && b > start && wanted[a - 1] == real[b - 1]) {
        a--;
        b--;
    }
    a += strcspn(wanted + a, "\n");
    b += strcspn(real + b, "\n");
    print_lines("- ", wanted + start, wanted + a);
    print_lines("+ ", real + start, real + b);
}

static void on_abort(int signal_number)
{
    (void)signal_number;
    if (current)
        story_report(current);
}

static void test_story(void **state)
{
    const char *path = *state;
    struct story *s = current = story_new(path);
    char *wanted = read_file(path);
    char *real = story_retell(s, wanted);
    bool same = strcmp(wanted, real) == 0, failed = story_failed(s);
    current = NULL;
    if (!same && getenv("WHARF_GOLDEN_UPDATE")) {
        write_file(path, real);
        same = true;
    } else if (!same) {
        fprintf(stderr, "%s: - as written, + as it came\n", path);
        print_difference(wanted, real);
    }
    free(wanted);
    free(real);
    story_free(s);
    assert_true(same);
    assert_false(failed);
}

static int compare_tests(const void *a, const void *b)
{
    return strcmp(((const struct CMUnitTest *)a)->name, ((const struct CMUnitTest *)b)->name);
}

static size_t find_stories(const char *folder, struct CMUnitTest *tests)
{
    size_t count = 0;
    struct dirent *entry;
    DIR *dir = opendir(folder);
    if (!dir) {
        fprintf(stderr, "%s: no such folder; set WHARF_SOURCE_ROOT\n", folder);
        exit(2);
    }
    while ((entry = readdir(dir)) && count < STORIES_MAX) {
        size_t n = strlen(entry->d_name);
        char *path = NULL, *name = NULL;
        if (n < 5 || strcmp(entry->d_name + n - 4, ".txt") != 0)
            continue;
        if (asprintf(&path, "%s/%s", folder, entry->d_name) < 0 ||
            !(name = strndup(entry->d_name, n - 4)))
            exit(2);
        tests[count++] =
            (struct CMUnitTest){.name = name, .test_func = test_story, .initial_state = path};
    }
    closedir(dir);
    qsort(tests, count, sizeof(*tests), compare_tests);
    return count;
}

/* FILE…: these stories instead of all */
int main(int argc, char **argv)
{
    static struct CMUnitTest tests[STORIES_MAX];
    const char *root = getenv("WHARF_SOURCE_ROOT");
    char folder[4096];
    size_t count = 0;
    snprintf(folder, sizeof(folder), "%s%stests/golden", root ? root : "", root ? "/" : "");
    signal(SIGABRT, on_abort);
    for (; argc > 1 && count < STORIES_MAX && (int)count < argc - 1; count++)
        tests[count] = (struct CMUnitTest){.name = strdup(argv[count + 1]),
                                           .test_func = test_story,
                                           .initial_state = strdup(argv[count + 1])};
    if (argc == 1)
        count = find_stories(folder, tests);
    int failed = _cmocka_run_group_tests("golden", tests, count, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        free(tests[i].initial_state);
        char *name;
        memcpy(&name, &tests[i].name, sizeof(name)); /* ours, behind a const */
        free(name);
    }
    return failed || count == 0;
}
