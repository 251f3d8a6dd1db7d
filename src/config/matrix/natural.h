/* natural.h: the order in which llama-swap comes to see the keys of a mapping. It decodes the file
 * and encodes it again before it reads it, and gopkg.in/yaml.v3 (sorter.go) writes keys sorted:
 * runs of digits by their value, and what is no letter before letters, but behind a digit after
 * them. */
#ifndef CONFIG_MATRIX_NATURAL_H
#define CONFIG_MATRIX_NATURAL_H

/* Like strcmp. */
int natural_compare(const char *a, const char *b);

#endif
