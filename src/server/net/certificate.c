#include "server/net/certificate.h"

#include <stdio.h>

#include "base/date.h"

#define DAY_S INT64_C(86400)
#define LOOK_S_MAX 3600

static int64_t warn_s(struct certificate_life life)
{
    int64_t part = (life.until - life.from) / 6;
    return part < CERTIFICATE_WARN_S ? part : CERTIFICATE_WARN_S;
}

bool certificate_describe(struct certificate_life life, int64_t now, char ret[CERTIFICATE_TEXT_MAX])
{
    char date[DATE_TEXT_MAX];
    int64_t left = life.until - now, days = left / DAY_S;
    if (left < 0)
        snprintf(ret, CERTIFICATE_TEXT_MAX, "has expired, on %s",
                 date_format_seconds(life.until, date));
    else if (now < life.from)
        snprintf(ret, CERTIFICATE_TEXT_MAX, "is not valid before %s",
                 date_format_seconds(life.from, date));
    else if (left <= warn_s(life) && days == 0)
        snprintf(ret, CERTIFICATE_TEXT_MAX, "expires within a day, on %s",
                 date_format_seconds(life.until, date));
    else if (left <= warn_s(life))
        snprintf(ret, CERTIFICATE_TEXT_MAX, "expires in %lld day%s, on %s", (long long)days,
                 days == 1 ? "" : "s", date_format_seconds(life.until, date));
    else
        return false;
    return true;
}

uint32_t certificate_next_look_s(struct certificate_life life, int64_t now)
{
    int64_t left = life.until - now, next = LOOK_S_MAX;
    if (left >= 0 && now < life.from)
        next = life.from - now;
    else if (left > warn_s(life))
        next = left - warn_s(life);
    else if (left >= 0)
        next = left % DAY_S + 1;
    return (uint32_t)(next < LOOK_S_MAX ? next : LOOK_S_MAX);
}
