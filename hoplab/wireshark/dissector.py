# SPDX-License-Identifier: Apache-2.0
"""The Lua plugin for Wireshark and tshark: fields that speak of packets, hops and their fate.

What lives here: the plugin's text. What must not: files and folders (`install.py`), and the
comments themselves, which `recording.annotate` writes.

A kept run has a comment at each frame, in the language of whoever kept it. The plugin takes it
apart again. What is around the values is taken from the very templates that wrote it, in every
language that there is, so a comment is read by what made it and by nothing else:

    hoplab.packet     3           the packet's number in the story
    hoplab.hop        2           which link of its way the frame was on, from 1
    hoplab.hops       5           how many links its way has
    hoplab.from_port  s1-eth3     the interfaces at the ends of that link
    hoplab.to_port    r1-eth0
    hoplab.fate       ignored     lost, cut, unseen or ignored; no such field for any other frame
    hoplab.story      DNS question A www.itheima.com
    hoplab.asked      question    of an OpenFlow message about the packet: question or answer
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from hoplab.client import recording
from hoplab.sentences import Sentence

PROTOCOL = "hoplab"
FIELDS = {
    "packet": ("uint32", "Packet"),
    "hop": ("uint32", "Hop"),
    "hops": ("uint32", "Hops"),
    "from_port": ("string", "From"),
    "to_port": ("string", "To"),
    "fate": ("string", "Fate"),
    "story": ("string", "Story"),
    "asked": ("string", "Asked the controller"),
}
_CAPTURES = {
    "packet": "(%d+)", "hop": "(%d+)", "hops": "(%d+)", "copies": "(%d+)", "story": "(.*)",
    "from_port": "(%S+)", "to_port": "(%S-)", "node": "(%S+)",
}  # fmt: skip
_MAGIC = re.compile(r"([\^$()%.\[\]*+\-?])")

Translate = Callable[[str], str]


def _token(name: str) -> str:
    """What stands for a value while a template is filled in: no template has such characters."""
    return f"\x01{name}\x02"


def _pattern(text: str, names: list[str], *, end: str) -> str:
    """A Lua pattern for a filled-in template; the names of its captures are put into `names`."""
    parts = re.split("\x01([a-z_]+)\x02", text)
    pattern = "^"
    for place, part in enumerate(parts):
        if place % 2:
            names.append(part)
            pattern += _CAPTURES[part]
        else:
            pattern += _MAGIC.sub(r"%\1", part)
    return pattern + end


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _row(sentence: Sentence, tr: Translate, end: str, **fixed: str) -> str:
    """A row of the plugin's table: a pattern, the names of what it captures, what it means."""
    names: list[str] = []
    pattern = _pattern(tr(sentence), names, end=end)
    listed = ", ".join(map(_quoted, names))
    meanings = "".join(f", {key} = {_quoted(value)}" for key, value in fixed.items())
    return f"  {{ pattern = {_quoted(pattern)}, names = {{ {listed} }}{meanings} }},"


def _rows(tr: Translate) -> Iterable[str]:
    """The comments of one language, those with more in them first."""
    plain = [
        recording.frame_comment(
            _token("packet"), _token("story"), place, _token("from_port"), to_port
        )
        for place in (
            recording.place(_token("hop"), _token("hops"), _token("copies")),
            recording.place(_token("hop"), _token("hops")),
        )
        for to_port in (_token("to_port"), "")
    ]
    for comment in plain:
        for fate, sentence in recording.fates(comment, _token("node")).items():
            yield _row(sentence, tr, "$", fate=fate)
        yield _row(comment, tr, "$")
    for asked, sentence in recording.channel_comments(_token("packet"), _token("story")).items():
        yield _row(sentence, tr, "$", asked=asked)


def lua(languages: Iterable[Translate]) -> str:
    """The plugin. languages: each makes of a sentence that of its language."""
    rows: dict[str, None] = {}
    for tr in languages:
        rows.update(dict.fromkeys(_rows(tr)))
    fields = "\n".join(
        f"local f_{name} = ProtoField.{kind}({_quoted(f'{PROTOCOL}.{name}')}, {_quoted(title)})"
        for name, (kind, title) in FIELDS.items()
    )
    table = "\n".join(rows)
    return _LUA.format(
        protocol=PROTOCOL,
        fields=fields,
        names=", ".join(f"{name} = f_{name}" for name in FIELDS),
        all=", ".join(f"f_{name}" for name in FIELDS),
        rows=table,
    )


_LUA = """\
-- Written by `hoplab wireshark install`; `hoplab wireshark uninstall` removes it.
-- Fields of hoplab's story, read from the comments of a kept run's frames.

local story = Proto("{protocol}", "hoplab's story of this frame")
{fields}
story.fields = {{ {all} }}
local field_of = {{ {names} }}
local numbers = {{ packet = true, hop = true, hops = true }}
local comment = Field.new("frame.comment")

local comments = {{
{rows}
}}

local function read(text)
  for _, row in ipairs(comments) do
    local values = {{ text:match(row.pattern) }}
    if #values > 0 then
      return row, values
    end
  end
end

function story.dissector(buffer, pinfo, tree)
  for _, info in ipairs({{ comment() }}) do
    local row, values = read(tostring(info.value))
    if row then
      local branch = tree:add(story)
      for place, name in ipairs(row.names) do
        local value = numbers[name] and tonumber(values[place]) or values[place]
        if field_of[name] then
          branch:add(field_of[name], value):set_generated()
        end
      end
      if row.fate then branch:add(f_fate, row.fate):set_generated() end
      if row.asked then branch:add(f_asked, row.asked):set_generated() end
      return
    end
  end
end

register_postdissector(story)
"""
