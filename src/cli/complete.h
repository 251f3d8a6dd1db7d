/* complete.h: what may come next on a command line, from the command table and the daemon.
 *
 * The scripts of the shells (src/cli/shell) know nothing of wharf's commands; they hand over what
 * was typed and take what is printed here:
 *
 *     wharf __complete zsh|fish WORD...     the words behind "wharf", the last one being typed
 *     wharf __complete bash BREAKS LINE     the line up to the cursor; BREAKS is $COMP_WORDBREAKS
 *
 * One line an offer, its parts separated by tabs:
 *
 *     word TEXT ABOUT   TEXT may be the word
 *     bare TEXT ABOUT   likewise, and more of the same word follows
 *     file, folder      what the shell itself knows of files, of folders
 *     command N         from the N-th word on it is a command of the user's
 *
 * For bash, TEXT is what takes the place of the part of the word that readline looks at, quoted as
 * that is, without ABOUT; and in place of N stands the rest of the line.
 *
 * Nothing is said on stderr. A daemon that does not answer within a quarter of a second is none. */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/args.h"

#define COMPLETE_COMMAND "__complete"

enum offer_kind {
    OFFER_WORD,
    OFFER_BARE, /* more of the same word follows: no space behind it */
    OFFER_FILE,
    OFFER_FOLDER,
    OFFER_PROGRAM,
};

/* One thing that may come next. Texts are borrowed for the call that it is handed to. */
struct offer {
    enum offer_kind kind;
    const char *text;  /* the whole word; NULL but for OFFER_WORD and OFFER_BARE */
    const char *about; /* NULL: nothing is said of it */
    uint32_t word;     /* with OFFER_PROGRAM: the index of the word where it begins */
};

struct offers {
    void (*take)(void *arg, const struct offer *offer);
    void *arg;
};

/* words: what stands behind the program's name; the last of the count (at least one) is being
 * typed. Offers are not filtered by what was typed of it. */
void complete_words(char *const *words, uint32_t count, const struct offers *to);

/* What there is of one kind that has names; asks the daemon where it has to. before: the operand
 * before, or NULL. prefix: stands before each of them in the offer. */
void complete_names(const struct cli_args *args, enum cli_takes takes, const char *before,
                    const char *prefix, const struct offers *to);

/* argc, argv: what follows COMPLETE_COMMAND. Returns the exit status. */
int complete_main(int argc, char *const *argv);

#endif
