"""The program that runs on a proxy host: Python 3.7 or newer and its standard library, nothing else.

`proxy.program` packs this package into one file and `proxy.pool` puts it into the host's work directory.
Each run carries out one verb: a JSON request on standard input, `{"result": …}` or `{"code", "detail"}` on
standard output. Only `watch` stays. It imports nothing from outside this package.
"""
