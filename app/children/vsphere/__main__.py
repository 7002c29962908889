"""Answers one request about a vCenter or an ESXi host, and ends."""

from pyVmomi import vim

from app.children.answering import Request, serve
from app.children.vsphere.faults import told
from app.children.vsphere.listing import listed
from app.children.vsphere.machine import machine
from app.children.vsphere.session import Session, opened


def answer(request: Request) -> object:
    """A session that the server ended meanwhile is opened anew, once."""
    with told():
        try:
            return _answered(request)
        except vim.fault.NotAuthenticated:
            return _answered(request)


def _answered(request: Request) -> object:
    with opened(request) as session:
        match request["do"]:
            case "list":
                return listed(session)
            case "vm":
                return machine(session, request["vm_id"])
            case _:
                return _checked(session)


def _checked(session: Session) -> object:
    about = session.content.about
    return {"product": about.name, "version": f"{about.version} build-{about.build}"}


if __name__ == "__main__":
    serve(answer)
