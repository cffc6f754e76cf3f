"""What is said of post-copy before: its risk, and whether there is a way back. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.model.job import Check, Verdict

_HANGS = "a QEMU that waits there for memory answers no recovery (seen with 7.2)"

_UNNOTICED = (
    "where the QEMU there does not notice the break (its guest waits for a page that it asked for "
    "before), once its old connection is ended by hand"
)


def _way_back(no_way_back: str, main_thread: Sequence[str] | None) -> tuple[str, str]:
    """(whether a broken switch can be recovered, and how to make it so) in words."""
    if no_way_back:
        return f"to recover it {no_way_back}", ""
    if main_thread is None:
        return f"whether it can be recovered after depends on its devices; {_HANGS}", ""
    if not main_thread:
        told = "it can be recovered after: QEMU's main thread serves none of its devices"
        return f"{told}; {_UNNOTICED}", ""
    works = ", ".join(main_thread)
    fix = "give its disks iothreads and its cards vhost, and take the balloon's statistics away"
    return (
        f"it can be recovered after only by luck: QEMU's main thread works on its memory for "
        f"{works}, and {_HANGS}"
    ), fix


def post_copy_check(name: str, no_way_back: str, main_thread: Sequence[str] | None) -> Check:
    """What post-copy puts at risk, said before.

    Args:
        no_way_back: Why a broken post-copy migration could not be recovered; empty where it could.
        main_thread: What of the guest QEMU's main thread serves; None where it was not read.
    """
    back, remedy = _way_back(no_way_back, main_thread)
    fix = "leave post-copy out for guests that must not be lost"
    return Check(
        "post-copy",
        Verdict.WARN,
        f"once switched to post-copy, {name} stops if the link or either host fails before all "
        "memory has arrived",
        f"neither host then holds the whole memory; {back}",
        f"{fix}, or {remedy}" if remedy else fix,
    )
