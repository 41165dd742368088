"""Random routers, and random requests that come close to their conditions."""

HOSTS = ["en.wiki.example", "de.wiki.example", "commons.example", "a.b.example", "[2001:db8::1]", "test.example"]
STRANGE_HOSTS = ["a..b", "-", "%65n.wiki.example", "en.wiki.example:99999", "1.2.3.4", "nobody.example", "x_y.example"]
SEGMENTS = ["wiki", "w", "api.php", "admin", "Special:Export", "a|b", '"q"', "Ä", "ö", "100%", "AC/DC", "a b", "x(y)", "c:"]
METHODS = ["GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "PURGE", "DELETE", "REPORT"]
HEADERS = {
    "X-A": ["1", "2", "one, two", "long value"],
    "Authorization": ["CentralAuthToken abc", "centralauthtoken x", "Basic y"],
    "Host": ["en.wiki.example", "De.Wiki.Example", "commons*", "a.b.example"],
    "Accept": ["text/html", "*/*"],
    "User-Agent": ["curl/8", "Mozilla/5.0 (X)"],
    "Cookie": ["a=1", "UseDC=master; a=1"],
    "TE": ["trailers"],
    "X-Request-Id": ["r1"],
    "X-Forwarded-For": ["192.0.2.7", "2001:db8::7", "203.0.113.7:1234", "[2001:db8::1]:47", "192.0.2.1,,127.0.0.1", "?"],
    "Forwarded": ["for=192.0.2.5", 'for="[2001:db8::5]:80";proto=https'],
    "X_Odd": ["1"],
    "X-Client-Cert-Verified": ["true"],
    "Proxy-Authorization": ["Basic z"],
    "Content-Type": ["text/plain"],
}
# What HTTP/2 does not have.
H1_HEADERS = {
    "Upgrade": ["h2c", "websocket"],
    "Connection": ["close, X-A", "keep-alive", "X-A", "te, upgrade"],
    "Keep-Alive": ["timeout=5"],
    "Proxy-Connection": ["keep-alive"],
    "HTTP2-Settings": ["AAMAAABkAAQAAP__"],
}
COOKIES = {"UseDC": ["master", "other"], "enwikiSession": ["x"], "uid": ["7", "8", "9"], "a": ["1", "2"]}
PARAMS = {"action": ["rollback", "raw"], "title": ["Special:OAuth/token", "Ä", "C++", "a b"], "n[]": ["a|b&c"], "x": [""]}


def escaped(byte, rng):
    return rng.choice(["%%%02x", "%%%02X"]) % byte


def quoted(text, rng, keep, chance):
    """`text` as UTF-8 with what must be escaped, and by chance more."""
    out = []
    for byte in text.encode():
        plain = 0x20 < byte < 0x7F and chr(byte) in keep
        out.append(chr(byte) if plain and rng.random() > chance else escaped(byte, rng))
    return "".join(out)


VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
IN_PATH = "".join(c for c in VISIBLE if c not in "%?#/")
IN_QUERY = "".join(c for c in VISIBLE if c not in "%#&=+")


# --- routers -----------------------------------------------------------------------------------------


def rule_path(rng):
    """A path as a rule has it: in UTF-8 or with escapes, of one of the four kinds."""
    if rng.random() < 0.15:
        return "~" + rng.choice(["/w/(api|rest)[.]php", "/.*[|].*", "/wiki/Ä.*", "/(wiki|admin)/[^/]*", "/.*%2f.*", "/a%7Cb"])
    parts = [rng.choice(SEGMENTS) for _ in range(rng.randint(1, 3))]
    raw = []
    for part in parts:
        part = part.replace("/", "%2F") if rng.random() < 0.7 else part
        part = part.replace("100%", "100%25").replace(" ", "%20")
        raw.append(part if rng.random() < 0.6 else part.replace("|", "%7c").replace(":", "%3A").replace("Ä", "%c3%84"))
    path = "/" + "/".join(raw)
    return rng.choice(["%s", "%s", "%s/*", "=%s", "=%s/"]) % path


def condition_value(rng, value):
    return rng.choice([value, value, "*", value[: len(value) // 2] + "*"])


def conditions(rng):
    made = {}
    if rng.random() < 0.4:
        made["host"] = rng.sample(HOSTS + ["*.wiki.example", "*.example", "~(en|de)[.].*"], rng.randint(1, 2))
    if rng.random() < 0.7:
        made["path"] = [rule_path(rng) for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.25:
        made["method"] = rng.sample(METHODS[2:], rng.randint(1, 3))
    for key, pool in (("header", {**HEADERS, **H1_HEADERS}), ("cookie", COOKIES), ("query", PARAMS)):
        for key in (key, "unless_" + key):
            if rng.random() < (0.25 if key in ("header", "cookie", "query") else 0.1):
                name = rng.choice(sorted(pool))
                value = rng.choice(pool[name])
                if key.endswith("query") and rng.random() < 0.3:
                    value = quoted(value, rng, IN_QUERY, 0.3).replace("%2a", "*").replace("%2A", "*")
                made[key] = {name: value if "*" in value else condition_value(rng, value) or "*"}
    if "cookie" in made and rng.random() < 0.3:
        made["cookie"] = {"*Session": "*"}
    return made


def rewrites(rng):
    """What a rule makes of path and host."""
    made = {}
    if rng.random() < 0.3:
        path = rng.choice(["/new/${rest}", "/${host}${path}", "/${method}/${rest}/${header:X-A}", "/fixed"])
        rewrite = {"path": path} if rng.random() < 0.8 else {"host": "other.example"}
        if rng.random() < 0.3:
            rewrite["when"] = {"path": rng.choice(["/wiki/*", "/w", "/admin", "/Ä"])}
        made["rewrite"] = rewrite
    if rng.random() < 0.2:
        made["normalize"] = {"decode": rng.choice([":@|", ":/", "!$()"]), "encode": rng.choice(["[]", "&'+="])}
    return made


def action(rng):
    kind = rng.random()
    if kind < 0.35:
        return {"answer": rng.choice([403, 404, 451, 410, {"status": 302, "location": "/"}, 200])}
    return dict(rewrites(rng), service=rng.choice(["plain", "split", "mixed", "local"]))


def router(rng):
    rules = [dict(conditions(rng), **action(rng)) for _ in range(rng.randint(3, 9))]
    if rng.random() < 0.85:
        rules.append({"service": rng.choice(["split", "plain", "local"])})
    for i, rule in enumerate(rules):
        rule["name"] = "r%d" % i
        rule["headers"] = {"always": {"set": {"X-Rule": rule["name"]}}}
    made = {
        "services": {
            "plain": "g0",
            "split": {"legacy": "g1", "k8s": "g2"},
            "mixed": {"groups": {"g3": "40%", "g4": "60%"}},
            "local": {"group": "g1", "multi_dc": True, "debug": True},
        },
        "rules": rules,
        "split": {
            "default": rng.choice(["0%", "30%", "100%"]),
            "wikis": [
                {"hosts": rng.sample([h for h in HOSTS if h[0] != "["], 2), "k8s": rng.choice(["50%", "0%", "12.5%"])}
            ],
        },
        "sticky": {"key": rng.sample(["cookie:uid", "header:X-A", "header:Host", "header:Cookie"], rng.randint(0, 2)) + ["client-ip"]},
        "multi_dc": {"mode": rng.choice(["local", "local-anon", "primary"]), "share": rng.choice(["100%", "60%"])},
        "headers": {
            "always": {
                "set": {"X-Decision": "${service} ${side} ${group} ${datacenter} ${share} ${bucket} ${why}"},
            }
        },
    }
    if rng.random() < 0.8:
        made["multi_dc"]["primary_if"] = [dict(conditions(rng), name="p%d" % i) for i in range(rng.randint(1, 4))]
        for one in made["multi_dc"]["primary_if"]:
            if len(one) == 1:
                one["method"] = ["POST"]
    if rng.random() < 0.5:
        made["debug"] = {"backends": {"dbg": "g4", "few": {"group": "g3", "hosts": ["test.example"]}}}
        if rng.random() < 0.5:
            made["debug"]["cookie"] = "dbg"
    if rng.random() < 0.2:
        made["headers"]["request"] = {"remove_untrusted": rng.sample(["User-Agent", "Accept", "Cookie"], 1)}
    if rng.random() < 0.25:
        made["normalize_path"] = "forward"
    if rng.random() < 0.25:
        made["unknown_host"] = rng.choice(["404", "421"])
    return made


def listener(rng):
    """The settings of a listener for the fields of clients."""
    made = {}
    if rng.random() < 0.5:
        made["trusted_proxies"] = ["127.0.0.0/8"]
    if rng.random() < 0.4:
        made["odd_names"] = rng.choice(["keep", "reject", "drop"])
    if rng.random() < 0.2:
        made["encoded_controls"] = rng.choice(["pass", "reject"])
    if rng.random() < 0.2:
        made["raw_utf8"] = rng.choice(["encode", "reject"])
    if rng.random() < 0.2:
        made["keep_untrusted"] = ["X-Request-Id"]
    if rng.random() < 0.3:
        made["headers"] = {"request": {"remove_untrusted": rng.sample(["X-A", "Cookie", "Authorization"], 2)}}
    return made


# --- requests ----------------------------------------------------------------------------------------


def request_host(rng, wanted):
    host = rng.choice(wanted) if wanted and rng.random() < 0.7 else rng.choice(HOSTS)
    if rng.random() < 0.05:
        return rng.choice(STRANGE_HOSTS)
    if host[0] == "~":
        host = rng.choice(["en.", "de.", "fr."]) + "any.example"
    host = host.replace("*.", rng.choice(["en.", "x.y.", "m."]))
    if host.count(".") == 2 and rng.random() < 0.15:
        host = host.replace(".", ".m.", 1)
    if rng.random() < 0.3:
        host = "".join(rng.choice([c, c.upper()]) for c in host)
    if host[0] != "[" and rng.random() < 0.15:
        host += "."
    return host + (rng.choice([":80", ":443", ":8080", ":"]) if rng.random() < 0.2 else "")


def request_path(rng, wanted):
    """Near the path of a rule: other escapes, dots, doubled and hidden slashes, a tail."""
    path = rng.choice(wanted) if wanted and rng.random() < 0.8 else "/" + rng.choice(SEGMENTS).replace("/", "%2F")
    if path[0] == "~":
        path = rng.choice(["/w/api.php", "/x|y", "/wiki/Ä", "/admin/x", "/a%2Fb", "/a|b"])
    path = path.lstrip("=")
    if path.endswith("/*"):
        path = path[:-1] + rng.choice(SEGMENTS).replace("/", "%2f")
    chance = rng.choice([0, 0, 0.1, 0.6])
    pieces = []
    for piece in path.replace("%25", "\x01").replace("%2F", "\x02").replace("%2f", "\x02").split("/")[1:]:
        piece = piece.replace("%20", " ").replace("%7c", "|").replace("%3A", ":").replace("%c3%84", "Ä")
        parts = piece.replace("\x01", "%").split("\x02")
        text = rng.choice(["%2F", "%2f"]).join(quoted(part, rng, IN_PATH, chance) for part in parts)
        pieces.append(text if rng.random() < 0.95 else text.replace("%25", "%"))
    if rng.random() < 0.3:
        extra = [".", "..", "", "%2e", "%2E%2e", ".%2e", "x", "x;y", ";y", "..;", "\\", "x%2Fy", "%5c", "a%252Fb", "%", "%zz", "x%09", "%0a", "a%0Db",
                 "%7F", ".%09.", "%00"]
        for _ in range(rng.randint(1, 3)):
            pieces.insert(rng.randint(0, len(pieces)), rng.choice(extra))
    if rng.random() < 0.2:
        pieces.append(rng.choice(["", "tail", "%C3%84"]))
    target = ""
    for piece in pieces:
        target += (rng.choice(["%2F", "%2f", "\\", "%5C", "//"]) if rng.random() < 0.06 else "/") + piece
    if not target.startswith("/"):
        target = "/" + target
    if rng.random() < 0.1:  # as some clients send it
        for escape, plain in (("%C3%84", "Ä"), ("%c3%84", "Ä"), ("%C3%B6", "ö"), ("%c3%b6", "ö")):
            target = target.replace(escape, plain)
    return target if rng.random() < 0.97 else target.swapcase()


def request_query(rng, wanted):
    pairs = []
    names = list(wanted) if rng.random() < 0.8 else []
    for name in names + rng.sample(sorted(PARAMS), rng.choice([0, 0, 1])):
        value = rng.choice(PARAMS[name])
        chance = rng.choice([0, 0.5])
        text = quoted(value, rng, IN_QUERY, chance)
        if rng.random() < 0.5:
            text = text.replace("%20", "+")
        pairs.append(quoted(name, rng, IN_QUERY, chance) + ("=" + text if value or rng.random() < 0.5 else ""))
    rng.shuffle(pairs)
    if pairs and rng.random() < 0.2:
        pairs.append(rng.choice(["", "%", "action=%zz", "x=/../%2F", "title=Special%3AOAuth%2Ftoken"]))
    return "?" + "&".join(pairs) if pairs or rng.random() < 0.05 else ""


def request_fields(rng, wanted_headers, wanted_cookies, is_h1_only, has_debug):
    fields = []
    pool = {**HEADERS, **(H1_HEADERS if is_h1_only else {})}
    names = [n for n in wanted_headers if rng.random() < 0.7] + rng.sample(sorted(pool), rng.choice([0, 0, 1, 2]))
    for name in names:
        if name in ("Host", "Cookie") or name not in pool or (name != "X-A" and name in [n for n, _ in fields]):
            continue
        for _ in range(2 if name == "X-A" and rng.random() < 0.3 else 1):
            fields.append((name, rng.choice(pool[name])))
    cookies = []
    for name in [n for n in wanted_cookies if n in COOKIES and rng.random() < 0.7] + rng.sample(sorted(COOKIES), rng.choice([0, 0, 1, 2])):
        cookies.append("%s=%s" % (name, rng.choice(COOKIES[name])))
    if has_debug and rng.random() < 0.2:
        value = rng.choice(["dbg", "backend=dbg; log", "backend=few", "nothing", "backend=dbg%3B log"])
        if rng.random() < 0.3:
            cookies.append("dbg=" + value.replace(";", "%3B").replace(" ", "%20"))
        else:
            fields += [("X-Wikimedia-Debug", value)] * rng.choice([1, 1, 1, 2, 3])
    if cookies and rng.random() < 0.3:
        fields += [("Cookie", cookie) for cookie in cookies]
    elif cookies:
        fields.append(("Cookie", "; ".join(cookies)))
    rng.shuffle(fields)
    return fields


def request(rng, made):
    """(method, host, target, fields, whether HTTP/2 can say it); without host it is HTTP/1.0"""
    one = rng.choice(made["rules"] + made["multi_dc"].get("primary_if", []))
    is_h1_only = rng.random() < 0.2
    headers = [n for key in ("header", "unless_header") for n in one.get(key, {})]
    cookies = [n.lstrip("*") for key in ("cookie", "unless_cookie") for n in one.get(key, {})]
    params = [n for key in ("query", "unless_query") for n in one.get(key, {})]
    method = rng.choice(one["method"]) if "method" in one and rng.random() < 0.7 else rng.choice(METHODS)
    fields = request_fields(rng, headers, cookies, is_h1_only, "debug" in made)
    target = request_path(rng, one.get("path")) + request_query(rng, params)
    if rng.random() < 0.02:
        return method, None, target, fields, False
    return method, request_host(rng, one.get("host")), target, fields, not is_h1_only
