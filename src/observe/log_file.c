/* See log_file_impl.h. */
#include "observe/log_file_impl.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RETRY_MS = 1000 }; /* from a failed write to the next attempt */

static int open_path(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
}

/* An inherited pipe or terminal may block. O_NONBLOCK would apply to all processes that share
 * it, so poll(2) is called before each write, and pieces are so small that a writable pipe takes
 * each whole. */
static bool must_poll(int fd)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 && !S_ISREG(stat.st_mode) &&
           (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

static void use_fd(struct log_file *file, int fd, bool is_borrowed)
{
    file->fd = fd;
    file->is_borrowed = is_borrowed;
    file->must_poll = must_poll(fd);
}

void log_file_init_fd(struct log_file *file, int fd)
{
    *file = (struct log_file){0};
    use_fd(file, fd, true);
}

int log_file_init_path(struct log_file *file, struct str path, struct err *err)
{
    *file = (struct log_file){.fd = -1};
    file->path = mem_new(path.len + 1);
    memcpy(file->path, path.ptr, path.len);
    int fd = open_path(file->path);
    if (fd < 0) {
        err_set_errno(err, "cannot open log file %s", file->path);
        free(file->path);
        file->path = NULL;
        return -1;
    }
    use_fd(file, fd, false);
    return 0;
}

void log_file_deinit(struct log_file *file)
{
    if (file->fd >= 0 && !file->is_borrowed)
        close(file->fd);
    free(file->path);
    free(file->bytes);
    *file = (struct log_file){.fd = -1};
}

char *log_file_room(struct log_file *file, size_t room)
{
    if (file->bytes == NULL)
        file->bytes = mem_resize(NULL, LOG_FILE_BUFFER);
    if (LOG_FILE_BUFFER - file->len < room)
        log_file_flush(file);
    if (LOG_FILE_BUFFER - file->len < room) {
        file->lost++;
        return NULL;
    }
    return file->bytes + file->len;
}

void log_file_add(struct log_file *file, size_t len)
{
    file->len += len;
}

static bool is_writable_now(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

    return poll(&poll_fd, 1, 0) == 1;
}

static ssize_t write_some(struct log_file *file)
{
    if (!file->must_poll)
        return write(file->fd, file->bytes + file->sent, file->len - file->sent);
    if (!is_writable_now(file->fd)) {
        errno = EAGAIN;
        return -1;
    }
    return write(file->fd, file->bytes + file->sent, MIN(file->len - file->sent, (size_t)PIPE_BUF));
}

static void forget_sent(struct log_file *file)
{
    file->is_torn = file->bytes[file->sent - 1] != '\n';
    memmove(file->bytes, file->bytes + file->sent, file->len - file->sent);
    file->len -= file->sent;
    file->sent = 0;
}

/* ENOSPC, EPIPE, EIO, EDQUOT and the like: an immediate retry would not help. */
static void back_off(struct log_file *file, int64_t now_ms)
{
    if (errno == EAGAIN)
        return;
    file->errors++;
    file->retry_at_ms = now_ms + RETRY_MS;
}

void log_file_flush(struct log_file *file)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms < file->retry_at_ms)
        return;
    while (file->sent < file->len) {
        ssize_t written = write_some(file);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            back_off(file, now_ms);
            break;
        }
        file->sent += (size_t)written;
    }
    if (file->sent > 0)
        forget_sent(file);
}

/* How much of the buffer is the rest of a line whose start was written already. */
static size_t torn_bytes(const struct log_file *file)
{
    const char *end = memchr(file->bytes, '\n', file->len);

    return end != NULL ? (size_t)(end - file->bytes) + 1 : file->len;
}

void log_file_reopen(struct log_file *file)
{
    if (file->path == NULL)
        return;
    file->retry_at_ms = 0;
    log_file_flush(file);
    int fd = open_path(file->path);
    if (fd < 0) {
        LOG_ERROR("log_reopen_failed", "path=\"%s\" error=\"%s\" errno=%d", file->path,
                  strerror(errno), errno);
        file->reopen_failures++;
        return;
    }
    if (file->len > 0 && file->is_torn) {
        /* The disk filled up in the middle of a line; its rest has no place in a new file. */
        file->sent = torn_bytes(file);
        forget_sent(file);
        file->lost++;
    }
    close(file->fd);
    use_fd(file, fd, false);
    log_file_flush(file);
}

/* A user who may write to the directory could have put a link to another file there. */
static bool is_its_only_name(const char *path, const struct stat *opened)
{
    struct stat named;

    return lstat(path, &named) == 0 && named.st_dev == opened->st_dev &&
           named.st_ino == opened->st_ino && opened->st_nlink == 1;
}

int log_file_give_to(struct log_file *file, uid_t uid, struct err *err)
{
    struct stat opened;

    if (file->path == NULL || fstat(file->fd, &opened) < 0 || !S_ISREG(opened.st_mode) ||
        opened.st_uid == uid)
        return 0;
    if (!is_its_only_name(file->path, &opened))
        return err_set(err, "%s is a link", file->path);
    if (fchown(file->fd, uid, (gid_t)-1) < 0 || fchmod(file->fd, opened.st_mode | S_IWUSR) < 0)
        return err_set_errno(err, "cannot change the owner of %s", file->path);
    return 0;
}
