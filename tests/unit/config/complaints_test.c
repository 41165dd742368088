/* Bad configurations: every mistake is told, with its place, its value and the nearest valid
 * name. */
#include "config/review.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A whole configuration around one router's lines, which begin in line 7. */
#define ROUTER(lines)                                                                              \
    "listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"                                   \
    "groups:\n"                                                                                    \
    "  old: { endpoints: ['127.0.0.1:1'] }\n"                                                      \
    "  new: { endpoints: ['127.0.0.1:2'] }\n"                                                      \
    "routers:\n"                                                                                   \
    "  r:\n" lines

#define RULES "    services: { web: { legacy: old, k8s: new } }\n    rules: [{ service: web }]\n"

/* The same around one listener's, group's or top level's lines. */
#define LISTENER(line) "groups: { g: { endpoints: ['127.0.0.1:1'] } }\nlisteners:\n  - " line "\n"
#define GROUP(line)                                                                                \
    "listeners: [{ name: a, bind: '127.0.0.1:0', group: g }]\ngroups:\n  g: " line "\n"
#define TOP(line)                                                                                  \
    "listeners: [{ name: a, bind: '127.0.0.1:0', group: g }]\n"                                    \
    "groups: { g: { endpoints: ['127.0.0.1:1'] } }\n" line "\n"

#define NAME_63 "a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-abc"

static bool has_line(const struct complaints *complaints, const char *want)
{
    char line[2048];

    for (size_t i = 0; i < complaints->count; i++) {
        complaint_line(&complaints->items[i], line, sizeof(line));
        if (strcmp(line, want) == 0)
            return true;
    }
    return false;
}

static void print_all(const struct complaints *complaints)
{
    char line[2048];

    for (size_t i = 0; i < complaints->count; i++)
        print_message("  got: %s\n", complaint_line(&complaints->items[i], line, sizeof(line)));
}

static const struct {
    const char *text, *want;
} mistakes[] = {
    /* syntax */
    {"a: [", "t:2:1: not valid YAML: did not find expected node content while parsing a flow node"},
    {"", "t:1:1: the file is empty"},
    {"a: 1\n---\nb: 2\n", "t:2:1: a second document begins here; a file holds one"},
    {"a: 1\n---\n", "t:2:1: a second document begins here; a file holds one"},
    {"a: 1\n...\nb", "t:3:1: not valid YAML: did not find expected <document start>"},
    {"a: \"x\nb: \"y\"\n",
     "t:1:4: not valid YAML: the quote is not closed here: the text runs to 2:4"},
    {"a:\n- 'x, y\n- 'z'\n",
     "t:2:3: not valid YAML: the quote is not closed here: the text runs to 3:3"},
    {"a: \"x\n",
     "t:1:4: not valid YAML: the quote is not closed: found unexpected end of stream while reading "
     "the text that begins here"},
    {"a:\n  b: [c\nd: e\n",
     "t:3:2: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence that "
     "begins at 2:6"},

    /* bytes */
    {"a: 1\n# caf\xe9\n", "t:2:6: not UTF-8: byte 0xe9; the file must be saved as UTF-8"},
    {"a: 1\nb: \xc3\xa4\x01", "t:2:5: character U+0001: a control character"},
    {"a: 1\r\nb: \f", "t:2:4: character U+000C: a control character"},
    {"a: 1\n\xef\xbb\xbf",
     "t:2:1: character U+FEFF: a byte order mark, which may only begin a file"},
    {"\xff\xfe"
     "a",
     "t:1:1: UTF-16 text; the file must be saved as UTF-8"},
    {"&a [*a]", "t:1:1: an alias inside its own anchor"},
    {"42", "t:1:1: invalid value: \"42\"; expected a mapping"},
    {"{}", "t:1:1: \"listeners\" is missing"},
    {TOP("admin: { <<: x }"), "t:3:14: \"<<\" merges a mapping or a list of mappings"},
    {TOP("admin: { <<: [{ enabled: true }, [x]] }"),
     "t:3:34: \"<<\" merges a mapping or a list of mappings"},
    {TOP("admin: { <<: }"), "t:3:14: \"<<\" merges a mapping or a list of mappings"},
    {TOP("admin: { <<: { enabled: true }, <<: { enabled: true } }"),
     "t:3:33: \"<<\" is given twice, first at t:3:10"},
    {TOP("admin: { <<: { enabled: true }, bind: a, bind: b }"),
     "t:3:42: \"bind\" is given twice, first at t:3:33"},
    {TOP("admin:\n  <<: { enabled: true,\n        enbled: true }"),
     "t:5:9: unknown key: \"enbled\"; did you mean \"enabled\"?"},
    {TOP("admin: &a { <<: *a }"), "t:3:8: an alias inside its own anchor"},
    {TOP("? [a]\n: b"), "t:3:3: a key must be a plain text"},

    {ROUTER("    rules: [{ host: '(de|en).a.org', group: old }]\n"),
     "t:7:21: invalid value: \"(de|en).a.org\"; expected a host name or *.name (a pattern begins "
     "with \"~\")"},

    /* names */
    {TOP("lisener: 1"), "t:3:1: unknown key: \"lisener\"; did you mean \"listeners\"?"},
    {TOP("zzzzzzzzzzzz: 1"), "t:3:1: unknown key: \"zzzzzzzzzzzz\""},
    {TOP("admin: off\nadmin: off"), "t:4:1: \"admin\" is given twice, first at t:3:1"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: gg }"),
     "t:3:44: unknown group: \"gg\"; did you mean \"g\"?"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', router: x }"),
     "t:3:45: unknown router: \"x\"; the configuration has no \"routers\""},

    /* listeners */
    {LISTENER("{ name: a, bind: '127.0.0.1:0' }"),
     "t:3:5: a listener needs one of \"router\", \"group\" and \"redirect_to_https: true\""},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', redirect_to_https: false }"),
     "t:3:5: a listener needs one of \"router\", \"group\" and \"redirect_to_https: true\""},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, router: r }\nrouters: { r: { rules: [{ "
              "answer: 404 }] } }"),
     "t:3:5: a listener needs one of \"router\" and \"group\", not both"},
    {LISTENER("{ name: a, bind: localhost, group: g }"),
     "t:3:22: invalid value: \"localhost\"; expected address:port (0.0.0.0:443, [::]:443), a port "
     "for all addresses (:443, *:443, 443) or unix:/path"},
    {LISTENER("{ name: a, bind: [], group: g }"), "t:3:22: at least one address is needed"},
    {LISTENER("{ bind: '127.0.0.1:0', group: g }"), "t:3:5: \"name\" is missing"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, trusted_proxies: [10.0.0.0/33] }"),
     "t:3:65: invalid value: \"10.0.0.0/33\"; expected a network such as 10.0.0.0/8 or "
     "2001:db8::/32"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, keep_untrusted: [X-Real-IPs] }"),
     "t:3:64: \"X-Real-IPs\" is not a forwarding field, so it is kept anyway; did you mean "
     "\"x-real-ip\"?"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, client_ip: apend }"),
     "t:3:58: invalid value: \"apend\"; expected set, append or off; did you mean \"append\"?"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, timeouts: { idle: 60 } }"),
     "t:3:65: invalid value: \"60\"; expected a duration such as 250ms, 4.5s, 60s or 1h"
     "; did you mean \"60s\"?"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, timeouts: { idle: 0s } }"),
     "t:3:65: invalid value: \"0s\"; the timeout cannot be 0"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, limits: { max_uri_bytes: 8KB } }"),
     "t:3:72: invalid value: \"8KB\"; expected a size such as 512B, 64KiB or 1MiB; did you mean "
     "\"8KiB\"?"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, show_group: maybe }"),
     "t:3:59: invalid value: \"maybe\"; expected true or false"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, tls: {} }"),
     "t:3:52: \"certificates\" is missing"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, tls: { certificates: { chain: x } } }"),
     "t:3:68: a certificate needs \"chain\" and \"key\""},
    {LISTENER("{ name: a, bind: '127.0.0.1:81', group: g }\n"
              "  - { name: b, bind: '127.0.0.1:81', group: g }"),
     "t:4:22: address bound twice: \"127.0.0.1:81\"; listener \"a\" has it at t:3:22"},
    {LISTENER("{ name: a, bind: ['127.0.0.1:81', '127.0.0.1:81'], group: g }"),
     "t:3:39: address bound twice: \"127.0.0.1:81\"; listener \"a\" has it at t:3:23"},
    {LISTENER("{ name: a, bind: ['[::ffff:127.0.0.1]:81', '127.0.0.1:81'], group: g }"),
     "t:3:48: address bound twice: \"127.0.0.1:81\"; listener \"a\" has it at t:3:23"},
    {LISTENER("{ name: a, bind: [81, '[::]:81'], group: g }"),
     "t:3:27: address bound twice: \"[::]:81\"; listener \"a\" has it at t:3:23"},
    {LISTENER("{ name: a, bind: 'unix:/x', group: g }\n"
              "  - { name: b, bind: { address: 'unix:/x' }, group: g }"),
     "t:4:22: address bound twice: \"unix:/x\"; listener \"a\" has it at t:3:22"},
    {LISTENER("{ name: a, bind: '127.0.0.1:81', group: g }\nadmin: { bind: '127.0.0.1:81' }"),
     "t:4:16: address bound twice: \"127.0.0.1:81\"; listener \"a\" has it at t:3:22"},
    {LISTENER("{ name: a, bind: '127.0.0.1:81', group: g }\nadmin: { bind: [82, '0.0.0.0:82'] }"),
     "t:4:21: address bound twice: \"0.0.0.0:82\"; the admin port has it"},
    {LISTENER("{ name: a, bind: ':0', group: g }"),
     "t:3:22: invalid value: \":0\"; expected address:port (0.0.0.0:443, [::]:443), a port "
     "for all addresses (:443, *:443, 443) or unix:/path"},
    {LISTENER("{ name: a, bind: { address: 'unix:/x', mode: 0888 }, group: g }"),
     "t:3:50: bad mode: \"0888\"; expected an octal number from 0 to 0777, such as 0660"},
    {LISTENER("{ name: a, bind: { address: 'unix:/x', mode: 01777 }, group: g }"),
     "t:3:50: bad mode: \"01777\"; expected an octal number from 0 to 0777, such as 0660"},
    {LISTENER("{ name: a, bind: { address: '127.0.0.1:81', mode: 0660 }, group: g }"),
     "t:3:22: only a unix socket has a \"mode\", \"owner\" or \"group\""},
    {LISTENER("{ name: a, bind: { mode: 0660 }, group: g }"), "t:3:22: \"address\" is missing"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g }\n"
              "  - { name: a, bind: '127.0.0.1:0', group: g }"),
     "t:4:5: a second listener \"a\", the first is at t:3"},
    {LISTENER("{ name: a, bind: '127.0.0.1:9901', group: g }"),
     "t:3:22: address bound twice: \"127.0.0.1:9901\"; the admin port has it by default, \"admin\" "
     "gives it another one"},

    /* groups */
    {GROUP("{}"), "t:3:6: group \"g\" needs either \"hosts\" or \"endpoints\""},
    {GROUP("{ endpoints: [nowhere] }"),
     "t:3:20: \"nowhere\" needs a port (there is no \"port\" in this group)"},
    {GROUP("{ endpoints: ['a:99999'] }"),
     "t:3:20: invalid value: \"a:99999\"; expected name:port, address:port or unix:/path"},
    {GROUP("{ hosts: { eqiad: a }, port: 1 }"),
     "t:3:17: unknown datacenter: \"eqiad\"; the configuration has no \"datacenters\""},
    {TOP("datacenters: { local: codfw, primary: eqiad }\ndatacentres: x"),
     "t:4:1: unknown key: \"datacentres\"; did you mean \"datacenters\"?"},
    {GROUP("{ hosts: { eqaid: a }, port: 1 }\ndatacenters: { local: codfw, primary: eqiad }"),
     "t:3:17: unknown datacenter: \"eqaid\"; did you mean \"eqiad\"?"},
    {GROUP("{ endpoints: ['a:1'], protocol: h3 }"),
     "t:3:38: invalid value: \"h3\"; expected h1, h2 or auto; did you mean \"h1\"?"},
    {GROUP("{ endpoints: ['a:1'], tls: { verify: no } }"),
     "t:3:43: invalid value: \"no\"; expected true or false; did you mean \"false\"?"},
    {GROUP("{ endpoints: ['a:1'], max_response_header_bytes: 0 }"),
     "t:3:55: \"0\": this limit bounds memory and cannot be switched off; expected at least 1"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, limits: { max_streams: 0 } }"),
     "t:3:70: \"0\": this limit bounds memory and cannot be switched off; expected at least 1"},
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, limits: { max_uri_bytes: 0B } }"),
     "t:3:72: \"0B\": this limit bounds memory and cannot be switched off; expected at least 1"},
    {TOP("max_connections: 0"),
     "t:3:18: \"0\": this limit bounds memory and cannot be switched off; expected at least 1"},
    {GROUP("{ endpoints: ['a:1'], retries: 101 }"),
     "t:3:37: invalid value: \"101\"; expected a number from 0 to 100"},
    {"listeners: [{ name: a, bind: '127.0.0.1:0', group: " NAME_63 " }]\n"
     "groups: { " NAME_63 ": { endpoints: ['a:1'] }, " NAME_63 "x: { endpoints: ['a:1'] } }\n",
     "t:2:100: the name of a group has at most 63 bytes"},
    {TOP("workers: 257"), "t:3:10: invalid value: \"257\"; expected a number from 1 to 256"},
    {TOP("handshake_threads: 65"), "t:3:20: invalid value: \"65\"; expected a number from 0 to 64"},
    {GROUP("{ endpoints: ['a:1'], retry_budget: 120% }"),
     "t:3:42: invalid share: \"120%\"; expected 0% to 100% (or 0 to 1) in steps of 0.001%"},
    {GROUP("{ endpoints: ['a:1'], retry_floor: few }"),
     "t:3:41: invalid value: \"few\"; expected a number from 0 to 1000000000"},
    {GROUP("{ endpoints: ['a:1'], retry_ceiling: 0 }"),
     "t:3:43: invalid value: \"0\"; expected a number from 1 to 1000000000"},
    {GROUP("{ endpoints: ['a:1'], retry_floor: 200 }"),
     "t:3:41: group \"g\" has a \"retry_floor\" of 200 above its \"retry_ceiling\" of 100"},
    {GROUP("{ endpoints: ['a:1'], retry_ceiling: 9 }"),
     "t:3:43: group \"g\" has a \"retry_floor\" of 10 above its \"retry_ceiling\" of 9"},
    {GROUP("{ endpoints: ['a:1'], retry_budge: 1% }"),
     "t:3:28: unknown key: \"retry_budge\"; did you mean \"retry_budget\"?"},

    /* routers */
    {ROUTER("    services: { web: { legacy: old, k8s: nwe } }\n    rules: [{ service: web }]\n"),
     "t:7:42: unknown group: \"nwe\"; did you mean \"new\"?"},
    {ROUTER("    services: { web: { legacy: old } }\n    rules: [{ service: web }]\n"),
     "t:7:22: service \"web\" needs \"legacy\" and \"k8s\", or \"group\", or \"groups\""},
    {ROUTER("    services: { web: { groups: { old: 50%, new: 49% } } }\n    rules: [{ service: web "
            "}]\n"),
     "t:7:32: the shares add up to 99%, not to 100%"},
    {ROUTER("    services: { web: old }\n    rules: [{ service: wbe }]\n"),
     "t:8:24: unknown service: \"wbe\"; did you mean \"web\"?"},
    {ROUTER("    rules: [{ host: a }]\n"),
     "t:7:13: a rule needs one of \"service\", \"group\" and \"answer\""},
    {ROUTER("    rules: [{ group: old, path: w }]\n"),
     "t:7:33: path \"w\" must begin with a slash"},
    {ROUTER("    rules: [{ group: old, path: '/a?b' }]\n"),
     "t:7:33: path \"/a?b\" is a path, without query (see the condition \"query\")"},
    {ROUTER("    rules: [{ group: old, path: '/a/../b' }]\n"),
     "t:7:33: path \"/a/../b\" has an empty segment, \".\" or \"..\", which no request has after "
     "normalising"},
    {ROUTER("    rules: [{ group: old, method: post }]\n"),
     "t:7:35: unknown method: \"post\"; did you mean \"POST\"?"},
    {ROUTER("    rules: [{ group: old, host: 'a:80' }]\n"),
     "t:7:33: invalid value: \"a:80\"; expected a host name or *.name (ports are not part of it)"},
    {ROUTER("    rules: [{ answer: 99 }]\n"),
     "t:7:23: invalid value: \"99\"; expected a number from 200 to 599"},
    {ROUTER("    debug: { backends: { x: mw-debug } }\n" RULES),
     "t:7:29: unknown group: \"mw-debug\""},
    {ROUTER("    sticky: { key: [cooky:A] }\n" RULES),
     "t:7:21: invalid value: \"cooky:A\"; expected cookie:NAME, header:NAME, client-ip or none"},
    {ROUTER("    multi_dc: { mode: locale }\n" RULES),
     "t:7:23: invalid value: \"locale\"; expected primary, local or local-anon; did you mean "
     "\"local\"?"},
    {ROUTER("    multi_dc: { mode: local, primary_if: [{ name: x }] }\n" RULES),
     "t:7:43: a rule without a condition would send everything to the primary: that is \"mode: "
     "primary\""},

    /* shares */
    {ROUTER("    split: { default: 140% }\n" RULES),
     "t:7:23: invalid share: \"140%\"; expected 0% to 100% (or 0 to 1) in steps of 0.001%"},
    {ROUTER("    split: { default: 0.0005% }\n" RULES),
     "t:7:23: invalid share: \"0.0005%\"; expected 0% to 100% (or 0 to 1) in steps of 0.001%"},
    {ROUTER("    split: { wikis: [{ hosts: [a.org], k8s: 0% }, { hosts: [a.org], k8s: 100% }] "
            "}\n" RULES),
     "t:7:61: \"a.org\" has two different shares: 100% here, 0% at t:7:32"},
    {ROUTER("    split: { wikis: [{ hosts: [A.org, a.org.], k8s: 0% }, { hosts: [a.org], k8s: 1 }] "
            "}\n" RULES),
     "t:7:69: \"a.org\" has two different shares: 100% here, 0% at t:7:32"},
    {ROUTER("    split: { wikis: [{ wikis: [enwiki], k8s: 0% }] }\n" RULES),
     "t:7:32: \"enwiki\" is a database name (a host has a dot), and there is no \"wikis: FILE\" "
     "that says which host it stands for (of 1 name in all)"},
    {ROUTER("    split: { wikis: [{ list: /nonexistent/x, k8s: 0% }] }\n" RULES),
     "t:7:30: cannot read \"/nonexistent/x\": No such file or directory"},
    {ROUTER("    split: { wikis: [{ hosts: [a.org] }] }\n" RULES), "t:7:22: \"k8s\" is missing"},
    {ROUTER("    split: { default: { default: 4%, wbe: 10% } }\n" RULES),
     "t:7:38: unknown service: \"wbe\"; did you mean \"web\"?"},

    /* a list where a mapping should be */
    {ROUTER("    split: [a]\n" RULES), "t:7:12: expected a mapping, got a list"},
    {ROUTER("    services: [a]\n    rules: [{ service: web }]\n"),
     "t:7:15: expected services by name, got a list"},
    {ROUTER("    multi_dc: [a]\n" RULES), "t:7:15: expected a mapping, got a list"},
    {GROUP("[a]"), "t:3:6: expected a mapping, got a list"},

    /* variables and files */
    {TOP("workers: ${WEIR_TEST_UNSET}"),
     "t:3:10: environment variable WEIR_TEST_UNSET is not set (\"${WEIR_TEST_UNSET:-default}\" "
     "gives it a default)"},
    {TOP("workers: ${WEIR"), "t:3:10: \"${\" without a closing brace"},
    {TOP("workers: '${1x}'"), "t:3:10: \"${1x}\" is not the name of a variable"},
    {TOP("include: /nonexistent/y"),
     "t:3:10: cannot read \"/nonexistent/y\": No such file or directory"},
};

static void every_error_has_its_place(void **state UNUSED)
{
    size_t failed = 0;

    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        struct complaints complaints;
        complaints_init(&complaints);
        struct config *config = config_load_text(str_of(mistakes[i].text), "t", &complaints);
        if (config != NULL || !has_line(&complaints, mistakes[i].want)) {
            print_all(&complaints);
            print_message("  wanted: %s\n", mistakes[i].want);
            failed++;
        }
        config_free(config);
        complaints_deinit(&complaints);
    }
    assert_int_equal(failed, 0);
}

static void all_errors_are_reported_at_once_in_file_order(void **state UNUSED)
{
    static const char text[] = TOP("admin: { bind: nowhere }\n"
                                   "workers: many\n"
                                   "drain_timeout: 5\n"
                                   "routers: { r: { rules: [{ group: h, path: x }] } }");
    struct complaints complaints;

    complaints_init(&complaints);
    assert_null(config_load_text(STR(text), "t", &complaints));
    assert_int_equal(complaints.error_count, 5);
    for (size_t i = 1; i < complaints.count; i++)
        assert_true(complaints.items[i].place.line >= complaints.items[i - 1].place.line);
    complaints_deinit(&complaints);
}

static const struct {
    const char *text, *want;
} notes[] = {
    {ROUTER(
         "    services: { web: old }\n    rules: [{ service: web }, { path: /x, group: new }]\n"),
     "t:8:31: warning: rule \"#2\" can never match: rule \"#1\" at t:8:13 takes all of its "
     "requests"},
    {ROUTER(
         "    rules: [{ host: '*.a.org', group: old }, { host: b.a.org, path: /x, group: new }]\n"),
     "t:7:46: warning: rule \"#2\" can never match: rule \"#1\" at t:7:13 takes all of its "
     "requests"},
    {ROUTER("    rules: [{ path: /w, group: old }, { path: [/w/api.php, /w/x/*], group: new }]\n"),
     "t:7:39: warning: rule \"#2\" can never match: rule \"#1\" at t:7:13 takes all of its "
     "requests"},
    {ROUTER("    split: { emergency: all-legacy }\n" RULES),
     "t:7:25: note: the emergency brake is on: all-legacy, whatever the shares say"},
    {ROUTER("    split: { wikis: [{ hosts: [a.org, a.org], k8s: 0% }] }\n" RULES),
     "t:7:39: note: \"a.org\" is listed twice at 0%, first at t:7:32"},

/* shadowed by value */
#define NEVER(place)                                                                               \
    "t:" place ": warning: rule \"#2\" can never match: rule \"#1\" at t:7:13 takes all of its "   \
    "requests"
    {ROUTER(
         "    rules: [{ header: { X: 'a*' }, group: old }, { header: { X: abc }, group: new }]\n"),
     NEVER("7:50")},
    {ROUTER(
         "    rules: [{ header: { X: '*' }, group: old }, { header: { x: 'a*' }, group: new }]\n"),
     NEVER("7:49")},
    {ROUTER(
         "    rules: [{ header: { X: [a, b] }, group: old }, { header: { X: b }, group: new }]\n"),
     NEVER("7:52")},
    {ROUTER("    rules: [{ cookie: { '*Session': '*' }, group: old },\n"
            "      { cookie: { enSession: a, b: c }, group: new }]\n"),
     NEVER("8:7")},
    {ROUTER("    rules: [{ query: { a: 'x*' }, group: old },\n"
            "      { query: { a: [xy, xz] }, path: /w, group: new }]\n"),
     NEVER("8:7")},
    {ROUTER("    rules: [{ unless_header: { X: abc }, group: old },\n"
            "      { unless_header: { X: 'a*' }, group: new }]\n"),
     NEVER("8:7")},
    {ROUTER("    rules: [{ host: [a.org, b.org, '*.c.org'], group: old },\n"
            "      { host: [b.org, x.c.org], group: new }]\n"),
     NEVER("8:7")},

    /* what looks like a pattern */
    {ROUTER("    rules: [{ path: '/w/(rest|api).php', group: old }]\n"),
     "t:7:21: warning: path \"/w/(rest|api).php\" looks like a pattern and is compared as it is "
     "written: a pattern begins with \"~\""},
    {ROUTER("    rules: [{ path: '/w/[a-z].php', group: old }]\n"),
     "t:7:21: warning: path \"/w/[a-z].php\" looks like a pattern and is compared as it is "
     "written: "
     "a pattern begins with \"~\""},
    {ROUTER("    rules: [{ path: '=/w/api[.]php$', group: old }]\n"),
     "t:7:21: warning: path \"=/w/api[.]php$\" looks like a pattern and is compared as it is "
     "written: a pattern begins with \"~\""},

    /* networks */
    {LISTENER("{ name: a, bind: '127.0.0.1:0', group: g, trusted_proxies: [10.1.2.3/8] }"),
     "t:3:65: warning: network \"10.1.2.3/8\" has bits set behind its prefix, so it means "
     "10.0.0.0/8"
     "; did you mean \"10.1.2.3\"?"},
    {LISTENER(
         "{ name: a, bind: '127.0.0.1:0', group: g, per_client: { exempt: '2001:db8::1/33' } }"),
     "t:3:69: warning: network \"2001:db8::1/33\" has bits set behind its prefix, so it means "
     "2001:db8::/33; did you mean \"2001:db8::1\"?"},

    /* shares that never apply */
    {ROUTER("    rules: [{ group: old }]\n    split: { default: 4% }\n"),
     "t:8:23: warning: the default share never applies: no rule leads to a service with legacy and "
     "k8s"},
    {ROUTER("    services: { web: { legacy: old, k8s: new } }\n"
            "    rules: [{ name: pin, host: a.org, group: old }, { service: web }]\n"
            "    split: { wikis: [{ hosts: [a.org, b.org], k8s: 100% }] }\n"),
     "t:9:32: warning: the share of \"a.org\" never applies: rule \"pin\" at t:8:13 takes all of "
     "its "
     "requests"},
    {ROUTER("    services: { web: { legacy: old, k8s: new } }\n"
            "    rules: [{ name: pin, host: '*.org', answer: 404 }, { service: web }]\n"
            "    split: { wikis: [{ hosts: [b.org, a.org, a.com], k8s: 100% }] }\n"),
     "t:9:32: warning: the share of \"b.org\" (and of 1 more here) never applies: rule "
     "\"pin\" "
     "at t:8:13 answers all of its requests"},
    {ROUTER("    rules: [{ path: /x, group: old }, { group: new }]\n"
            "    split: { wikis: [{ hosts: a.org, k8s: 100% }] }\n"),
     "t:8:31: warning: the share of \"a.org\" never applies: rule \"#2\" at t:7:39 takes all of "
     "its "
     "requests"},
    {ROUTER("    rules: [{ path: /x, group: old }]\n"
            "    split: { wikis: [{ hosts: a.org, k8s: 100% }] }\n"),
     "t:8:31: warning: the share of \"a.org\" never applies: no rule sends its requests to a "
     "service "
     "with legacy and k8s"},
};

/* What each of these gets wrong once is reported once, whatever follows from it. */
static const struct {
    const char *text, *want;
} single_causes[] = {
    {"listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
     "grups: { old: { endpoints: ['127.0.0.1:1'] }, new: { endpoints: ['127.0.0.1:2'] } }\n"
     "routers:\n  r:\n" RULES,
     "t:2:1: unknown key: \"grups\"; did you mean \"groups\"?"},
    {"listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
     "groups: []\n"
     "routers:\n  r:\n" RULES,
     "t:2:9: expected groups by name, got a list"},
    {"listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
     "routers:\n  r:\n" RULES,
     "t:1:1: \"groups\" is missing"},
    {"listeners: [{ name: a, bind: '127.0.0.1:0', router: r }]\n"
     "groups: { include: /nonexistent/groups.yaml }\n"
     "routers:\n  r:\n" RULES,
     "t:2:20: cannot read \"/nonexistent/groups.yaml\": No such file or directory"},
    {GROUP("{ endpoint: ['127.0.0.1:1'] }"),
     "t:3:8: unknown key: \"endpoint\"; did you mean \"endpoints\"?"},
    {ROUTER("    servces: { web: { legacy: old, k8s: new } }\n    rules: [{ service: web }]\n"),
     "t:7:5: unknown key: \"servces\"; did you mean \"services\"?"},
    {ROUTER("    services: { web: { legacy: old, k8s: new } }\n    rules: [{ servise: web }]\n"),
     "t:8:15: unknown key: \"servise\"; did you mean \"service\"?"},
    {ROUTER("    services: { web: { legcy: old, k8s: new } }\n    rules: [{ service: web }]\n"),
     "t:7:24: unknown key: \"legcy\"; did you mean \"legacy\"?"},
    {ROUTER(RULES "    split: { wikis: [{ wikis: [aawiki, abwiki, acwiki], k8s: 100% }] }\n"),
     "t:9:32: \"aawiki\" is a database name (a host has a dot), and there is no \"wikis: FILE\" "
     "that says which host it stands for (of 3 names in all)"},
    {ROUTER(RULES "    split: { wikis: [{ wikis: [aawiki, abwiki], k8s: 100% }] }\n"
                  "wikis: /nonexistent/wikis.txt\n"),
     "t:10:8: cannot read \"/nonexistent/wikis.txt\": No such file or directory"},
    {GROUP("{ hosts: { eqiad: a, codfw: b }, port: 1 }"),
     "t:3:17: unknown datacenter: \"eqiad\"; the configuration has no \"datacenters\""},
    {"listeners: [{ name: a, bind: '127.0.0.1:0', router: r }, { name: b, bind: '127.0.0.1:1', "
     "router: r }]\ngroups: { g: { endpoints: ['127.0.0.1:1'] } }\n",
     "t:1:53: unknown router: \"r\"; the configuration has no \"routers\""},
    {ROUTER(RULES "    split: { default: 20 }\n"),
     "t:9:23: invalid share: \"20\"; expected 0% to 100% (or 0 to 1) in steps of 0.001%"
     "; did you mean \"20%\"?"},
    {"listeners: [{ name: a, bind: '127.0.0.1:0', group: g }]\n"
     "groups: { g: &g { endpoints: ['127.0.0.1:1'], retries: x }, h: *g }\n",
     "t:2:56: invalid value: \"x\"; expected a number from 0 to 1000000000"},
};

static void one_cause_is_reported_once(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(single_causes); i++) {
        struct complaints complaints;
        complaints_init(&complaints);
        assert_null(config_load_text(str_of(single_causes[i].text), "t", &complaints));
        bool is_right = complaints.count == 1 && has_line(&complaints, single_causes[i].want);
        if (!is_right) {
            print_all(&complaints);
            fail_msg("wanted only: %s", single_causes[i].want);
        }
        complaints_deinit(&complaints);
    }
}

static struct config *load_and_review(const char *text, struct complaints *complaints)
{
    struct config *config = config_load_text(str_of(text), "t", complaints);

    if (config != NULL)
        config_review(config, complaints);
    return config;
}

static void what_is_only_odd_is_a_note(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
        struct complaints complaints;
        complaints_init(&complaints);
        struct config *config = load_and_review(notes[i].text, &complaints);
        if (config == NULL || !has_line(&complaints, notes[i].want)) {
            print_all(&complaints);
            fail_msg("wanted: %s", notes[i].want);
        }
        config_free(config);
        complaints_deinit(&complaints);
    }
}

static void rules_that_can_match_are_not_complained_about(void **state UNUSED)
{
    static const char *const texts[] = {
        ROUTER(
            "    rules: [{ path: /w/api.php, group: old }, { path: /w/api.phpx, group: new }]\n"),
        ROUTER("    rules: [{ path: '/w/*', group: old }, { path: /w, group: new }]\n"),
        ROUTER("    rules: [{ host: '*.a.org', group: old }, { host: a.org, group: new }]\n"),
        ROUTER("    rules: [{ method: POST, group: old }, { group: new }]\n"),
        ROUTER("    rules: [{ header: { A: b }, group: old }, { header: { A: c }, group: new }]\n"),
        ROUTER("    rules: [{ path: '=/w', group: old }, { path: /w, group: new }]\n"),
        ROUTER("    rules: [{ header: { X: abc }, group: old }, { header: { X: 'a*' }, group: new "
               "}]\n"),
        ROUTER("    rules: [{ header: { X: 'ab*' }, group: old }, { header: { X: 'a*' }, group: "
               "new }]\n"),
        ROUTER("    rules: [{ header: { X: 'a*' }, group: old }, { cookie: { X: abc }, group: new "
               "}]\n"),
        ROUTER(
            "    rules: [{ header: { X: a }, group: old }, { header: { X: '*' }, group: new }]\n"),
        ROUTER("    rules: [{ unless_header: { X: 'a*' }, group: old },\n"
               "      { unless_header: { X: abc }, group: new }]\n"),
        ROUTER("    rules: [{ cookie: { aSession: b }, group: old },\n"
               "      { cookie: { '*Session': b }, group: new }]\n"),
        ROUTER("    rules: [{ path: /w, group: old }, { path: /w/x, answer: 403 }]\n"),
        ROUTER("    rules: [{ path: '/wiki/Foo_(bar)', group: old }, { path: '/w/a%7Cb', group: "
               "new }]\n"),
        ROUTER("    services: { web: { legacy: old, k8s: new } }\n"
               "    rules: [{ path: /x, host: a.org, group: old }, { host: '~a[.].*', service: web "
               "},\n"
               "      { host: a.org, group: old }]\n"
               "    split: { wikis: [{ hosts: a.org, k8s: 100% }] }\n"),
        ROUTER(
            "    services: { web: { legacy: old, k8s: new } }\n"
            "    rules: [{ service: web, host: a.org, method: GET }, { host: a.org, group: old }]\n"
            "    split: { wikis: [{ hosts: a.org, k8s: 100% }] }\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct complaints complaints;
        complaints_init(&complaints);
        struct config *config = load_and_review(texts[i], &complaints);
        print_all(&complaints);
        assert_non_null(config);
        assert_int_equal(complaints.count, 0);
        config_free(config);
        complaints_deinit(&complaints);
    }
}

/* Each level doubles the one before: 2^40 items, if anybody counted them one by one. */
static void a_billion_laughs_are_refused(void **state UNUSED)
{
    char text[4096];
    size_t len = (size_t)snprintf(text, sizeof(text), "a0: &a0 [x, x]\n");
    struct complaints complaints;

    for (int i = 1; i < 40; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "a%d: &a%d [*a%d, *a%d]\n", i, i,
                                i - 1, i - 1);
    complaints_init(&complaints);
    assert_null(config_load_text(str_make(text, len), "t", &complaints));
    complaints_deinit(&complaints);
}

static void deep_nesting_is_refused(void **state UNUSED)
{
    char text[2001];
    struct complaints complaints;

    for (size_t depth = 33; depth <= 2000; depth += 983) {
        memset(text, '[', depth);
        complaints_init(&complaints);
        assert_null(config_load_text(str_make(text, depth), "t", &complaints));
        assert_true(complaints.error_count > 0);
        complaints_deinit(&complaints);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_place),
        cmocka_unit_test(all_errors_are_reported_at_once_in_file_order),
        cmocka_unit_test(one_cause_is_reported_once),
        cmocka_unit_test(what_is_only_odd_is_a_note),
        cmocka_unit_test(rules_that_can_match_are_not_complained_about),
        cmocka_unit_test(a_billion_laughs_are_refused),
        cmocka_unit_test(deep_nesting_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
