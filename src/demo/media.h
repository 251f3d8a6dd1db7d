/* media.h: endpoints for sound and pictures. Each answers the request that was read; false: the
 * connection must end. */
#ifndef DEMO_MEDIA_H
#define DEMO_MEDIA_H

#include "engine.h"
#include "http.h"

/* Transcriptions and translations: what was heard is the file's name and size. */
bool media_transcription(struct engine *e, struct http_conn *c);
/* A quarter of a second of silence. */
bool media_speech(struct engine *e, struct http_conn *c);
/* As many pictures as "n" says, of one transparent pixel. */
bool media_image(struct engine *e, struct http_conn *c);
/* Edits and variations: the picture that was sent, as it came. */
bool media_image_edit(struct engine *e, struct http_conn *c);

#endif
