/*
 * The operations of an AttrIo as functions, and the typed readers over them. Knows nothing of
 * files: what stands here holds for the real attribute files and for a fake kernel's alike.
 */
#include <errno.h>
#include <string.h>

#include "system/attr.h"
#include "system/units.h"

/* A number of 64 bits in base 10, a newline and a NUL need 22; anything longer is not a number. */
#define NUMBER_TEXT_MAX 32

void attr_io_free(AttrIo *io)
{
    if (io == NULL)
        return;
    io->ops->free(io->self);
    g_free(io);
}

int attr_io_fd(const AttrIo *io)
{
    return io->ops->fd != NULL ? io->ops->fd(io->self) : -1;
}

gssize attr_read(const AttrIo *io, const char *path, char *buf, gsize size)
{
    return io->ops->read(io->self, path, buf, size);
}

gssize attr_read_all(const AttrIo *io, const char *path, gsize max_bytes, char **contents)
{
    return io->ops->read_all(io->self, path, max_bytes, contents);
}

gssize attr_read_at(const AttrIo *io, const char *path, guint64 offset, void *buf, gsize size)
{
    if (io->ops->read_at == NULL)
        return -ENOENT;
    return io->ops->read_at(io->self, path, offset, buf, size);
}

gssize attr_read_each(const AttrIo *io, const char *path, guint64 offset, guint64 stride, gsize n,
                      void *buf, gsize size)
{
    gsize i;

    if (io->ops->read_each != NULL)
        return io->ops->read_each(io->self, path, offset, stride, n, buf, size);
    for (i = 0; i < n; i++) {
        gssize result = attr_read_at(io, path, offset + i * stride, (char *)buf + i * size, size);
        if (result < 0)
            return result;
        if ((gsize)result < size)
            break;
    }
    return (gssize)i;
}

int attr_write(const AttrIo *io, const char *dir, guint64 expected_inode, const char *name,
               const char *value)
{
    return io->ops->write(io->self, dir, expected_inode, name, value);
}

int attr_watch(const AttrIo *io, const char *path, const char *value)
{
    return io->ops->watch ? io->ops->watch(io->self, path, value) : -ENOENT;
}

int attr_list(const AttrIo *io, const char *path, AttrNameFunc each, gpointer user_data)
{
    return io->ops->list(io->self, path, each, user_data);
}

int attr_identify(const AttrIo *io, const char *path, guint64 *inode)
{
    return io->ops->identify(io->self, path, inode);
}

gssize attr_follow(const AttrIo *io, const char *path, char *target, gsize size)
{
    return io->ops->follow(io->self, path, target, size);
}

int attr_read_uint64(const AttrIo *io, const char *path, int base, guint64 *value)
{
    char text[NUMBER_TEXT_MAX];
    const char *digits = text;
    guint64 number = 0;

    if (base != 0 && base != 10 && base != 16)
        return -EINVAL;
    gssize n = attr_read_line(io, path, text, sizeof text);
    if (n < 0)
        return n == -EFBIG ? -EINVAL : (int)n;
    if (base != 10 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        digits += 2;
        base = 16;
    } else if (base == 0) {
        base = 10;
    }
    if (*digits == '\0')
        return -EINVAL;
    for (; *digits != '\0'; digits++) {
        int digit = base == 16 ? g_ascii_xdigit_value(*digits) : g_ascii_digit_value(*digits);

        if (digit < 0)
            return -EINVAL;
        if (!u64_multiply(&number, number, (guint64)base) ||
            !u64_add(&number, number, (guint64)digit))
            return -ERANGE;
    }
    *value = number;
    return 0;
}

gssize attr_read_line(const AttrIo *io, const char *path, char *buf, gsize size)
{
    char text[ATTR_VALUE_MAX];
    gssize n = attr_read(io, path, text, sizeof text);

    if (n < 0)
        return n;
    if (n == (gssize)sizeof text - 1)
        return -EFBIG;
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (memchr(text, '\0', (gsize)n) != NULL || memchr(text, '\n', (gsize)n) != NULL)
        return -EINVAL;
    if ((gsize)n >= size)
        return -EFBIG;
    memcpy(buf, text, (gsize)n);
    buf[n] = '\0';
    return n;
}
