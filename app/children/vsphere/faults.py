"""Tells what pyvmomi raises in our words."""

import contextlib
import ssl
from collections.abc import Iterator
from http.client import HTTPException
from xml.parsers.expat import ExpatError

from pyVmomi import vim, vmodl

from app.children.answering import ChildError, Code

DENIED = (vim.fault.NoPermission, vim.fault.RestrictedVersion)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Raises ChildError for everything that a server, or the way to it, is known to do."""
    try:
        yield
    except vmodl.MethodFault as error:
        raise ChildError(*_fault(error)) from error
    except TimeoutError as error:
        raise ChildError(Code.TIMEOUT, "The server did not answer in time.") from error
    except ssl.SSLError as error:
        raise ChildError(Code.FAILED, f"TLS with the server failed: {error.reason}.") from error
    except OSError as error:
        raise ChildError(Code.UNREACHABLE, f"The server can't be reached: {error}.") from error
    except HTTPException as error:
        raise ChildError(Code.UNREACHABLE, f"The server's answer can't be used: {error!r}.") from error
    except ExpatError as error:
        raise ChildError(Code.FAILED, "The server's answer is no SOAP: is it a vCenter or ESXi?") from error


def _fault(error: vmodl.MethodFault) -> tuple[Code, str]:
    said = getattr(error, "msg", None) or type(error).__name__.rpartition(".")[2]
    if isinstance(error, vim.fault.InvalidLogin):
        return Code.AUTHENTICATION_FAILED, f"The server refused the user name or password: {said}"
    if isinstance(error, vim.fault.NotAuthenticated):
        return Code.FAILED, "The server ended the session twice while it was used."
    if isinstance(error, DENIED):
        return Code.PERMISSION_DENIED, _denied(error, said)
    if isinstance(error, vmodl.fault.ManagedObjectNotFound):
        return Code.VM_NOT_FOUND, "The server has no such object, or doesn't show it to this user."
    return Code.FAILED, f"The server said: {said}"


def _denied(error: vmodl.MethodFault, said: str) -> str:
    privilege = getattr(error, "privilegeId", None)
    return f"The user lacks the privilege {privilege}." if privilege else f"The server refused: {said}"
