/* The texts of `weir --help` and `weir --version`. */
#include "cli/help.h"

#include "base/str.h"
#include "cli/exit_codes.h"
#include "config/version.h"
#include "discovery/version.h"
#include "http/version.h"
#include "net/version.h"
#include "tls/version.h"

void help_print(FILE *out, const struct command *commands, unsigned count)
{
    fprintf(out,
            "weir " WEIR_VERSION
            ": divides HTTP traffic between the old servers and the new ones.\n"
            "\n"
            "It terminates TLS, looks at each request once, decides which server group serves it\n"
            "and carries the request there and the response back.\n"
            "\n"
            "  weir COMMAND [OPTIONS]\n"
            "\n");
    for (unsigned i = 0; i < count; i++)
        fprintf(out, "  weir %-10s %s\n", commands[i].name, commands[i].about);
    fprintf(out,
            "\n"
            "  weir help COMMAND   the options of a command\n"
            "  weir --version      versions of weir and of its libraries\n"
            "\n"
            "Exit status:\n"
            "%s"
            "\n"
            "A demonstration that needs nothing but this program:   weir demo\n"
            "Manual pages: weir(1), weir.yaml(5)\n",
            exit_codes_text);
}

void version_print(FILE *out)
{
    fprintf(out,
            "weir " WEIR_VERSION "\n"
            "OpenSSL %s, nghttp2 %s, libev %s, c-ares %s, libyaml %s\n",
            tls_library_version(), http_library_version(), net_library_version(),
            discovery_library_version(), config_library_version());
}

enum { NEAR_ENOUGH = 2 };

const struct command *help_suggest(const char *name, const struct command *commands, unsigned count)
{
    const struct command *best = NULL;
    unsigned best_distance = NEAR_ENOUGH + 1;

    for (unsigned i = 0; i < count; i++) {
        unsigned distance = str_distance(str_of(name), str_of(commands[i].name));
        if (distance < best_distance) {
            best = &commands[i];
            best_distance = distance;
        }
    }
    return best;
}
