"""The pool: one connection a host, the program in place, errors in our words."""

from pathlib import Path

from app.proxy.pool import ProxyPool
from tests.support.sshd import SshServer


async def test_the_agent_answers_over_ssh(sshd: SshServer, work_dir: Path) -> None:
    pool = ProxyPool()
    agent = await pool.agent(sshd.address(work_dir))
    probe = await agent.probe(virt_v2v_path="virt-v2v", environment={})
    await pool.close()
    assert probe.v2v_version.startswith("virt-v2v ")
    assert "input:ova" in probe.v2v_capabilities
