/* GET /wharf/config: the configuration in force, line by line, and where each value stands.
 * POST /wharf/config/check: what the daemon would say about a text; it is not applied. Both off the
 * loop: a large configuration takes a while. */
#include "config/config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "base/alloc.h"
#include "config/origins.h"
#include "server/work.h"

struct job {
    struct work work;
    struct config_ref *ref; /* GET: what is printed */
    char *text;             /* POST: what is checked; owned */
    struct buf json;
};

static void run_print(struct work *w)
{
    struct job *job = container_of(w, struct job, work);
    buf_text(&job->json, "{\"lines\":");
    origins_print(job->ref->config, &job->json);
    buf_text(&job->json, "}\n");
}

static void run_check(struct work *w)
{
    struct job *job = container_of(w, struct job, work);
    struct config_report report = {.errors = 0};
    struct config *c = config_check_text("text", job->text, strlen(job->text), &report);
    buf_printf(&job->json, "{\"ok\":%s,\"models\":%u,\"errors\":%u,\"warnings\":%u,\"messages\":",
               c ? "true" : "false", c ? c->model_count : 0, report.errors, report.warnings);
    config_report_put_json(&report, &job->json);
    buf_text(&job->json, "}\n");
    config_report_fini(&report);
    config_free(c);
}

static void on_done(struct exchange *ex, struct work *w)
{
    struct job *job = container_of(w, struct job, work);
    if (ex)
        api_send_json(ex, 200, &job->json);
    buf_fini(&job->json);
    if (job->ref)
        config_ref_put(job->ref);
    free(job->text);
    free(job);
}

static struct job *job_new(void (*run)(struct work *w))
{
    struct job *job = alloc_zeroed(1, sizeof(*job));
    job->work.run = run;
    job->work.done = on_done;
    return job;
}

void api_config(struct server *s, struct exchange *ex)
{
    struct job *job = job_new(run_print);
    job->ref = config_ref_get(s->roster.current);
    work_begin(&job->work, ex);
}

void api_config_check(struct server *s, struct exchange *ex)
{
    static const char *const names[] = {"text"};
    const char *text;
    (void)s;
    json_t *body = api_read_json(ex);
    if (!body)
        return;
    if (api_check_members(ex, body, "a check", names, countof(names)) &&
        api_read_text(ex, body, "text", true, &text)) {
        struct job *job = job_new(run_check);
        job->text = alloc_text(text);
        work_begin(&job->work, ex);
    }
    json_decref(body);
}
