"""virt-v2v as data: what a binary can do, its command line, its output. Pure: no I/O."""
