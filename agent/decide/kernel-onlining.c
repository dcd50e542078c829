/*
 * From the policy's words to the kernel's.
 */
#include "decide/kernel-onlining.h"

#include <string.h>

static void set(char word[KERNEL_WORD_MAX], const char *value)
{
    if (word[0] != '\0') /* else the kernel has no such setting */
        g_strlcpy(word, value, KERNEL_WORD_MAX);
}

KernelOnlining kernel_onlining_wanted(const OnlineConfig *config, const KernelOnlining *original,
                                      gboolean has_room)
{
    KernelOnlining wanted = *original;

    switch (config->policy) {
    case ONLINE_POLICY_MOVABLE:
        set(wanted.auto_online_blocks, has_room ? "online_movable" : "offline");
        break;
    case ONLINE_POLICY_KERNEL:
        set(wanted.auto_online_blocks, "online_kernel");
        break;
    case ONLINE_POLICY_AUTO:
        /* A kernel without this arithmetic would put everything into its default zone. */
        if (original->online_policy[0] == '\0' || original->movable_ratio[0] == '\0' || !has_room) {
            set(wanted.auto_online_blocks, "offline");
            break;
        }
        set(wanted.auto_online_blocks, "online");
        set(wanted.online_policy, "auto-movable");
        g_snprintf(wanted.movable_ratio, sizeof wanted.movable_ratio, "%" G_GUINT64_FORMAT,
                   config->movable_ratio);
        break;
    case ONLINE_POLICY_NONE:
        break;
    }
    return wanted;
}

gboolean kernel_onlining_is_enough(const OnlineConfig *config, const KernelOnlining *settings)
{
    switch (config->policy) {
    case ONLINE_POLICY_MOVABLE:
        return strcmp(settings->auto_online_blocks, "online_movable") == 0;
    case ONLINE_POLICY_KERNEL:
        return strcmp(settings->auto_online_blocks, "online_kernel") == 0;
    case ONLINE_POLICY_AUTO:
        return strcmp(settings->auto_online_blocks, "online") == 0 &&
               strcmp(settings->online_policy, "auto-movable") == 0;
    case ONLINE_POLICY_NONE:
        break;
    }
    return FALSE;
}
