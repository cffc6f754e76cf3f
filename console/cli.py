"""The ``novacron`` command. Heavy libraries load only for the verb that needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from console.loading import loading

with loading():
    from console.config.load import ConfigError
    from console.headless.arguments import parse
    from console.headless.status import Exit, status_of
    from drivers.errors import DriverError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    args = parse(list(sys.argv[1:] if argv is None else argv))
    try:
        return _verb(args.command)(args)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return Exit.USAGE
    except DriverError as error:
        print(error, file=sys.stderr)
        return status_of(error.problem.code)
    except BrokenPipeError:
        sys.stderr.close()
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _verb(command: str) -> Callable[..., int]:
    from console.headless import verbs

    return verbs.VERBS[command]


if __name__ == "__main__":
    sys.exit(main())
