/*
 * The channel's two kinds behind one face: a port (port.c) or a listener (listener.c).
 */
#include "os/channel.h"

#include "os/listener.h"

struct Channel {
    Port *port;
    Listener *listener;
};

Channel *channel_new_port(const char *path, QgaDispatch *dispatch, PortChangedFunc on_change,
                          gpointer user_data)
{
    Channel *channel = g_new0(Channel, 1);

    channel->port = port_new(path, dispatch, on_change, user_data);
    return channel;
}

Channel *channel_new_listener(const char *path, QgaDispatch *dispatch, GError **error)
{
    Listener *listener = listener_new(path, dispatch, error);

    if (!listener)
        return NULL;
    Channel *channel = g_new0(Channel, 1);
    channel->listener = listener;
    return channel;
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
