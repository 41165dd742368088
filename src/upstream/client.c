/* Connections that belong to one client, because their PROXY header names it. */
#include "upstream/endpoint_impl.h"
#include "upstream/upconn_impl.h"

void upstream_client_init(struct upstream_client *client)
{
    *client = (struct upstream_client){0};
    list_init(&client->conns);
}

void upstream_client_deinit(struct upstream_client *client)
{
    LIST_EACH(node, &client->conns)
    {
        struct upconn *u = CONTAINER_OF(node, struct upconn, own);
        upconn_leave_client(u);
        u->is_broken = true; /* no other client may get it */
        if (u->state == UPCONN_CONNECTING)
            upconn_abort(u);
        else
            upconn_settle(u);
    }
}

bool client_is_connecting(const struct upstream_client *client, const struct endpoint *e)
{
    LIST_EACH(node, &client->conns)
    {
        const struct upconn *u = CONTAINER_OF(node, struct upconn, own);
        if (u->endpoint == e && u->state == UPCONN_CONNECTING)
            return true;
    }
    return false;
}
