"""Keys pressed faster than a prompt opens still go to the prompt."""

from __future__ import annotations

from textual import events
from textual.app import App

from screens.prompt import PromptLine


class TypeAheadApp(App[None]):
    """An App in which ``/web`` filters for ``web`` even when it arrives in one piece.

    A key is sent to what has the focus when it arrives. Letters that arrive together with the key
    that opens a prompt reach the list before that, and would act as commands there.
    """

    async def on_event(self, event: events.Event) -> None:
        """Hand a key that comes back unused to a prompt that has opened meanwhile."""
        if isinstance(event, events.Key) and event.is_forwarded:
            prompt = self.focused
            if isinstance(prompt, PromptLine) and not prompt.has_met(event):
                # A copy, for one that has bubbled up here would not bubble again.
                prompt._forward_event(events.Key(event.key, event.character))
                return
        await super().on_event(event)
