/*
 * hooks: the scripts of /etc/memplug/unplug.d, as a client of the daemon's D-Bus interface. It
 * holds a delay lock; when it is asked, the scripts check and make room, and when the job is over
 * they hear what became of it.
 *
 * A job whose scripts were told `pre` is written down before the first of them runs, so that each
 * of them hears `post` or `undo`, whatever ends in between: this process, the daemon, a script.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/agent-bus.h"
#include "ctl/ask.h"
#include "ctl/hook-script.h"
#include "ctl/text.h"

#define HOOKS_DIR "/etc/memplug/unplug.d"
#define STATE_DIR "/run/memplug-hooks"
#define RECORD_PREFIX "job-"
#define RETRY_MS 1000
#define GROWN_AFTER_MS 2000        /* memory comes block by block */
#define GROWTH_MIN_BYTES (1 << 20) /* no device has less */
#define LIMIT_MS 60000             /* of a script that nobody waits for */
#define SPARE_MS 200               /* of the delay, for what is not a script */
#define WHO "memplug-hooks"

typedef struct {
    sd_bus *bus;
    const char *dir, *state_dir;
    int delay_lock, block_lock; /* -1: none */
    gint64 retry_usec;
    gint64 grown_usec;     /* when to look whether memory has come; 0: not */
    guint64 current_bytes; /* what the scripts know of */
} Hooks;

static guint64 read_number(Hooks *self, const char *property)
{
    uint64_t value = 0;

    sd_bus_get_property_trivial(self->bus, AGENT_BUS_NAME, AGENT_BUS_PATH, AGENT_BUS_INTERFACE,
                                property, NULL, SD_BUS_TYPE_UINT64, &value);
    return value;
}

/* The state of JOB, "" where the daemon does not know it; NULL: there is no daemon. (transfer full)
 */
static char *read_job_state(Hooks *self, guint64 job)
{
    sd_bus_message *reply = NULL;
    char *found = NULL;
    const char *state;
    uint64_t id;

    if (sd_bus_get_property(self->bus, AGENT_BUS_NAME, AGENT_BUS_PATH, AGENT_BUS_INTERFACE, "Jobs",
                            NULL, &reply, "a(ts)") < 0)
        return NULL;
    sd_bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(ts)");
    while (sd_bus_message_read(reply, "(ts)", &id, &state) > 0) {
        if (id == job)
            found = g_strdup(state);
    }
    sd_bus_message_unref(reply);
    return found ? found : g_strdup("");
}

/* --- records --- */

static char *record_path(const Hooks *self, guint64 job)
{
    return g_strdup_printf("%s/" RECORD_PREFIX "%" G_GUINT64_FORMAT, self->state_dir, job);
}

static gboolean write_record(const Hooks *self, guint64 job, guint64 bytes)
{
    g_autofree char *path = record_path(self, job);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT "\n", bytes);
    g_autoptr(GError) error = NULL;

    if (g_file_set_contents(path, text, -1, &error))
        return TRUE;
    fprintf(stderr, "memplugctl: %s\n", error->message);
    return FALSE;
}

static guint64 read_record(const Hooks *self, guint64 job)
{
    g_autofree char *path = record_path(self, job);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoull(text, NULL, 10) : 0;
}

/* The numbers of the jobs whose scripts still have to hear of the end. (transfer full) */
static GArray *list_records(const Hooks *self)
{
    GArray *jobs = g_array_new(FALSE, FALSE, sizeof(guint64));
    g_autoptr(GDir) dir = g_dir_open(self->state_dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)) != NULL) {
        guint64 job;
        if (g_str_has_prefix(name, RECORD_PREFIX) &&
            g_ascii_string_to_unsigned(name + strlen(RECORD_PREFIX), 10, 1, G_MAXUINT64, &job,
                                       NULL))
            g_array_append_val(jobs, job);
    }
    return jobs;
}

/* --- phases --- */

/* Runs one script. Return as hook_script_run(); what it came to is printed where it is no 0. */
static int run_script(const char *path, HookCall *call, char **line)
{
    int status = hook_script_run(path, call, line);

    if (status < 0)
        fprintf(stderr,
                "memplugctl: %s %s was killed, or took longer than %" G_GINT64_FORMAT " ms\n", path,
                call->phase, call->limit_ms);
    else if (status > 0)
        fprintf(stderr, "memplugctl: %s %s: exit status %d: %s\n", path, call->phase, status,
                *line);
    return status;
}

/* All scripts, in their order, or from the last to the first where they undo it. UNTIL_USEC: when
 * the last one has to be over; 0: each has LIMIT_MS. */
static void run_phase(const Hooks *self, const char *phase, guint64 job, guint64 bytes,
                      gint64 until_usec)
{
    g_autoptr(GPtrArray) paths = hook_scripts_list(self->dir);
    gboolean is_back = strcmp(phase, "post") == 0 || strcmp(phase, "undo") == 0;

    for (guint i = 0; i < paths->len; i++) {
        const char *path = paths->pdata[is_back ? paths->len - 1 - i : i];
        gint64 left_ms = (until_usec - g_get_monotonic_time()) / 1000;
        HookCall call = {.phase = phase, .job = job, .bytes = bytes};
        g_autofree char *line = NULL;
        call.limit_ms = until_usec == 0 ? LIMIT_MS : MAX(left_ms, 1);
        run_script(path, &call, &line);
    }
}

static void release(int *lock)
{
    if (*lock >= 0)
        close(*lock);
    *lock = -1;
}

/* A script says no: whoever asked hears which one and why. */
static void veto(Hooks *self, const char *path, const char *line)
{
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *who = g_strdup_printf(WHO " (%.64s)", name);
    g_autoptr(GError) error = NULL;

    release(&self->block_lock);
    self->block_lock = agent_bus_inhibit(self->bus, who, *line ? line : "it has not said why",
                                         "block", FALSE, &error);
    if (error)
        fprintf(stderr, "memplugctl: %s says no, but: %s\n", path, error->message);
}

static gboolean check(Hooks *self, guint64 job, guint64 bytes, gint64 until_usec)
{
    g_autoptr(GPtrArray) paths = hook_scripts_list(self->dir);

    for (guint i = 0; i < paths->len; i++) {
        gint64 left_ms = (until_usec - g_get_monotonic_time()) / 1000;
        HookCall call = {.phase = "check", .job = job, .bytes = bytes, .limit_ms = MAX(left_ms, 1)};
        g_autofree char *line = NULL;
        if (run_script(paths->pdata[i], &call, &line) != 1)
            continue;
        veto(self, paths->pdata[i], line);
        return FALSE;
    }
    return TRUE;
}

/* Tells the scripts of each job that is over; of one that the daemon does not know it is not known
 * that the memory has left. */
static void settle(Hooks *self)
{
    g_autoptr(GArray) jobs = list_records(self);

    for (guint i = 0; i < jobs->len; i++) {
        static const char *const ended[] = {"failed",    "cancelled", "expired",
                                            "unplugged", "",          NULL};
        guint64 job = g_array_index(jobs, guint64, i);
        g_autofree char *state = read_job_state(self, job);
        g_autofree char *path = record_path(self, job);
        if (!state || !g_strv_contains(ended, state))
            continue;
        gboolean is_gone = strcmp(state, "unplugged") == 0;
        guint64 bytes = read_record(self, job);
        run_phase(self, is_gone ? "post" : "undo", job, bytes, 0);
        unlink(path);
        /* Reckoned, not read: the host may have given more while the scripts ran. */
        if (is_gone)
            self->current_bytes -= MIN(bytes, self->current_bytes);
        self->grown_usec = g_get_monotonic_time() + GROWN_AFTER_MS * 1000;
    }
}

/* JOB is about to take BYTES. What is done here is waited for; then there is a new lock for the
 * next job, before the old one ends. */
static void begin(Hooks *self, guint64 job, guint64 bytes)
{
    gint64 now_usec = g_get_monotonic_time();
    gint64 delay_ms = MAX((gint64)read_number(self, "ApplicationDelayMs") - SPARE_MS, 1);
    g_autofree char *state = read_job_state(self, job);
    gboolean is_asking = g_strcmp0(state, "asking") == 0;

    if (is_asking && !check(self, job, bytes, now_usec + delay_ms * 500))
        return;
    if (write_record(self, job, bytes))
        run_phase(self, "pre", job, bytes, now_usec + delay_ms * 1000);
    int next =
        agent_bus_inhibit(self->bus, WHO, "runs scripts that make room", "delay", FALSE, NULL);
    release(&self->delay_lock);
    self->delay_lock = next;
    settle(self); /* where the daemon was another one meanwhile, nobody has told of the end */
}

static void look_for_growth(Hooks *self)
{
    g_autoptr(GArray) jobs = list_records(self);
    guint64 now_bytes = jobs->len > 0 ? 0 : read_number(self, "GuestCurrent");

    self->grown_usec = 0;
    if (now_bytes == 0)
        return; /* a job's blocks may be on their way back */
    if (self->current_bytes != 0 && now_bytes >= self->current_bytes + GROWTH_MIN_BYTES)
        run_phase(self, "grown", 0, now_bytes - self->current_bytes, 0);
    self->current_bytes = now_bytes;
}

/* --- the bus --- */

static int on_prepare(sd_bus_message *signal, void *user_data, G_GNUC_UNUSED sd_bus_error *error)
{
    Hooks *self = user_data;
    uint64_t job, bytes;
    int begins;

    if (sd_bus_message_read(signal, "btt", &begins, &job, &bytes) < 0)
        return 0;
    if (begins) {
        begin(self, job, bytes);
    } else {
        release(&self->block_lock);
        settle(self);
    }
    return 0;
}

static int on_news(G_GNUC_UNUSED sd_bus_message *signal, void *user_data,
                   G_GNUC_UNUSED sd_bus_error *error)
{
    Hooks *self = user_data;

    self->grown_usec = g_get_monotonic_time() + GROWN_AFTER_MS * 1000;
    return 0;
}

static int subscribe(Hooks *self)
{
    int r = sd_bus_match_signal(self->bus, NULL, AGENT_BUS_NAME, AGENT_BUS_PATH,
                                AGENT_BUS_INTERFACE, "PrepareForUnplug", on_prepare, self);

    if (r >= 0)
        r = sd_bus_match_signal(self->bus, NULL, AGENT_BUS_NAME, AGENT_BUS_PATH,
                                "org.freedesktop.DBus.Properties", "PropertiesChanged", on_news,
                                self);
    return r;
}

/* Without a daemon there is nothing to do but to wait for one; it is not started. */
static void take_lock(Hooks *self)
{
    self->retry_usec = g_get_monotonic_time() + RETRY_MS * 1000;
    self->delay_lock =
        agent_bus_inhibit(self->bus, WHO, "runs scripts that make room", "delay", FALSE, NULL);
    if (self->delay_lock < 0)
        return;
    settle(self);
    look_for_growth(self);
}

static void do_what_is_due(Hooks *self)
{
    gint64 now_usec = g_get_monotonic_time();

    if (self->delay_lock < 0 && now_usec >= self->retry_usec)
        take_lock(self);
    if (self->grown_usec != 0 && now_usec >= self->grown_usec)
        look_for_growth(self);
}

static int timeout_ms(const Hooks *self)
{
    gint64 at_usec = self->delay_lock < 0 ? self->retry_usec : 0;

    if (self->grown_usec != 0 && (at_usec == 0 || self->grown_usec < at_usec))
        at_usec = self->grown_usec;
    return at_usec == 0 ? -1 : (int)MAX((at_usec - g_get_monotonic_time()) / 1000 + 1, 0);
}

/* Ends only where the bus does. */
static int serve(Hooks *self)
{
    for (;;) {
        int r = sd_bus_process(self->bus, NULL);
        if (r < 0)
            return r;
        do_what_is_due(self);
        if (r > 0)
            continue;
        struct pollfd fds[] = {
            {.fd = sd_bus_get_fd(self->bus), .events = (short)sd_bus_get_events(self->bus)},
            {.fd = self->delay_lock}}; /* it tells of an error when the daemon goes */
        poll(fds, G_N_ELEMENTS(fds), timeout_ms(self));
        if (self->delay_lock >= 0 && fds[1].revents != 0) {
            release(&self->delay_lock);
            release(&self->block_lock);
        }
    }
}

CtlStatus verb_hooks(Ctl *ctl, GError **error)
{
    const char *dir = ctl->line->operands[0], *state_dir = g_getenv("RUNTIME_DIRECTORY");
    Hooks self = {.dir = dir ? dir : HOOKS_DIR,
                  .state_dir = state_dir ? state_dir : STATE_DIR,
                  .delay_lock = -1,
                  .block_lock = -1};
    int r;

    if (g_mkdir_with_parents(self.state_dir, 0700) < 0) {
        g_set_error(error, CTL_ERROR, CTL_REFUSED, "%s: %s", self.state_dir, g_strerror(errno));
        return CTL_REFUSED;
    }
    self.bus = agent_bus_open(error);
    if (!self.bus)
        return CTL_NO_CONNECTION;
    r = subscribe(&self);
    if (r >= 0)
        r = serve(&self);
    g_set_error(error, CTL_ERROR, CTL_NO_CONNECTION, "the system bus: %s", g_strerror(-r));
    sd_bus_unref(self.bus);
    return CTL_NO_CONNECTION;
}
