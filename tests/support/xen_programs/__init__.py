"""The program that asks libvirt, for Xen hosts: their hypervisor doesn't run here."""

PROGRAMS = "tests.support.xen_programs"
