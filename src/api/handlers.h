/* handlers.h: the handlers that the route table names, one group a file. Each answers its exchange,
 * at once or later, through server/proxy/answer.h. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "base/buf.h"
#include "server/proxy/answer.h"
#include "server/route.h"
#include "server/server.h"

#define API_NAME_MAX 512

struct config_capabilities;
struct config_model;

/* llamaswap.c */
void api_health(struct server *s, struct exchange *ex);
void api_ready(struct server *s, struct exchange *ex);
void api_root(struct server *s, struct exchange *ex);
void api_favicon(struct server *s, struct exchange *ex);
void api_upstream_page(struct server *s, struct exchange *ex);
void api_running(struct server *s, struct exchange *ex);
void api_unload_all_text(struct server *s, struct exchange *ex);
void api_unload_all_json(struct server *s, struct exchange *ex);
void api_unload_one(struct server *s, struct exchange *ex);
void api_version(struct server *s, struct exchange *ex);
void api_preflight(struct server *s, struct exchange *ex);

/* What llama-swap calls loaded: something of its process is there, or is to be in a moment. */
bool api_counts_as_loaded(const struct server *s, uint32_t slot);

/* models_list.c */
void api_list_models(struct server *s, struct exchange *ex);
/* Members behind others, each with the comma before it; nothing where there is nothing to say. */
void api_put_capabilities(const struct config_capabilities *c, struct buf *json);
void api_put_context(const struct config_capabilities *c, struct buf *json);

/* profiles.c */
void api_profiles(struct server *s, struct exchange *ex);
void api_set_profile(struct server *s, struct exchange *ex);

/* status.c, model.c, model_op.c */
void api_status(struct server *s, struct exchange *ex);
void api_models(struct server *s, struct exchange *ex);
void api_model(struct server *s, struct exchange *ex);
void api_model_op(struct server *s, struct exchange *ex);

/* devices.c */
void api_devices(struct server *s, struct exchange *ex);

/* queue.c, plan.c, decisions.c, why.c, mode.c */
void api_queue(struct server *s, struct exchange *ex);
void api_plan(struct server *s, struct exchange *ex);
void api_decisions(struct server *s, struct exchange *ex);
void api_why(struct server *s, struct exchange *ex);
void api_mode(struct server *s, struct exchange *ex);
void api_set_mode(struct server *s, struct exchange *ex);

/* leases.c */
void api_leases(struct server *s, struct exchange *ex);
void api_lease_ask(struct server *s, struct exchange *ex);
void api_lease_hold(struct server *s, struct exchange *ex);
void api_lease_renew(struct server *s, struct exchange *ex);
void api_lease_end(struct server *s, struct exchange *ex);
/* One of them, as an object. */
struct lease;
void api_put_lease(struct server *s, const struct lease *l, struct buf *b);

/* workers.c */
void api_worker_join(struct server *s, struct exchange *ex);
void api_worker_answer(struct server *s, struct exchange *ex);
void api_worker_leave(struct server *s, struct exchange *ex);

/* llamaswap_events.c */
void api_llamaswap_events(struct server *s, struct exchange *ex);

/* history.c */
void api_history(struct server *s, struct exchange *ex);

/* timeline.c, config.c */
void api_timeline(struct server *s, struct exchange *ex);
void api_config(struct server *s, struct exchange *ex);
void api_config_check(struct server *s, struct exchange *ex);

/* ui.c */
void api_ui_redirect(struct server *s, struct exchange *ex);
void api_ui_page(struct server *s, struct exchange *ex);
void api_ui_file(struct server *s, struct exchange *ex);
/* Whether it was built with the page. */
bool api_ui_is_there(void);

/* upgrade.c */
void api_upgrade(struct server *s, struct exchange *ex);

/* performance.c */
void api_performance(struct server *s, struct exchange *ex);
void api_hardware(struct server *s, struct exchange *ex);
void api_metrics(struct server *s, struct exchange *ex);

/* streams.c */
void api_events(struct server *s, struct exchange *ex);
void api_logs(struct server *s, struct exchange *ex);
void api_log_stream(struct server *s, struct exchange *ex);
void api_log_stream_own(struct server *s, struct exchange *ex);
void api_log_stream_models(struct server *s, struct exchange *ex);
void api_model_log_stream(struct server *s, struct exchange *ex);

/* activity.c, captures.c, inflight.c */
void api_activity(struct server *s, struct exchange *ex);
void api_stats(struct server *s, struct exchange *ex);
void api_capture(struct server *s, struct exchange *ex);
void api_inflight(struct server *s, struct exchange *ex);
void api_inflight_cancel(struct server *s, struct exchange *ex);

/* problems.c */
const char *api_format_problem(const struct problem *p, const struct problem_reader *who,
                               struct buf *out);
/* Answers with the problem that a core's reason stands for. */
void api_fail_reason(struct exchange *ex, uint32_t slot, enum reason why);

/* text.c */
/* Whether the key may hear of the model; of the selector or the peer's model of that name. */
bool api_lists(const struct exchange *ex, const struct config_model *m);
bool api_lists_name(const struct exchange *ex, const char *name);
/* The model that the path names behind the route's prefix; false (and answered) when there is none.
 */
bool api_path_model(struct exchange *ex, uint32_t *ret_slot);
/* The part of the path behind the route's prefix, decoded; false (and answered) when it cannot be.
 */
bool api_path_tail(struct exchange *ex, char *out, size_t size);
void api_send_json(struct exchange *ex, int status, struct buf *json);

#endif
