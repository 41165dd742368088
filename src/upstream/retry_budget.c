/* The balance is kept in parts of a retry, SHARE_MAX to the whole, so that a request pays in its
 * share as the configuration says it, exactly. The clock is only looked at when a retry is wanted:
 * a request costs one addition. */
#include "upstream/retry_budget.h"

void retry_budget_earn(struct retry_budget *budget, const struct retry_budget_conf *conf)
{
    budget->saved = MIN(budget->saved + conf->share, (int64_t)conf->ceiling * SHARE_MAX);
}

bool retry_budget_spend(struct retry_budget *budget, const struct retry_budget_conf *conf,
                        int64_t now_ms)
{
    if (now_ms - budget->period_ms >= RETRY_PERIOD_MS) {
        budget->period_ms = now_ms;
        budget->made = 0;
        budget->saved = MAX(budget->saved, 0); /* too few requests to pay back: forgiven */
    }
    if (budget->saved < SHARE_MAX && budget->made >= conf->floor)
        return false;
    budget->made++;
    budget->saved -= SHARE_MAX;
    return true;
}
