"""The program that asks vCenter and ESXi, by way of pyvmomi: `python -m app.children.vsphere`."""
