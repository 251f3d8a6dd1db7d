/* complaints.h: what is wrong with a configuration. */
#ifndef CONFIG_COMPLAINTS_H
#define CONFIG_COMPLAINTS_H

#include <stdint.h>

#include "base/buf.h"

/* Each a line "file:line:column: error: text", in the order of the file. */
struct config_report {
    struct buf text;
    uint32_t errors, warnings;
};

/* The lines as a JSON array of texts. */
void config_report_put_json(const struct config_report *report, struct buf *json);
void config_report_fini(struct config_report *report);

#endif
