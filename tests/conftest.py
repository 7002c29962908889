"""The fixtures that any test may ask for."""

pytest_plugins = [
    "tests.support.redis",
    "tests.support.database",
    "tests.support.sshd",
    "tests.support.hosts",
    "tests.support.guest",
    "tests.support.running_api",
    "tests.support.api",
    "tests.support.selection",
    "tests.support.vcenter",
    "tests.support.libvirtd",
]
