"""Programs that ask providers, each a process of its own that can be killed: libraries that block live here.

`python -m app.children.NAME` reads one request from standard input and writes one answer to standard output,
both JSON in UTF-8; nothing imports these modules. Secrets come on standard input and nowhere else, and no
answer, error or line on standard error may hold one. A program asks once: a refused password is never tried
again. The process, and whatever it started, is killed when it has answered or its deadline is over.

The request:

- `do`: `check`, `list` or `vm`; with `vm` also `vm_id`
- `url`: `{scheme, host, port, path, username}`, taken apart and checked; only local ones have no `port`
- `username`, `password`: of the provider; null where it has none
- `tls`: `{verify, ca_pem, thumbprint}`; with a thumbprint it alone counts, also where `verify` is true
- `options`: the kind's own
- `way`: how the peer is reached instead of by the URL's host and port, which stay the names to verify:
  `{kind: "direct"}`, `{kind: "http_connect", host, port, username, password}` (an HTTP proxy on loopback that
  connects to the URL's host and port alone) or `{kind: "socket", path}` (a Unix socket that is the peer's)
- `deadline_seconds`: when it is killed

The answer is `{"ok": …}`:

- `check`: `{product, version}`, either may be null
- `list`: `{vms: [ListedVm], round_trips}` (`app.models.source_vms`; how often the provider was asked, where
  that is known), none left out: one that can't be read is listed with
  `config.unreadable`
- `vm`: `{config: VmConfig, path}` (`app.models.vm`), `path` as in the list

or `{"error": {"code", "detail", …}}` with a code of `app.children.answering.Code`, a sentence for people, and
for certificates `offered_thumbprint`.
"""
