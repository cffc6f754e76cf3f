"""Starts ``ui_child`` as the console starts: its modules are loaded as the command loads them."""

from console.loading import loading

with loading():
    from tests.bench.ui_child import main

if __name__ == "__main__":
    main()
