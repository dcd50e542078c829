/*
 * What can go wrong for memplugctl, by the exit status that it leads to.
 */
#pragma once

#include <glib.h>

#define CTL_ERROR (g_quark_from_static_string("memplugctl"))

typedef enum {
    CTL_DONE = 0,
    CTL_REFUSED = 1,       /* the daemon, polkit or QEMU said no, or something did not happen */
    CTL_USAGE = 2,         /* the command line makes no sense */
    CTL_NO_CONNECTION = 3, /* nobody answers, or what answers makes no sense */
} CtlStatus;               /* codes of CTL_ERROR and exit statuses alike */
