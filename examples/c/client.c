/* Loads a model of the daemon, says how it is, and runs under a lease of GPU memory:
 * client URL MODEL [BYTES] */
#include <stdio.h>
#include <stdlib.h>
#include <wharf/lease.h>

static int fail(const char *what, char *why)
{
    fprintf(stderr, "%s: %s\n", what, why ? why : "no memory");
    wharf_text_free(why);
    return 1;
}

static int work_under_lease(struct wharf_client *client, uint64_t bytes)
{
    const struct wharf_lease_ask ask = {
        .name = "example", .bytes = bytes, .wharf_class = WHARF_BACKGROUND, .wait_ns = WHARF_FOREVER};
    struct wharf_lease *lease;
    const char *name, *value;
    char *why;
    if (wharf_lease_begin(client, &ask, NULL, &lease, &why) != 0)
        return fail("lease", why);
    if (wharf_lease_wait(lease, NULL, &why) != 0)
        return fail("lease", why);
    for (uint32_t i = 0; wharf_lease_environment(lease, i, &name, &value); i++)
        setenv(name, value, 1); /* for the framework that is begun now */
    printf("works on %s\n", wharf_lease_device(lease, 0));
    return wharf_lease_end(lease, NULL) != 0;
}

int main(int argc, char **argv)
{
    const struct wharf_limits minute = {.timeout_ns = INT64_C(60000000000)};
    struct wharf_client *client =
        wharf_client_new(&(struct wharf_client_options){.url = argc > 1 ? argv[1] : NULL});
    char *text;
    int failed = 0;
    if (!client || argc < 3)
        return 2;
    if (wharf_client_load(client, argv[2], &minute, &text) != 0) {
        failed = fail("load", text);
    } else {
        printf("%s\n", text);
        wharf_text_free(text);
        if (argc > 3)
            failed = work_under_lease(client, strtoull(argv[3], NULL, 10));
    }
    wharf_client_free(client);
    return failed;
}
