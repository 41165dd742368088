/* Messages that readers of HTTP/1 disagree on, and what three of them say: weir, llhttp 8 and
 * llhttp 9 without the checks that weir puts around them. Where llhttp passes and weir fails, one
 * of the checks closes a gap. A new version of llhttp that answers otherwise is noticed here. */
#include "h1_compare.h"

#include <llhttp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum answer { PASSES, FAILS, WAITS };

struct probe {
    enum h1_kind kind;
    const char *name;
    struct str text;
    enum answer weir, llhttp_8, llhttp_9;
};

#define LINE(line) STR_INIT(line "\r\nHost: a\r\n\r\n")
#define GET(fields) STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n")
#define POST(fields) STR_INIT("POST / HTTP/1.1\r\nHost: a\r\n" fields "\r\n\r\n")
#define BODY(fields) POST(fields "\r\n\r\n0")
#define CHUNKED(body)                                                                              \
    STR_INIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" body)
#define OK(rest) STR_INIT("HTTP/1.1 200 OK\r\n" rest)

/* clang-format off */
static const struct probe probes[] = {
    /* what, text, answers of weir, of llhttp 8 and of llhttp 9 */
    {H1_REQUEST, "plain GET", GET("B: c"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "bare CR in value", GET("B: c\rd"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CR CR LF after value", GET("B: c\r"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "bare CR behind colon", GET("B: \rc"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "bare LF everywhere",
     STR_INIT("GET / HTTP/1.1\nHost: a\n\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "bare LF after request line",
     STR_INIT("GET / HTTP/1.1\nHost: a\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "bare LF after a field",
     STR_INIT("GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "bare LF after empty value", GET("B:\nC: d"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "bare LF as empty line",
     STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\n"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "CR LF CR x at end",
     STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\rx"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "lone CR at the end (wait)",
     STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r"), WAITS, WAITS, WAITS},
    {H1_REQUEST, "NUL in value", GET("B: c\000d"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CTL 0x01 in value", GET("B: c\001d"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "DEL in value", GET("B: c\177d"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "HTAB in value", GET("B: c\td"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "obs-text in value", GET("B: c\344d"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "NUL in Connection value", GET("Connection: clo\000se"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "DEL in TE list", BODY("Transfer-Encoding: chunked\177"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "obs-fold SP", GET("B: c\r\n d"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "obs-fold HTAB", GET("B: c\r\n\td"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "fold before value", GET("B:\r\n c"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "fold, all blank", GET("B: c\r\n  "), FAILS, PASSES, FAILS},
    {H1_REQUEST, "fold in last field", GET("B: c\r\nC: d\r\n e"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "folded TE", BODY("Transfer-Encoding:\r\n chunked"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "folded CL", POST("Content-Length: 0\r\n 0"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "space after request line (first line folded)",
     STR_INIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "tab after request line",
     STR_INIT("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "empty name", GET(": c"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "space before colon", GET("B : c"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "tab before colon", GET("B\t: c"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "space before colon, known name", POST("Content-Length : 0"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "no colon", GET("B"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "8-bit name", GET("B\344: c"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "slash in name", GET("B/C: d"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "NUL in name", GET("B\000C: d"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL twice equal",
     POST("Content-Length: 0\r\nContent-Length: 0"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL twice differing",
     POST("Content-Length: 0\r\nContent-Length: 1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL 0, 0", POST("Content-Length: 0, 0"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL +0", POST("Content-Length: +0"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL 0x0", POST("Content-Length: 0x0"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL empty", POST("Content-Length:"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL '0 0'", POST("Content-Length: 0 0"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL '0 ' (trailing SP)", POST("Content-Length: 0 "), PASSES, PASSES, PASSES},
    {H1_REQUEST, "CL '0\\t' (trailing HTAB)", POST("Content-Length: 0\t"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL 2^63", POST("Content-Length: 9223372036854775808"), FAILS, WAITS, WAITS},
    {H1_REQUEST, "CL 2^64", POST("Content-Length: 18446744073709551616"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL 00", POST("Content-Length: 00"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "CL -1", POST("Content-Length: -1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL then TE",
     BODY("Content-Length: 5\r\nTransfer-Encoding: chunked"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE then CL",
     BODY("Transfer-Encoding: chunked\r\nContent-Length: 5"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CL 0 and TE",
     BODY("Content-Length: 0\r\nTransfer-Encoding: chunked"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE chunked", BODY("Transfer-Encoding: chunked"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "TE CHUNKED", BODY("Transfer-Encoding: CHUNKED"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "TE chunked SP", BODY("Transfer-Encoding: chunked "), PASSES, PASSES, PASSES},
    {H1_REQUEST, "TE chunked HTAB", BODY("Transfer-Encoding: chunked\t"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE xchunked", BODY("Transfer-Encoding: xchunked"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE chunkedx", BODY("Transfer-Encoding: chunkedx"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE chunked twice (list)",
     BODY("Transfer-Encoding: chunked, chunked"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE chunked twice (lines)",
     BODY("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE identity, chunked",
     BODY("Transfer-Encoding: identity, chunked"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "TE gzip, chunked",
     BODY("Transfer-Encoding: gzip, chunked"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "TE gzip / chunked lines",
     BODY("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "TE chunked, identity",
     BODY("Transfer-Encoding: chunked, identity"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE chunked;a=b", BODY("Transfer-Encoding: chunked;a=b"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE \"chunked\"", BODY("Transfer-Encoding: \"chunked\""), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE , chunked", BODY("Transfer-Encoding: , chunked"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "TE chunked,", BODY("Transfer-Encoding: chunked,"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE x chunked", BODY("Transfer-Encoding: x chunked"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE empty", BODY("Transfer-Encoding:"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "TE identity", BODY("Transfer-Encoding: identity"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE VT chunked", BODY("Transfer-Encoding: \013chunked"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "TE in 1.0",
     STR_INIT("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     FAILS, PASSES, PASSES},
    {H1_REQUEST, "chunk ok", CHUNKED("1\r\nx\r\n0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "chunk 16 digits",
     CHUNKED("0000000000000001\r\nx\r\n0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "chunk 17 digits",
     CHUNKED("00000000000000001\r\nx\r\n0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "chunk 0 of 40 digits",
     CHUNKED("0000000000000000000000000000000000000000\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "chunk 2^64+1",
     CHUNKED("10000000000000001\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk 2^60 (then wait)",
     CHUNKED("1000000000000000\r\nx\r\n0\r\n\r\n"), FAILS, WAITS, WAITS},
    {H1_REQUEST, "chunk 0x1", CHUNKED("0x1\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk +1", CHUNKED("+1\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk -1", CHUNKED("-1\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk ' 1'", CHUNKED(" 1\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk '1 '", CHUNKED("1 \r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk '1\\t'", CHUNKED("1\t\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk empty size", CHUNKED("\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk size bare LF", CHUNKED("1\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk size CR CR LF", CHUNKED("1\r\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk size CR x", CHUNKED("1\rx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext ;a", CHUNKED("1;a\r\nx\r\n0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "ext ;a=b", CHUNKED("1;a=b\r\nx\r\n0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "ext ;a=\"b\"", CHUNKED("1;a=\"b\"\r\nx\r\n0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "ext ;a=\"\\\"\" (escape)",
     CHUNKED("1;a=\"\\\"\"\r\nx\r\n0\r\n\r\n"), PASSES, FAILS, PASSES},
    {H1_REQUEST, "ext two ;a=b;c=d", CHUNKED("1;a=b;c=d\r\nx\r\n0\r\n\r\n"), PASSES, FAILS, PASSES},
    {H1_REQUEST, "ext two ;a;c", CHUNKED("1;a;c\r\nx\r\n0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "ext ;a=\"b\";c",
     CHUNKED("1;a=\"b\";c\r\nx\r\n0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "ext bare ;", CHUNKED("1;\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext ;;a", CHUNKED("1;;a\r\nx\r\n0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "ext ;a;", CHUNKED("1;a;\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext ;a=b;", CHUNKED("1;a=b;\r\nx\r\n0\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "ext ;a=b;;", CHUNKED("1;a=b;;c\r\nx\r\n0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "ext ;a=\"b\";", CHUNKED("1;a=\"b\";\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext ;=b", CHUNKED("1;=b\r\nx\r\n0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "ext ;a=", CHUNKED("1;a=\r\nx\r\n0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "ext ;a=b\"c\"", CHUNKED("1;a=b\"c\"\r\nx\r\n0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "ext ;a=\"b\"c", CHUNKED("1;a=\"b\"c\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext unbalanced quote", CHUNKED("1;a=\"b\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext LF inside", CHUNKED("1;a\nb\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext LF in quotes", CHUNKED("1;a=\"\n\"\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext CTL", CHUNKED("1;a\001b\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext CTL in quotes",
     CHUNKED("1;a=\"\001\"\r\nx\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "ext DEL in quotes",
     CHUNKED("1;a=\"\177\"\r\nx\r\n0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "ext space '; a'", CHUNKED("1; a\r\nx\r\n0\r\n\r\n"), PASSES, FAILS, FAILS},
    {H1_REQUEST, "ext space 'a = b'", CHUNKED("1;a = b\r\nx\r\n0\r\n\r\n"), PASSES, FAILS, FAILS},
    {H1_REQUEST, "ext on last chunk", CHUNKED("1\r\nx\r\n0;a\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "chunk data w/o CRLF", CHUNKED("1\r\nx0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk data LF", CHUNKED("1\r\nx\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk data CR", CHUNKED("1\r\nx\r0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "chunk data spill", CHUNKED("1\r\nxy\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "trailer ok", CHUNKED("0\r\nB: c\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "trailer fold", CHUNKED("0\r\nB: c\r\n d\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "trailer bare LF", CHUNKED("0\r\nB: c\nD: e\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "trailer end bare LF", CHUNKED("0\r\nB: c\r\n\n"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "trailer CTL", CHUNKED("0\r\nB: \001\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "trailer CL", CHUNKED("0\r\nContent-Length: 5\r\n\r\n"), PASSES, PASSES, FAILS},
    {H1_REQUEST, "trailer TE",
     CHUNKED("0\r\nTransfer-Encoding: chunked\r\n\r\n"), PASSES, FAILS, FAILS},
    {H1_REQUEST, "trailer space before", CHUNKED("0\r\n B: c\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "trailer empty name", CHUNKED("0\r\n: c\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "HTTP/0.9 no version", STR_INIT("GET /\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "HTTP/0.9 with fields", LINE("GET /"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "version 0.9", LINE("GET / HTTP/0.9"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "version 1.2", LINE("GET / HTTP/1.2"), PASSES, FAILS, FAILS},
    {H1_REQUEST, "version 2.0", LINE("GET / HTTP/2.0"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "version 3.0", LINE("GET / HTTP/3.0"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "version 1.10", LINE("GET / HTTP/1.10"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "http/1.1", LINE("GET / http/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "RTSP/1.0", LINE("GET / RTSP/1.0"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "ICE/1.0 SOURCE", LINE("SOURCE / ICE/1.0"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "preface", STR_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "leading CRLF", LINE("\r\nGET / HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "leading LF", LINE("\nGET / HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "leading CR", LINE("\rGET / HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "leading SP", LINE(" GET / HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "two SP before target", LINE("GET  / HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "two SP before version", LINE("GET /  HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "SP after version", LINE("GET / HTTP/1.1 "), FAILS, FAILS, FAILS},
    {H1_REQUEST, "HTAB separators", LINE("GET\t/\tHTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CR in request line", LINE("GET / HTTP/1.1\r"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "get (lower case)", LINE("get / HTTP/1.1"), PASSES, FAILS, FAILS},
    {H1_REQUEST, "PURGE", LINE("PURGE / HTTP/1.1"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "PROPFIND", LINE("PROPFIND / HTTP/1.1"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "BAN", LINE("BAN / HTTP/1.1"), PASSES, FAILS, FAILS},
    {H1_REQUEST, "QUERY", LINE("QUERY / HTTP/1.1"), PASSES, FAILS, PASSES},
    {H1_REQUEST, "RECORD (rtsp word)", LINE("RECORD / HTTP/1.1"), PASSES, FAILS, FAILS},
    {H1_REQUEST, "GE(T", LINE("GE(T / HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CONNECT a:1", LINE("CONNECT a:1 HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "CONNECT /", LINE("CONNECT / HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "GET a:1 (authority form)", LINE("GET a:1 HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "OPTIONS *", LINE("OPTIONS * HTTP/1.1"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "GET *", LINE("GET * HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "OPTIONS *x", LINE("OPTIONS *x HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "absolute", LINE("GET http://a/x HTTP/1.1"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "absolute no path", LINE("GET http://a HTTP/1.1"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "absolute ?q", LINE("GET http://a?q HTTP/1.1"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "absolute userinfo", LINE("GET http://u@a/ HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "absolute other host", LINE("GET http://b/ HTTP/1.1"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "absolute [::1]",
     STR_INIT("GET http://[::1]/ HTTP/1.1\r\nHost: [::1]\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "absolute ftp", LINE("GET ftp://a/ HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "absolute h2c+x://", LINE("GET h2c+x://a/ HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "fragment", LINE("GET /#x HTTP/1.1"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "8-bit target", LINE("GET /\344 HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "CTL in target", LINE("GET /\001 HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "HTAB in target", LINE("GET /\tx HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "DEL in target", LINE("GET /\177 HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "FF in target", LINE("GET /\014 HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "quote,<>,|,{}^` in target",
     LINE("GET /\"<>|{}^` HTTP/1.1"), PASSES, PASSES, PASSES},
    {H1_REQUEST, "empty target", LINE("GET  HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "target ?", LINE("GET ? HTTP/1.1"), FAILS, FAILS, FAILS},
    {H1_REQUEST, "no Host", STR_INIT("GET / HTTP/1.1\r\nB: c\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "two Hosts", GET("Host: a"), FAILS, PASSES, PASSES},
    {H1_REQUEST, "1.0 bare LF, no fields", STR_INIT("GET / HTTP/1.0\n\n"), FAILS, PASSES, FAILS},
    {H1_REQUEST, "1.0 no fields", STR_INIT("GET / HTTP/1.0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_RESPONSE, "plain", OK("Content-Length: 0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_RESPONSE, "no phrase, SP",
     STR_INIT("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_RESPONSE, "no phrase, no SP",
     STR_INIT("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_RESPONSE, "LF",
     STR_INIT("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_RESPONSE, "LF no phrase",
     STR_INIT("HTTP/1.1 200\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_RESPONSE, "code 20",
     STR_INIT("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_RESPONSE, "code 0200",
     STR_INIT("HTTP/1.1 0200 OK\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_RESPONSE, "code 020",
     STR_INIT("HTTP/1.1 020 OK\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_RESPONSE, "code 2000",
     STR_INIT("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_RESPONSE, "code empty",
     STR_INIT("HTTP/1.1  OK\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_RESPONSE, "2 SP",
     STR_INIT("HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_RESPONSE, "200  OK",
     STR_INIT("HTTP/1.1 200  OK\r\nContent-Length: 0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_RESPONSE, "200OK",
     STR_INIT("HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_RESPONSE, "CTL in phrase",
     STR_INIT("HTTP/1.1 200 O\001K\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_RESPONSE, "NUL in phrase",
     STR_INIT("HTTP/1.1 200 O\000K\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_RESPONSE, "CR in phrase",
     STR_INIT("HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_RESPONSE, "1.2",
     STR_INIT("HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"), PASSES, FAILS, FAILS},
    {H1_RESPONSE, "2.0",
     STR_INIT("HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_RESPONSE, "leading CRLF",
     STR_INIT("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_RESPONSE, "fold", OK("Content-Length: 0\r\nB: c\r\n d\r\n\r\n"), FAILS, PASSES, FAILS},
    {H1_RESPONSE, "fold first", OK(" B: c\r\nContent-Length: 0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_RESPONSE, "CL twice",
     OK("Content-Length: 0\r\nContent-Length: 0\r\n\r\n"), PASSES, FAILS, FAILS},
    {H1_RESPONSE, "CL+TE",
     OK("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_RESPONSE, "TE gzip (eof)", OK("Transfer-Encoding: gzip\r\n\r\nx"), FAILS, PASSES, PASSES},
    {H1_RESPONSE, "TE chunked, gzip (eof)",
     OK("Transfer-Encoding: chunked, gzip\r\n\r\nx"), FAILS, PASSES, PASSES},
    {H1_RESPONSE, "TE chunked HTAB",
     OK("Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n"), FAILS, PASSES, PASSES},
    {H1_RESPONSE, "TE x2",
     OK("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     FAILS, PASSES, PASSES},
    {H1_RESPONSE, "1.0 TE",
     STR_INIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     FAILS, PASSES, PASSES},
    {H1_RESPONSE, "chunked ok",
     OK("Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_RESPONSE, "space before colon",
     OK("B : c\r\nContent-Length: 0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_RESPONSE, "RTSP",
     STR_INIT("RTSP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), FAILS, FAILS, FAILS},
    {H1_RESPONSE, "no fields", STR_INIT("HTTP/1.1 204 No\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_RESPONSE, "no fields, bare", STR_INIT("HTTP/1.1 204\r\n\r\n"), PASSES, PASSES, PASSES},
    {H1_RESPONSE, "no fields, LF", STR_INIT("HTTP/1.1 204\n\r\n"), FAILS, PASSES, FAILS},
    {H1_RESPONSE, "no fields, LF end", STR_INIT("HTTP/1.1 204 No\r\n\n"), FAILS, PASSES, FAILS},
};
/* clang-format on */

static const struct session_limits usual = {
    .max_header_bytes = 65536,
    .max_header_count = 128,
    .max_line_bytes = 16384,
    .max_uri_bytes = 8192,
    .max_chunk_extension_bytes = 4096,
    .allow_websocket = true,
};

/* --- weir ------------------------------------------------------------------------------------ */

static enum answer answer_of(const struct h1_comparison *c)
{
    if (c->ours_is_whole)
        return PASSES;
    return c->ours == REASON_NONE ? WAITS : FAILS;
}

/* In any pieces. */
static void weir_answers_each_probe_as_listed(void **state UNUSED)
{
    struct arena arena;

    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        const struct probe *p = &probes[i];
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct h1_comparison c = h1_compare(p->kind, p->text, METHOD_GET, &usual, seed, &arena);
            if (answer_of(&c) != p->weir)
                fail_msg("%s (seed %u): answer %d, %s", p->name, (unsigned)seed, (int)answer_of(&c),
                         reason_word(c.ours));
        }
    }
}

/* Laxer never, stricter only where h1_compare.c has a line for it. */
static void weir_is_as_strict_as_the_oracle(void **state UNUSED)
{
    struct arena arena;

    arena_init(&arena, NULL);
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        const struct probe *p = &probes[i];
        struct h1_comparison c = h1_compare(p->kind, p->text, METHOD_GET, &usual, i, &arena);
        if (c.verdict != H1_SAME && c.verdict != H1_STRICTER)
            fail_msg("%s: verdict %d: %s, the oracle %s", p->name, (int)c.verdict,
                     reason_word(c.ours), reason_word(c.theirs));
    }
}

/* --- llhttp alone ---------------------------------------------------------------------------- */

static bool is_whole;

static int on_message_complete(llhttp_t *parser UNUSED)
{
    is_whole = true;
    return 0;
}

static enum answer llhttp_alone(const struct probe *p)
{
    llhttp_settings_t settings;
    llhttp_t parser;

    is_whole = false;
    llhttp_settings_init(&settings);
    settings.on_message_complete = on_message_complete;
    llhttp_init(&parser, p->kind == H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    llhttp_errno_t error = llhttp_execute(&parser, p->text.ptr, p->text.len);
    if (error == HPE_OK && !is_whole && llhttp_message_needs_eof(&parser))
        (void)llhttp_finish(&parser);
    if (is_whole)
        return PASSES;
    return error == HPE_OK ? WAITS : FAILS;
}

static void llhttp_alone_answers_each_probe_as_listed(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        const struct probe *p = &probes[i];
        if (llhttp_alone(p) != (LLHTTP_VERSION_MAJOR == 8 ? p->llhttp_8 : p->llhttp_9))
            fail_msg("%s: answer %d", p->name, (int)llhttp_alone(p));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weir_answers_each_probe_as_listed),
        cmocka_unit_test(weir_is_as_strict_as_the_oracle),
        cmocka_unit_test(llhttp_alone_answers_each_probe_as_listed),
    };

    return cmocka_run_group_tests_name("h1_oracle_probes", tests, NULL, NULL);
}
