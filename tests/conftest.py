"""The fixtures that any test may ask for."""

pytest_plugins = [
    "tests.support.redis",
    "tests.support.database",
    "tests.support.hosts",
    "tests.support.sshd",
    "tests.support.running_api",
    "tests.support.selection",
]
