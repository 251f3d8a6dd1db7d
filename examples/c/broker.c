/* A large model and a small one that share 12 GiB: the small one moves to the host when the large
 * one comes. */
#include <stdio.h>
#include <wharf/broker.h>

#define GIB (UINT64_C(1) << 30)

/* Here a program would start a server, or call its framework. */
static int load(void *arg, const char *model, const char *device)
{
    (void)arg;
    printf("load %s on %s\n", model, device);
    return 0;
}

static int unload(void *arg, const char *model)
{
    (void)arg;
    printf("unload %s\n", model);
    return 0;
}

static int move(void *arg, const char *model, const char *device)
{
    (void)arg;
    printf("move %s to %s\n", model, device);
    return 0;
}

static int serve(struct wharf_broker *broker, const char *model)
{
    const struct wharf_order order = {.kind = WHARF_ENTER,
                                      .model = model,
                                      .wharf_class = WHARF_FOREGROUND,
                                      .timeout_ns = INT64_C(30000000000)};
    struct wharf_answer answer;
    if (wharf_broker_do(broker, &order, NULL, &answer) != 0) {
        printf("%s: %s\n", model, answer.why);
        return 1;
    }
    printf("%s serves on %s\n", model, answer.device ? answer.device : "cpu");
    wharf_broker_leave(broker, answer.id);
    return 0;
}

int main(void)
{
    static const struct wharf_device gpu = {.name = "cuda", .total_bytes = 12 * GIB};
    static const struct wharf_placement large[] = {{"cuda", 11 * GIB, 0}};
    static const struct wharf_placement small[] = {{"cuda", 2 * GIB, 0}, {"cpu", 0, 0}};
    static const struct wharf_model models[] = {
        {.name = "llm", .placements = large, .placement_count = 1},
        {.name = "clip", .placements = small, .placement_count = 2, .movable = true, .yields = true},
    };
    struct wharf_broker *broker = wharf_broker_new(&(struct wharf_broker_options){
        .devices = &gpu, .device_count = 1, .models = models, .model_count = 2,
        .ops = {.load = load, .unload = unload, .move = move}});
    if (!broker)
        return 1;
    int failed = serve(broker, "clip") || serve(broker, "llm") || serve(broker, "clip");
    wharf_broker_free(broker);
    return failed;
}
