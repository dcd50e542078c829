#include "ctl/doctor.h"

#include "ctl/errors.h"
#include "ctl/verbs.h"

CtlStatus verb_doctor(Ctl *ctl, GError **error)
{
    const char *root = ctl->line->sysroot;
    g_autoptr(AttrIo) io = attr_io_open(root ? root : "/", ATTR_READ_ONLY, error);

    if (!io) {
        g_prefix_error(error, "doctor: ");
        return CTL_USAGE;
    }
    g_autoptr(GError) fault = NULL;
    g_autoptr(Snapshot) snapshot = snapshot_scan(io, &fault);
    g_autoptr(Setup) setup = setup_read(io);
    Doctor doctor = {.io = io,
                     .is_elsewhere = root != NULL,
                     .snapshot = snapshot,
                     .fault = fault,
                     .setup = setup,
                     .findings = findings_new()};

    doctor_check_agent(&doctor);
    doctor_check_kernel(&doctor);
    doctor_check_memory(&doctor);
    doctor_check_warnings(&doctor);
    if (ctl->line->json)
        findings_print_json(doctor.findings);
    else
        findings_print(doctor.findings, &ctl->terminal);
    guint n_bad = findings_count(doctor.findings, FINDING_BAD);
    findings_free(doctor.findings);
    g_clear_pointer(&doctor.status, json_node_unref);
    g_free(doctor.policy);
    return n_bad > 0 ? CTL_REFUSED : CTL_DONE;
}
