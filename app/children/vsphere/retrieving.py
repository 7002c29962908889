"""Retrieves properties of many objects with a number of round trips that doesn't grow with theirs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyVmomi import vim, vmodl

from app.children.vsphere.session import Session

PAGE_OBJECTS: Final = 1000
"""Asked for; a server may answer with fewer."""

Properties = Mapping[type, Sequence[str]]
"""The names of the wanted properties, by class; what holds for a class holds for those that come from it."""


@dataclass(frozen=True)
class Found:
    """An object and those of its properties that are set, and that the user may see."""

    reference: Any
    properties: Mapping[str, Any]

    def get(self, name: str) -> Any:
        return self.properties.get(name)


def below_root(session: Session, properties: Properties) -> Iterator[Found]:
    """All objects of these classes in the inventory: one view, one traversal."""
    kinds = list(properties)
    view = session.content.viewManager.CreateContainerView(session.content.rootFolder, kinds, True)
    collector = vmodl.query.PropertyCollector
    through = collector.TraversalSpec(name="view", type=vim.view.ContainerView, path="view", skip=False)
    start = collector.ObjectSpec(obj=view, skip=True, selectSet=[through])
    yield from _retrieved(session, start, properties)
    view.DestroyView()


def around(session: Session, reference: Any, properties: Properties) -> Iterator[Found]:
    """A VM, and what it belongs to: its folders, its host, what those are in, its networks."""
    collector = vmodl.query.PropertyCollector

    def way(name: str, kind: type, path: str, *further: str) -> Any:
        then = [collector.SelectionSpec(name=each) for each in further]
        return collector.TraversalSpec(name=name, type=kind, path=path, skip=False, selectSet=then)

    ways = [
        way("up", vim.ManagedEntity, "parent", "up"),
        way("app", vim.VirtualMachine, "parentVApp", "up", "app_folder"),
        way("app_folder", vim.VirtualApp, "parentFolder", "up"),
        way("host", vim.VirtualMachine, "runtime.host", "up"),
        way("networks", vim.VirtualMachine, "network"),
    ]
    start = collector.ObjectSpec(obj=reference, skip=False, selectSet=ways)
    return _retrieved(session, start, properties)


def _retrieved(session: Session, start: Any, properties: Properties) -> Iterator[Found]:
    collector = vmodl.query.PropertyCollector
    wanted = [collector.PropertySpec(type=kind, pathSet=list(names)) for kind, names in properties.items()]
    spec = collector.FilterSpec(objectSet=[start], propSet=wanted)
    server = session.content.propertyCollector
    page = server.RetrievePropertiesEx([spec], collector.RetrieveOptions(maxObjects=PAGE_OBJECTS))
    while page is not None:
        for found in page.objects:
            yield Found(found.obj, {each.name: each.val for each in found.propSet})
        page = server.ContinueRetrievePropertiesEx(page.token) if page.token else None
