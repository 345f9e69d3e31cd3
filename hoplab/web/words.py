# SPDX-License-Identifier: Apache-2.0
"""What the player itself says, by key: buttons, headings, and one sentence for each moment.

What lives here: templates. Their braces are filled in by `static/caption.js` and its neighbours
from the scene's columns, so every number and address in them is that of a captured frame.
"""

from __future__ import annotations

from hoplab.sentences import Sentence, term

WORDS: dict[str, Sentence] = {
    # the head of the page
    "tag": term("en"),
    "skip": term("Skip to the player"),
    "language": term("Language"),
    "dark": term("Dark"),
    "light": term("Light"),
    "print": term("Page for print"),
    "back_to_player": term("Back to the player"),
    "help": term("Keys"),
    "close": term("Close"),
    "capture": term("Save the capture"),
    # the clock
    "play": term("Play"),
    "pause": term("Pause"),
    "forth": term("Forward"),
    "back": term("Back"),
    "start": term("To the start"),
    "end": term("To the end"),
    "speed": term("Speed"),
    "moment": term("Moment {k} of {n}"),
    "scrub": term("Moments of the run"),
    "time": term("{ms} ms (+{us} µs)"),
    "time_ms": term("{ms} ms (+{gap} ms)"),
    "play_step": term("Play this step"),
    "follow": term("Follow this packet"),
    "unfollow": term("Play all packets"),
    # a moment in a sentence
    "born": term("{a} makes #{n} and sends it to {b}: {title}"),
    "routed": term(
        "{a} makes a new frame for #{n}: MAC {x}→{y} becomes {u}→{v}, TTL {t}→{w}; IP {s}→{d} stays"
    ),
    "routed_plain": term("{a} makes a new frame for #{n}: MAC {x}→{y} becomes {u}→{v}"),
    "translated": term(
        "{a} makes a new frame for #{n}: MAC {x}→{y} becomes {u}→{v}, TTL {t}→{w}; "
        "IP {s}→{d} becomes {s2}→{d2}"
    ),
    "forwards": term("{a} sends #{n} on to {b}, the same bytes"),
    "sends_on": term("{a} sends #{n} on to {b}"),
    "changing": term("{text}; changed on the way through: {l}"),
    "changing_plain": term("{text}; changed on the way through"),
    "copies": term("{a} sends #{n} out of {m} ports: to {b}"),
    "ignoring": term("{text}; not for: {l}"),
    "ignoring_many": term("{text}; {l} of them ignore it"),
    "losing": term("{text}; lost on its way to {l}"),
    "asks": term("{a} has no answer for #{n} and asks the controller"),
    "answers": term("The controller answers {a} about #{n} after {ms} ms: {answer}"),
    "answers_bare": term("The controller answers {a} about #{n}"),
    "waiting": term("{text}. Waiting in {a}: #{l}"),
    "all_nodes": term("all"),
    # what became of a frame, at its end
    "got": term("arrived"),
    "card": term("not my MAC"),
    "software": term("not for me"),
    "lost": term("lost"),
    "unseen": term("not seen to arrive"),
    "cut": term("the capture ended"),
    "stopped": term("went no further"),
    "counted": term("from here on counted only"),
    "controller": term("controller"),
    # the panels
    "map": term("Map of the network"),
    "story": term("Story"),
    "comparison": term("Side by side"),
    "cable_bytes": term("Bytes on every cable"),
    "packets": term("Packets"),
    "sequence": term("Sequence"),
    "frame": term("Frame"),
    "filter": term("Filter, such as: tcp from client via r1"),
    "shown": term("{n} of {m}"),
    "filter_bad": term("{word} cannot stand there"),
    "why": term("why: {cause}"),
    "came_in": term("came in"),
    "went_out": term("went out"),
    "changed": term("changed"),
    "field": term("field"),
    "made_here": term("made here"),
    "stays_here": term("ends here"),
    "bytes": term("Bytes"),
    "first_bytes": term("The first {n} are shown; the capture has them all."),
    "no_fields": term(
        "The fields of the first {n} packets are in this page. Of this one the capture has them."
    ),
    "in_wireshark": term("In Wireshark"),
    "copy": term("Copy"),
    "copied": term("Copied"),
    "capture_beside": term("The capture lies beside the run: {file}"),
    "node_kind_host": term("host"),
    "node_kind_switch": term("switch"),
    "node_kind_router": term("router"),
    "node_kind_hub": term("hub"),
    "port": term("port {n}"),
    "frames": term("Frames: {n}"),
    "load": term("Frames up to now: {n} in, {o} out"),
    "load_ignored": term("Frames up to now: {n} in, {i} of them ignored, {o} out"),
    "senders": term("Senders seen on its ports up to now; a switch learns from them"),
    "ago": term("{ms} ms ago"),
    "network_part": term("network: {n} bits"),
    "host_part": term("host: {n} bits"),
    "same_network": term("In the same network: {l}"),
    "alone": term("Nobody else is in this network."),
    "wider": term("Larger"),
    "smaller": term("Smaller"),
    "fit": term("Fit"),
    "whole_screen": term("Full screen"),
    "cards": term("Flows"),
    "more": term("{n} more copies, counted only"),
    "left_out": term(
        "This page has room for the first packets. {n} more, of {m} frames, are in the capture "
        "alone."
    ),
    "no_frames": term("No frame was captured."),
    "keys": term(
        "Space: play or pause. ← →: a moment. Shift ← →: a packet. [ ]: a step of the lesson. "
        "Home, End. + -: speed. F: follow this packet. /: filter. L: language. D: dark or light. "
        "?: this text. Esc: close it."
    ),
}
