/*
 * Reads and writes one memory block's directory. In the order of its reads lies the protection from
 * the kernel's oops: the directory is listed (is there a node link?) and `state` is read before
 * valid_zones is opened, or is not. Must never open `online` or `removable`.
 */
#include "system/block.h"

#include <errno.h>
#include <string.h>

/* How often a block's state is read again when its zones do not fit it. */
#define READ_TRIES 3

typedef struct {
    gint16 node;
    gboolean has_firmware_node;
} Links;

/* PREFIX and a decimal number without leading zeroes, nothing else. */
static gboolean parse_numbered(const char *name, const char *prefix, guint64 max, guint64 *number)
{
    guint64 value = 0;

    if (!g_str_has_prefix(name, prefix))
        return FALSE;
    name += strlen(prefix);
    if (*name == '\0' || (name[0] == '0' && name[1] != '\0'))
        return FALSE;
    for (; *name != '\0'; name++) {
        if (!g_ascii_isdigit(*name))
            return FALSE;
        value = value * 10 + (guint64)(*name - '0');
        if (value > max)
            return FALSE;
    }
    *number = value;
    return TRUE;
}

gboolean block_parse_name(const char *name, guint32 *index)
{
    guint64 number;

    if (!parse_numbered(name, "memory", G_MAXUINT32, &number))
        return FALSE;
    *index = (guint32)number;
    return TRUE;
}

const char *block_path(guint32 index, const char *attribute, char buf[BLOCK_PATH_MAX])
{
    g_snprintf(buf, BLOCK_PATH_MAX, BLOCK_DIR "/memory%u%s%s", index, *attribute ? "/" : "",
               attribute);
    return buf;
}

const char *block_state_name(BlockState state)
{
    switch (state) {
    case BLOCK_STATE_OFFLINE:
        return "offline";
    case BLOCK_STATE_ONLINE:
        return "online";
    case BLOCK_STATE_GOING_OFFLINE:
        return "going-offline";
    case BLOCK_STATE_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *zone_name(Zone zone)
{
    switch (zone) {
    case ZONE_DMA:
        return "DMA";
    case ZONE_DMA32:
        return "DMA32";
    case ZONE_NORMAL:
        return "Normal";
    case ZONE_HIGHMEM:
        return "HighMem";
    case ZONE_MOVABLE:
        return "Movable";
    case ZONE_DEVICE:
        return "Device";
    case ZONE_SEVERAL:
        return "none";
    case ZONE_UNKNOWN:
        break;
    }
    return "unknown";
}

gboolean zone_is_kernel(Zone zone)
{
    return zone == ZONE_DMA || zone == ZONE_DMA32 || zone == ZONE_NORMAL || zone == ZONE_HIGHMEM;
}

static BlockState parse_state(const char *word)
{
    for (BlockState state = BLOCK_STATE_OFFLINE; state <= BLOCK_STATE_GOING_OFFLINE; state++) {
        if (strcmp(word, block_state_name(state)) == 0)
            return state;
    }
    return BLOCK_STATE_UNKNOWN;
}

static Zone parse_zone(const char *word, gsize length)
{
    for (Zone zone = ZONE_DMA; zone <= ZONE_SEVERAL; zone++) {
        const char *name = zone_name(zone);

        if (strlen(name) == length && memcmp(name, word, length) == 0)
            return zone;
    }
    return ZONE_UNKNOWN;
}

static gboolean see_link(const char *name, gpointer user_data)
{
    Links *links = user_data;
    guint64 node;

    /* A block that spans nodes has a link for each; the lowest stands for all. */
    if (parse_numbered(name, "node", G_MAXINT16, &node)) {
        if (links->node < 0 || (gint16)node < links->node)
            links->node = (gint16)node;
    } else if (strcmp(name, "firmware_node") == 0) {
        links->has_firmware_node = TRUE;
    }
    return TRUE;
}

static int read_state(const AttrIo *io, guint32 index, Block *block)
{
    char path[BLOCK_PATH_MAX], word[32];
    gssize n = attr_read_line(io, block_path(index, "state", path), word, sizeof word);

    /* Words that are too long or too many are unknown words. */
    if (n < 0 && n != -EFBIG && n != -EINVAL)
        return (int)n;
    block->state = (guint8)(n < 0 ? BLOCK_STATE_UNKNOWN : parse_state(word));
    return 0;
}

/* The zones of a block whose node is known to be set. Returns how many words there were, or a
 * negative errno if the block is gone; a file that cannot be read leaves the zone unknown. */
static int read_zones(const AttrIo *io, guint32 index, Block *block)
{
    char path[BLOCK_PATH_MAX], text[128];
    int words = 0;

    block->zone = ZONE_UNKNOWN;
    block->can_be_movable = FALSE;
    gssize n = attr_read_line(io, block_path(index, "valid_zones", path), text, sizeof text);
    if (n == -ENODEV)
        return -ENODEV;
    if (n < 0)
        return 0;
    for (const char *at = text; *(at += strspn(at, " ")) != '\0';) {
        gsize length = strcspn(at, " ");
        Zone zone = parse_zone(at, length);

        if (words++ == 0)
            block->zone = (guint8)zone;
        if (zone == ZONE_MOVABLE)
            block->can_be_movable = TRUE;
        at += length;
    }
    return words;
}

/* State and zone as of one moment, as far as two files can tell: an online block has one zone
 * (valid_zones_show(), drivers/base/memory.c), so several words mean that it was not online when
 * they were read. */
static int read_state_and_zones(const AttrIo *io, guint32 index, Block *block)
{
    for (int i = 0; i < READ_TRIES; i++) {
        int error = read_state(io, index, block);

        if (error < 0)
            return error;
        if (block->node < 0 && block->state != BLOCK_STATE_ONLINE)
            return 0;
        int words = read_zones(io, index, block);
        if (words < 0)
            return words;
        if (block->state != BLOCK_STATE_ONLINE || words <= 1)
            return 0;
    }
    block->zone = ZONE_UNKNOWN;
    block->can_be_movable = FALSE;
    return 0;
}

/* "…/PNP0C80:1f" -> BLOCK_BACKING_ACPI and 0x1f (drivers/acpi/scan.c, acpi_device_set_name()). */
static void parse_firmware_node(const char *target, Block *block)
{
    const char *name = strrchr(target, '/');
    guint64 number = 0;

    name = name != NULL ? name + 1 : target;
    block->backing = BLOCK_BACKING_FOREIGN;
    if (!g_str_has_prefix(name, "PNP0C80:"))
        return;
    name += strlen("PNP0C80:");
    if (*name == '\0')
        return;
    for (; *name != '\0'; name++) {
        int digit = g_ascii_xdigit_value(*name);

        if (digit < 0 || number > G_MAXUINT32 >> 4)
            return;
        number = number << 4 | (guint64)digit;
    }
    block->backing = BLOCK_BACKING_ACPI;
    block->acpi_number = (guint32)number;
}

BlockBacking block_read_backing(const AttrIo *io, guint32 index, guint32 *acpi_number)
{
    Block block = {0};
    char path[BLOCK_PATH_MAX], target[ATTR_VALUE_MAX];
    gssize n = attr_follow(io, block_path(index, "firmware_node", path), target, sizeof target);

    if (n == -ENAMETOOLONG)
        return BLOCK_BACKING_FOREIGN;
    if (n < 0)
        return BLOCK_BACKING_UNRESOLVED;
    parse_firmware_node(target, &block);
    *acpi_number = block.acpi_number;
    return block.backing;
}

/* Node and backing of BLOCK. Returns 0, or a negative errno if it is gone. */
static int read_links(const AttrIo *io, Block *block)
{
    char path[BLOCK_PATH_MAX];
    Links links = {.node = -1};
    int error = attr_list(io, block_path(block->index, "", path), see_link, &links);

    if (error < 0)
        return error;
    block->node = links.node;
    if (links.has_firmware_node)
        block->backing = (guint8)block_read_backing(io, block->index, &block->acpi_number);
    return 0;
}

int block_read(const AttrIo *io, guint32 index, const Block *before, Block *out)
{
    char path[BLOCK_PATH_MAX];
    Block block = {.index = index, .device = -1, .node = -1};

    int error = attr_identify(io, block_path(index, "", path), &block.inode);
    if (error == 0 && before && before->inode == block.inode && before->node >= 0) {
        block.node = before->node;
        block.backing = before->backing;
        block.acpi_number = before->acpi_number;
        if (block.backing == BLOCK_BACKING_UNRESOLVED)
            block.backing = (guint8)block_read_backing(io, index, &block.acpi_number);
    } else if (error == 0) {
        error = read_links(io, &block);
    }
    if (error == 0)
        error = read_state_and_zones(io, index, &block);
    if (error < 0)
        return error;
    *out = block;
    return 0;
}

int block_write_state(const AttrIo *io, guint32 index, guint64 inode, const char *verb)
{
    char dir[BLOCK_PATH_MAX];

    return attr_write(io, block_path(index, "", dir), inode, "state", verb);
}
