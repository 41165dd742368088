/* See demo_files.h. */
#include "cli/demo/demo_files.h"

#include "tls/server.h"

#include "weir/demo_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const certificate_names[] = {
    "localhost",       "*.wikipedia.org", "*.m.wikipedia.org", "*.wikibooks.org",  "*.wikidata.org",
    "*.wikimedia.org", "*.mediawiki.org", "*.wikinews.org",    "*.wiktionary.org",
};

static const char *const directories[] = {"", "/lists", "/demo"};

enum { FILE_COUNT = 5 };
static const char *const names[FILE_COUNT] = {
    "/demo.yaml", "/demo-backends.yaml", "/lists/demo.txt", "/demo/chain.pem", "/demo/key.pem"};

static void path_of(char *path, const char *directory, const char *name)
{
    snprintf(path, DEMO_PATH_MAX, "%s%s", directory, name);
}

static int write_file(const char *path, const char *text, mode_t mode, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (file == NULL)
        return err_set_errno(err, "cannot write \"%s\"", path);
    bool is_written = fputs(text, file) >= 0;
    if (fclose(file) != 0 || !is_written)
        return err_set_errno(err, "cannot write \"%s\"", path);
    return 0;
}

static int make_directories(const char *directory, struct err *err)
{
    char path[DEMO_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
        path_of(path, directory, directories[i]);
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            return err_set_errno(err, "cannot make the directory \"%s\"", path);
    }
    return 0;
}

static int write_files(const char *directory, const char *const *texts, struct err *err)
{
    char path[DEMO_PATH_MAX];

    for (size_t i = 0; i < FILE_COUNT; i++) {
        path_of(path, directory, names[i]);
        if (write_file(path, texts[i], i + 1 == FILE_COUNT ? 0600 : 0666, err) < 0)
            return -1;
    }
    return 0;
}

int demo_files_write(const char *directory, struct err *err)
{
    char *chain = NULL, *key = NULL;

    if (make_directories(directory, err) < 0 ||
        tls_self_signed(certificate_names, ARRAY_LEN(certificate_names), &chain, &key, err) < 0)
        return -1;
    const char *const texts[FILE_COUNT] = {demo_yaml, demo_backends_yaml, demo_list, chain, key};
    int result = write_files(directory, texts, err);
    free(chain);
    free(key);
    return result;
}

int demo_files_make_directory(char *directory, struct err *err)
{
    const char *parent = getenv("TMPDIR");

    snprintf(directory, DEMO_PATH_MAX, "%s/weir-demo-XXXXXX",
             parent != NULL && parent[0] != '\0' ? parent : "/tmp");
    if (mkdtemp(directory) == NULL)
        return err_set_errno(err, "cannot make a directory \"%s\"", directory);
    return 0;
}

void demo_files_remove(const char *directory)
{
    char path[DEMO_PATH_MAX];

    for (size_t i = 0; i < FILE_COUNT; i++) {
        path_of(path, directory, names[i]);
        (void)unlink(path);
    }
    for (size_t i = ARRAY_LEN(directories); i > 0; i--) {
        path_of(path, directory, directories[i - 1]);
        (void)rmdir(path);
    }
}
