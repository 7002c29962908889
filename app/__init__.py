"""v2v-import-service: imports virtual machines with virt-v2v."""
