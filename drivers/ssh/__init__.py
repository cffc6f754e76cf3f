"""One authenticated SSH connection a host: sockets, commands, shells, metrics, SFTP."""
