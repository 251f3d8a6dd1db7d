/* wharf-demo-model: stands in for an inference engine in the demo and in tests. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "flags.h"
#include "process.h"
#include "serve.h"
#include "worker.h"

static struct flags flags;
static struct engine engine;
static int listen_fd;

static void *run_load(void *arg)
{
    (void)arg;
    engine_load(&engine);
    return NULL;
}

static void *run_accept(void *arg)
{
    (void)arg;
    serve_accept(&engine, listen_fd);
    return NULL;
}

static void *run_worker(void *arg)
{
    (void)arg;
    worker_run(&engine, listen_fd);
}

static int start_thread(void *(*run)(void *))
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, run, NULL);
    if (rc == 0)
        pthread_detach(thread);
    else
        fprintf(stderr, "error: start a thread: %s\n", strerror(rc));
    return rc;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    if (flags_parse(&flags, argc, argv, &err) != 0) {
        fprintf(stderr, "wharf-demo-model: %s\n", err.text);
        return 2;
    }
    if (flags.help) {
        flags_print_help(stdout);
        return 0;
    }
    process_block_signals();
    process_leave_grandchildren(flags.fork_grandchildren);
    engine_init(&engine, &flags);
    if (flags.worker[0] && worker_init(&flags, &err) < 0) {
        fprintf(stderr, "error: %s\n", err.text);
        return 1;
    }
    listen_fd = serve_listen(&flags, &err);
    if (listen_fd < 0) {
        fprintf(stderr, "error: %s\n", err.text);
        return 1;
    }
    if (start_thread(run_accept) != 0 || start_thread(run_load) != 0)
        return 1;
    if (flags.worker[0] && start_thread(run_worker) != 0)
        return 1;
    process_wait(&engine, listen_fd);
}
