/* An engine that serves one at a time: people before batch jobs. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <wharf/gate.h>

static struct wharf_gate *gate;

static void *batch_job(void *arg)
{
    if (wharf_gate_acquire(gate, WHARF_BACKGROUND, WHARF_FOREVER, NULL) != 0)
        abort();
    puts("a batch job is served");
    if (wharf_gate_release(gate) != 0)
        abort();
    return arg;
}

int main(void)
{
    pthread_t job;
    gate = wharf_gate_new(&(struct wharf_gate_options){.limit = 1});
    if (!gate || wharf_gate_acquire(gate, WHARF_FOREGROUND, 0, NULL) != 0)
        return 1;
    if (pthread_create(&job, NULL, batch_job, NULL) != 0)
        return 1;
    puts("a person is served"); /* the job waits meanwhile */
    if (wharf_gate_release(gate) != 0 || pthread_join(job, NULL) != 0)
        return 1;
    wharf_gate_free(gate);
    return 0;
}
