/* where: prints the decision of libweir-route for a URL. CMake builds it as an example. By hand:
 *
 *     cc where.c $(pkg-config --cflags --libs weir-route) -o where
 *     ./where edge.yaml en.wikipedia.org /wiki/Earth
 */
#include <weir/route.h>

#include <stdio.h>
#include <string.h>

static void complain(void *arg, const char *file, int line, int column, int is_note,
                     const char *text)
{
    (void)arg;
    fprintf(stderr, "%s:%d:%d: %s%s\n", file, line, column, is_note ? "note: " : "", text);
}

static struct weir_text text(const char *from)
{
    return (struct weir_text){from, strlen(from)};
}

int main(int argc, char **argv)
{
    char words[4096], json[4096];

    if (argc != 4) {
        fprintf(stderr, "usage: where CONFIGURATION HOST PATH\n");
        return 2;
    }
    struct weir_routing *routing = weir_routing_load(argv[1], complain, NULL);
    if (routing == NULL)
        return 1;
    struct weir_request request = {
        .size = sizeof(request),
        .method = text("GET"),
        .host = text(argv[2]),
        .target = text(argv[3]),
        .client_ip = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1},
        .is_trusted = 1,
    };
    const struct weir_router *router = weir_router_find(routing, NULL);
    weir_explain_text(router, &request, words, sizeof(words));
    weir_explain_json(router, &request, json, sizeof(json));
    printf("%s%s\n", words, json);
    weir_routing_free(routing);
    return 0;
}
