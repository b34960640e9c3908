"""Writes docs/hooks.md from the specifications: ``python -m gateway.hooks.document > docs/hooks.md``."""

from __future__ import annotations

import inspect
import re
import sys

from gateway.hooks.specs import OBSERVERS, REGISTER, STAGES, Specs

_INTRODUCTION = """\
# Hooks

<!-- Written by `make hooks-doc` from gateway/hooks/specs.py: edit there. -->

A plugin is a class or module behind an entry point of the group `gateway.plugins`; `contrib/plugin-template` is a whole
one. It marks its hooks with `@hookimpl`, and takes the arguments it wants, by name:

```python
from gateway.hooks import Address, Session, Verdict, hookimpl


class Quota:
    @hookimpl
    async def rcpt(self, session: Session, recipient: Address) -> Verdict | None:
        if await over_quota(recipient):
            return Verdict.defer("Mailbox is full, try again later", code=452, enhanced="4.2.2")
        return None
```

main.cf says which plugins run, in which order, and what happens when one fails:

```
plugins = access, { quota, timeout=5s, default_action=accept, data_default_action=tempfail }
```

**Order.** Restriction lists come before the plugins of a stage. Plugins are asked in the order of `plugins`. OK,
REJECT, DEFER and DISCARD end the stage; HOLD, FILTER, REDIRECT, BCC, PREPEND, INFO and WARN are noted, and the next
plugin is asked, as access(5) says. `postgate plugins` shows the chain of each stage.

**Sync or async.** A sync implementation is called inline and must not wait; one that does is interrupted at its
deadline. What waits is `async def`, or, when it needs a blocking library, a sync function with `@blocking` under
`@hookimpl`: it runs in a pool of `plugin_threads` threads.

**Failure.** An exception, a missed deadline, or an answer that is no Verdict is a failure: `default_action` decides
(`plugin_default_action`: tempfail, accept, reject, hold, shutdown, skip). Edits of that call are dropped. After
`plugin_breaker_failures` failures in a row the plugin is not asked for `plugin_breaker_reset`. Each failure is logged
with the plugin's name; the client sees a generic text.

**State.** `session.notes` lives as long as the connection, `session.transaction_notes` as long as the transaction; use
your plugin's name as key. One instance of a plugin class is made for each (re)load and process.

**Edits.** `data`, `queue` and `deliver` offer `edits`. Those of `data` and `queue` are applied once and stored; those
of `deliver` live for one attempt. The next plugin sees the message with the edits of those before it.
"""


def render() -> str:
    """The whole document."""
    parts = [_INTRODUCTION]
    for title, hooks in (("Register hooks", REGISTER), ("Stage hooks", STAGES), ("Observers", OBSERVERS)):
        parts.append(f"\n## {title}\n")
        parts += [_section(hook) for hook in hooks]
    return "".join(parts)


def _section(hook: str) -> str:
    function = getattr(Specs, hook)
    signature = inspect.signature(function)
    names = [name for name in signature.parameters if name != "self"]
    summary, _, slots = (inspect.getdoc(function) or "").partition("\n\n")
    typed = ", ".join(f"{name}: {signature.parameters[name].annotation}" for name in names)
    lines = [f"\n### `{hook}({', '.join(names)})`\n", f"\n{summary}\n", "\n| | |\n|---|---|\n"]
    lines.append(f"| types | `({typed}) -> {signature.return_annotation}` |\n".replace(" | None`", " \\| None`"))
    lines += [f"| {slot} | {text} |\n" for slot, text in _slots(slots)]
    return "".join(lines)


def _slots(text: str) -> list[tuple[str, str]]:
    """(slot, text) pairs of a docstring's lower part; several may share a line."""
    joined = re.sub(r"\s+", " ", text)
    names = "When|Result|Args|Async|Raises|Edits|Postfix|Source"
    return [(name, body.strip()) for name, body in re.findall(rf"({names}): +(.*?)(?=(?:{names}): |$)", joined)]


if __name__ == "__main__":
    sys.stdout.write(render())
