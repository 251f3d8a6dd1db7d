/* places.h: where things usually are: model files, programs, Ollama. Reads the environment, and the
 * file system only as far as it says. */
#ifndef CLI_INIT_PLACES_H
#define CLI_INIT_PLACES_H

#include <stdint.h>

#include "base/buf.h"

#define PLACES_MAX 16

/* The folders in which programs that download models keep them, those that are known by the
 * environment alone; some may not exist. Owned by the caller, text by text. Returns how many. */
uint32_t places_of_models(char *ret_folders[PLACES_MAX]);

/* The absolute path of a program: one with a '/' is looked at, another is searched in $PATH. Owned
 * by the caller; NULL with errno set: there is none that could be run. */
char *places_program(const char *name);

/* Where Ollama answers, by what $OLLAMA_HOST may hold: an address to listen on, with or without
 * http://, host or port; NULL or "": its default. Appends a URL. Pure. */
void places_ollama(const char *host, struct buf *ret_url);

#endif
