/* schema.h: the settings table as a JSON Schema (draft 7), for editors. */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "base/buf.h"

/* Whatever loads is valid by it, but for an unknown key's value; it cannot say what depends on
 * several keys at once. */
void config_schema(struct buf *out);

#endif
