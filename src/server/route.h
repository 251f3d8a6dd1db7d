/* route.h: what the API folder registers with the server: paths, what they want, error bodies. */
#ifndef SERVER_ROUTE_H
#define SERVER_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct exchange;
struct server;

/* Where the model's name stands. */
enum route_kind {
    ROUTE_LOCAL,       /* answered by wharf; handle is called when the body is there */
    ROUTE_MODEL_BODY,  /* in a JSON body, a multipart form, or a urlencoded form */
    ROUTE_MODEL_QUERY, /* ?model= */
    ROUTE_MODEL_PATH,  /* the path after the prefix begins with it */
    ROUTE_MODEL_FIXED, /* in the route; only the path with nothing behind the prefix brings it in */
};

/* Whose error shape clients of the path parse. */
enum route_face { FACE_OPENAI, FACE_ANTHROPIC, FACE_OLLAMA };

/* What a path needs: what a key may do is a set of these (auth.c). */
enum route_right {
    RIGHT_USE,     /* models, those that the key is for */
    RIGHT_NONE,    /* not even a key */
    RIGHT_LIST,    /* to hear which models there are for the key */
    RIGHT_READ,    /* to hear what goes on, and what others ask: logs, events, captures */
    RIGHT_OPERATE, /* what llama-swap lets its clients change, and leases */
    RIGHT_ADMIN,   /* what else can be changed below /wharf */
};

struct route {
    const char *method; /* NULL: any */
    const char *path;   /* ends with "*": a prefix */
    enum route_kind kind;
    enum route_face face;
    enum route_right right;
    bool tells_loading;     /* answers a stream in which llama-swap's loading state may stand */
    uint32_t upstream_skip; /* leading characters of the path that the model's server does not
                               see; for ROUTE_MODEL_PATH the length of the prefix */
    const char *model;      /* ROUTE_MODEL_FIXED */
    void (*handle)(struct server *s, struct exchange *ex); /* ROUTE_LOCAL */
    /* ROUTE_MODEL_BODY in the words of another API: called with the body whole, in place of looking
     * for the model. Answers, or calls exchange_translated, at once or later. NULL: as it is. */
    void (*translate)(struct server *s, struct exchange *ex);
};

struct route_table {
    const struct route *routes;
    uint32_t count;
};

/* The parts of a request that choose its route; not terminated. */
struct route_request {
    const char *method, *path;
    size_t method_len, path_len;
};

/* What is to be told when something cannot be done. */
struct problem {
    int error;              /* enum error_code */
    const char *detail;     /* a sentence; NULL: the error's own text */
    uint32_t retry_after_s; /* 0: the estimate where a retry can help, else no Retry-After */
    const char *allow;      /* 405: the methods that the path has */
};

/* Who is to be told: in whose error shape, and what the request's Accept says. */
struct problem_reader {
    enum route_face face;
    const char *accept; /* not terminated; NULL: not said */
    size_t accept_len;
};

/* What is answered on a listener; static. */
struct server_api {
    const struct route_table *const *tables; /* in the order of search; the last is NULL */
    enum route_face face;                    /* of what has no route */
    /* The route for a request, or NULL; then *ret_allow names the methods that the path has (valid
     * until the next search), or is NULL for an unknown path. */
    const struct route *(*find)(const struct server_api *api, const struct route_request *want,
                                const char **ret_allow);
    /* Answers any OPTIONS request. */
    void (*preflight)(struct server *s, struct exchange *ex);
    /* Appends the body that says what is wrong. Returns its Content-Type, static. */
    const char *(*format_problem)(const struct problem *p, const struct problem_reader *who,
                                  struct buf *out);
};

#endif
