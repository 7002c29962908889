"""Asks a libvirtd with QEMU's driver whatever it is told to ask Xen's; all else is the real program."""

from app.children import libvirt
from app.children.answering import Request, serve


def answer(request: Request) -> object:
    url = {**request["url"], "scheme": request["url"]["scheme"].replace("xen", "qemu"), "path": "/system"}
    return libvirt.answer({**request, "url": url})


if __name__ == "__main__":
    serve(answer)
