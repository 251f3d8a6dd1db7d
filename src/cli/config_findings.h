/* config_findings.h: what the configuration's reader found, told to a person or a program. */
#ifndef CLI_CONFIG_FINDINGS_H
#define CLI_CONFIG_FINDINGS_H

#include "base/buf.h"
#include "config/config.h"

/* Every line on stderr, then, where there are errors, how many. */
void config_findings_complain(const struct config_report *report);

#endif
