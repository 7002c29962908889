"""Readers and writers of VM descriptions. Pure; what comes from outside is taken for hostile."""
