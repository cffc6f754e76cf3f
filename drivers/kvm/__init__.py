"""The libvirt driver: real hosts, and libvirt's own test driver."""
