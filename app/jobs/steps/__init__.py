"""The steps of an import, in order. A new step is one file and one line here."""

from app.jobs.step import Step
from app.jobs.steps.choose_proxy_host import ChooseProxyHost
from app.jobs.steps.convert_disks import ConvertDisks
from app.jobs.steps.prepare_host import PrepareHost
from app.jobs.steps.read_config import ReadConfig
from app.jobs.steps.release_target import ReleaseTarget
from app.jobs.steps.reserve_target import ReserveTarget
from app.jobs.steps.update_target import UpdateTarget
from app.jobs.steps.verify_output import VerifyOutput

STEPS: tuple[Step, ...] = (
    ChooseProxyHost(),
    ReadConfig(),
    PrepareHost(),
    ReserveTarget(),
    ConvertDisks(),
    VerifyOutput(),
    UpdateTarget(),
    ReleaseTarget(),
)
