"""A program that does what no good one does: `does` of the request says what."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HANGS_SECONDS = 600


def main() -> None:
    request = json.loads(sys.stdin.read())
    does = request["does"]
    if does == "dies":
        sys.stderr.write(f"the secret is {request['password']}\n")
        raise SystemExit(3)
    if does == "hangs":
        sleeper = subprocess.Popen(["sleep", str(HANGS_SECONDS)])
        Path(request["note"]).write_text(f"{os.getpid()} {sleeper.pid}")
        time.sleep(HANGS_SECONDS)
    if does == "floods":
        while True:
            sys.stdout.write("x" * 2**20)
    if does == "tells":
        sys.stdout.write(json.dumps({"ok": {"arguments": sys.argv[1:], "environment": dict(os.environ)}}))
    sys.stdout.write(request.get("says", ""))


if __name__ == "__main__":
    main()
