"""The stand-in service, for every test of the command."""

from tests.support.api_stand_in import stand_in

__all__ = ["stand_in"]
