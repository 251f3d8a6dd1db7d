#include "head_inputs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pure/check.h"

/* Lines that decide where a message ends, rightly and wrongly written. */
static const char *const lines[] = {
    "Host: a\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 4294967301\r\n",
    "content-length:7 \t\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length : 5\r\n",
    "Content-Length:\r\n",
    "Content-Length\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding:\tCHUNKED \r\n",
    "Transfer-Encoding: identity\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Transfer-Encoding:\r\n chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Connection: x,\tUpgrade ,y\r\n",
    "Connection: closed, keep-aliver\r\n",
    "Proxy-Connection: close\r\n",
    "Upgrade: websocket\r\n",
    "X: a\r\n b\r\n",
    "X: a\nTransfer-Encoding: chunked\r\n",
    "X: a\rTransfer-Encoding: chunked\r\n",
    "X:\r\n",
    "X: \x80\xff\r\n",
    ": x\r\n",
    "\r\n",
};

static const char *const words[] = {
    "GET ",  "POST ",    "HEAD ",    "OPTIONS ", "FETCH ", "PUT ", "/",          "?",
    "*",     "HTTP/1.1", "HTTP/1.0", "200 ",     "204 ",   "304 ", "101 ",       "chunked",
    "close", ",",        ", ",       ":",        " ",      "\t",   "\r\n",       "\r",
    "\n",    "\v",       "0",        "+",        "%",      "#",    "\x7f",       "\x80",
    "\xff",  "upgrade",  ";",        "\"",       "\r\n\t", "==",   "keep-alive",
};

void head_pool_add(struct head_pool *pool, bool response, const char *data, size_t n)
{
    must(pool->count < HEAD_POOL_MAX && n <= HEAD_INPUT_BYTES_MAX);
    struct head_input *input = &pool->inputs[pool->count++];
    input->response = response;
    input->len = n;
    memcpy(input->data, data, n);
}

static void add_file(struct head_pool *pool, const char *folder, const char *name)
{
    char path[4096], data[1 + HEAD_INPUT_BYTES_MAX];
    must(snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path));
    FILE *file = fopen(path, "rb");
    must(file != NULL);
    size_t n = fread(data, 1, sizeof(data), file);
    fclose(file);
    must(n > 0);
    head_pool_add(pool, data[0] & 1, data + 1, n - 1);
    pool->inputs[pool->count - 1].to_head = data[0] & 2;
}

size_t head_pool_add_folder(struct head_pool *pool, const char *path)
{
    size_t before = pool->count;
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.')
            add_file(pool, path, entries[i]->d_name);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return pool->count - before;
}

/* Puts n bytes of `with` in the place of `drop` bytes; nothing when there is no room. */
static void splice(struct head_input *in, size_t at, size_t drop, const char *with, size_t n)
{
    must(at <= in->len && drop <= in->len - at);
    if (in->len - drop + n > HEAD_INPUT_BYTES_MAX)
        return;
    memmove(in->data + at + n, in->data + at + drop, in->len - at - drop);
    memcpy(in->data + at, with, n);
    in->len = in->len - drop + n;
}

/* Where a line begins, any but the first, or 0 where there is none but that. */
static size_t line_at(const struct head_input *in, struct rng *r)
{
    size_t starts[HEAD_INPUT_BYTES_MAX], count = 0;
    for (size_t i = 1; i < in->len; i++)
        if (in->data[i - 1] == '\n')
            starts[count++] = i;
    return count ? starts[rng_below(r, count)] : 0;
}

static size_t line_bytes(const struct head_input *in, size_t at)
{
    const char *lf = in->len > at ? memchr(in->data + at, '\n', in->len - at) : NULL;
    return lf ? (size_t)(lf - in->data) + 1 - at : in->len - at;
}

static void change_lines(struct head_input *in, struct rng *r)
{
    const char *line = lines[rng_below(r, countof(lines))];
    char copy[HEAD_INPUT_BYTES_MAX];
    size_t at = line_at(in, r), from = line_at(in, r), n = line_bytes(in, from);
    switch (rng_below(r, 4)) {
    case 0: /* doubles one */
        memcpy(copy, in->data + from, n);
        splice(in, at, 0, copy, n);
        break;
    case 1:
        splice(in, from, n, "", 0);
        break;
    default:
        splice(in, at, 0, line, strlen(line));
    }
}

static void change_bytes(struct head_input *in, struct rng *r)
{
    const char *word = words[rng_below(r, countof(words))];
    size_t at = (size_t)rng_below(r, in->len + 1);
    size_t drop = in->len - at ? (size_t)rng_below(r, in->len - at < 8 ? in->len - at : 8) : 0;
    char byte = (char)rng_below(r, 256);
    switch (rng_below(r, 4)) {
    case 0:
        splice(in, at, 0, word, strlen(word));
        break;
    case 1:
        splice(in, at, drop, word, strlen(word));
        break;
    case 2:
        splice(in, at, drop, "", 0);
        break;
    default:
        splice(in, at, at < in->len, &byte, 1);
    }
}

void head_pool_mutate(const struct head_pool *pool, struct rng *r, struct head_input *ret)
{
    *ret = pool->inputs[rng_below(r, pool->count)];
    if (rng_below(r, 16) == 0)
        ret->to_head = !ret->to_head;
    /* Mostly one: few heads outlive many. */
    for (uint64_t changes = 1 + rng_below(r, 4) * rng_below(r, 2); changes > 0; changes--)
        if (rng_below(r, 2))
            change_lines(ret, r);
        else
            change_bytes(ret, r);
}
