/*
 * The channel's two kinds behind one face: a port (port.c) or a listener (listener.c).
 */
#include "os/channel.h"

#include "os/listener.h"

struct Channel {
    Port *port;
    Listener *listener;
};

Channel *channel_new_port(const char *path, gboolean is_serial, QgaDispatch *dispatch,
                          PortChangedFunc on_change, gpointer user_data)
{
    Channel *channel = g_new0(Channel, 1);

    channel->port = port_new(path, is_serial, dispatch, on_change, user_data);
    return channel;
}

static Channel *new_of(Listener *listener)
{
    if (!listener)
        return NULL;
    Channel *channel = g_new0(Channel, 1);
    channel->listener = listener;
    return channel;
}

Channel *channel_new_listener(const char *path, QgaDispatch *dispatch, GError **error)
{
    return new_of(listener_new(path, dispatch, error));
}

Channel *channel_new_vsock(const char *address, QgaDispatch *dispatch, GError **error)
{
    return new_of(listener_new_vsock(address, dispatch, error));
}

Channel *channel_new_inherited(QgaDispatch *dispatch, GError **error)
{
    return new_of(listener_new_inherited(dispatch, error));
}

void channel_free(Channel *channel)
{
    if (!channel)
        return;
    port_free(channel->port);
    listener_free(channel->listener);
    g_free(channel);
}

const char *channel_error(const Channel *channel)
{
    return channel->port ? port_error(channel->port) : "";
}

void channel_foreach_session(Channel *channel, ChannelSessionFunc func, gpointer user_data)
{
    if (channel->port && port_session(channel->port))
        func(port_session(channel->port), user_data);
    if (channel->listener)
        listener_foreach_session(channel->listener, func, user_data);
}
