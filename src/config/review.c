/* See review.h. */
#include "config/review_impl.h"

#include "config/complaints_impl.h"

void complaints_warn(struct complaints *complaints, struct place place, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    complaints_add(complaints, SEVERITY_WARNING, place, fmt, args);
    va_end(args);
}

void config_review(const struct config *config, struct complaints *complaints)
{
    for (size_t i = 0; i < config->router_count; i++) {
        review_rules(&config->routers[i], complaints);
        review_fields(config, &config->routers[i], complaints);
        review_split(config, &config->routers[i], complaints);
    }
    complaints_sort(complaints);
}
