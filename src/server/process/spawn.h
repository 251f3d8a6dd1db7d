/* spawn.h: starting one program, from a thread of the pool.
 *
 * A job is made on the loop, run once by one worker, which blocks until the program runs or cannot,
 * and is then read on the loop again. Nothing here reaps: the pid may already have ended, and been
 * reaped on the loop, when spawn_run returns. */
#ifndef SERVER_PROCESS_SPAWN_H
#define SERVER_PROCESS_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum spawn_stage {
    SPAWN_DONE, /* the program runs */
    SPAWN_OPEN_NULL,
    SPAWN_LINK, /* the socket pair between wharf and the new process */
    SPAWN_CLONE,
    SPAWN_SETUP, /* session, descriptors: in the new process */
    SPAWN_EXEC,
    SPAWN__COUNT
};

struct spawn_job {
    /* Set by spawn_init, owned. */
    char **argv, **envp;
    char *log_path; /* NULL: no log */
    char *name;     /* of the cgroup folder */
    int stdin_fd;   /* -1: /dev/null */
    /* Set by the caller after spawn_init. */
    const char *cgroup_root; /* NULL: none; outlives the job */
    rlim_t nofile_soft;
    int oom_score_adj; /* 0: left as it is */
    /* Results of spawn_run. */
    enum spawn_stage stage;
    int error;            /* errno of the stage that failed */
    pid_t pid;            /* 0: no process was made; set even when a later stage failed */
    int pidfd;            /* -1: none (kernel before 5.3, or valgrind); the caller closes it */
    char *cgroup;         /* folder that the process is in; NULL: none. The caller frees it */
    int cgroup_error;     /* errno of why it is in none although cgroup_root was given */
    int log_error;        /* errno of why there is no log: what is printed is dropped */
    uint64_t start_ticks; /* a lower bound, on the clock of proc.start_ticks */
};

/* Copies everything. env: all of it (childenv.h). stdin_fd <= 0: none; else it is duplicated. */
void spawn_init(struct spawn_job *job, const char *const *argv, const char *const *env,
                int stdin_fd);
void spawn_run(struct spawn_job *job);
/* Frees what the job owns, not its results pidfd and cgroup. */
void spawn_fini(struct spawn_job *job);
/* What failed, for people: "cannot run 'foo': No such file or directory". Returns out. */
char *spawn_text(const struct spawn_job *job, char *out, size_t out_size);

#endif
