/*
 * The verbs. Each gets its operands checked in number, returns the exit status, and where that is
 * not CTL_DONE either sets ERROR or has printed why.
 */
#pragma once

#include "ctl/client.h"
#include "ctl/command-line.h"
#include "ctl/errors.h"
#include "ctl/hypervisor.h"
#include "ctl/libvirt.h"
#include "ctl/terminal.h"

typedef struct {
    const CommandLine *line;
    Terminal terminal;
    Client *client;      /* NULL for verbs that need none */
    Libvirt *libvirt;    /* NULL: --libvirt was not given */
    Hypervisor *hv;      /* NULL: the command line names none */
    gboolean is_refused; /* this user may see the properties only: asking again would ask a person
                            again */
} Ctl;

/* verbs-report.c */
CtlStatus verb_status(Ctl *ctl, GError **error);
CtlStatus verb_devices(Ctl *ctl, GError **error);
CtlStatus verb_blocks(Ctl *ctl, GError **error);
CtlStatus verb_jobs(Ctl *ctl, GError **error);
CtlStatus verb_policy(Ctl *ctl, GError **error);
/* verbs-unplug.c */
CtlStatus verb_check(Ctl *ctl, GError **error);
CtlStatus verb_plan(Ctl *ctl, GError **error);
CtlStatus verb_prepare(Ctl *ctl, GError **error);
CtlStatus verb_cancel(Ctl *ctl, GError **error);
/* verb-watch.c */
CtlStatus verb_watch(Ctl *ctl, GError **error);
/* verb-inhibit.c */
CtlStatus verb_inhibit(Ctl *ctl, GError **error);
/* verb-hooks.c */
CtlStatus verb_hooks(Ctl *ctl, GError **error);
/* doctor.c */
CtlStatus verb_doctor(Ctl *ctl, GError **error);
/* share-port.c */
CtlStatus verb_share_port(Ctl *ctl, GError **error);
/* verb-boot-policy.c */
CtlStatus verb_boot_policy(Ctl *ctl, GError **error);
/* verbs-host.c */
CtlStatus verb_plug(Ctl *ctl, GError **error);
CtlStatus verb_unplug(Ctl *ctl, GError **error);
CtlStatus verb_resize(Ctl *ctl, GError **error);
