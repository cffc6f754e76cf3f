"""A practice fleet of real libvirtd, sshd and QEMU guests on this machine."""
