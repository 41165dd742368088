/* A file is recognised by device and inode, since a path can come to name another file. */
#include "server/socket_file.h"

#include "server/privileges.h"

#include <sys/stat.h>
#include <unistd.h>

int socket_rights_find(struct socket_rights *rights, const struct bind_conf *conf, struct err *err)
{
    gid_t gid_of_owner;

    *rights = (struct socket_rights){.mode = conf->mode, .uid = (uid_t)-1, .gid = (gid_t)-1};
    if (conf->owner.len > 0 && user_find(conf->owner, &rights->uid, &gid_of_owner, err) < 0)
        return -1;
    if (conf->group.len > 0 && group_find(conf->group, &rights->gid, err) < 0)
        return -1;
    return 0;
}

bool socket_rights_eq(const struct socket_rights *a, const struct socket_rights *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid;
}

int socket_rights_apply(const struct socket_rights *rights, const struct addr *addr,
                        struct err *err)
{
    const char *path = addr->un.sun_path;

    /* The mode first: the new owner could replace the file by a link, and chmod would follow it. */
    if (rights->mode >= 0 && chmod(path, (mode_t)rights->mode) < 0)
        return err_set_errno(err, "cannot set the mode of %s", path);
    if (rights->uid == (uid_t)-1 && rights->gid == (gid_t)-1)
        return 0;
    if (lchown(path, rights->uid, rights->gid) < 0)
        return err_set_errno(err, "cannot change owner and group of %s", path);
    return 0;
}

struct socket_file socket_file_at(const struct addr *addr)
{
    struct stat stat;

    if (lstat(addr->un.sun_path, &stat) < 0)
        return (struct socket_file){0};
    return (struct socket_file){.device = stat.st_dev, .inode = stat.st_ino};
}

bool socket_file_is_at(const struct socket_file *file, const struct addr *addr)
{
    struct socket_file now = socket_file_at(addr);

    return now.inode != 0 && now.inode == file->inode && now.device == file->device;
}

void socket_file_remove(const struct socket_file *file, const struct addr *addr)
{
    if (socket_file_is_at(file, addr))
        unlink(addr->un.sun_path);
}
