# SPDX-License-Identifier: Apache-2.0
"""What the live page says beside the player's words (`words.py`), by key.

What lives here: templates for labs that run: connection, acts, terminals. What must not:
anything about what was captured.
"""

from __future__ import annotations

from hoplab.sentences import Sentence, term

WORDS: dict[str, Sentence] = {
    # labs and runs to choose from
    "labs": term("Labs"),
    "kept_runs": term("Kept runs"),
    "no_labs": term("No lab runs. Start one in a terminal, and it appears here:"),
    "no_runs": term("No run is kept."),
    "lab_line": term("{topology}, controller {controller}; hosts: {hosts}, switches: {switches}"),
    "lab_line_plain": term("{topology}; hosts: {hosts}, switches: {switches}"),
    "delete": term("Delete"),
    "delete_sure": term("Delete for good?"),
    "page_file": term("Save as one page"),
    # the connection
    "connecting": term("Connecting …"),
    "lost_server": term("The server is away. Trying again …"),
    "no_entry": term(
        "This page has no valid key. Open the address that `hoplab web` printed, with all that "
        "stands behind #."
    ),
    "older": term("The server speaks another version. Load this page again."),
    "live": term("Live"),
    "paused": term("Paused"),
    "to_live": term("Back to live"),
    "new_packets": term("{n} new packets since"),
    "ended_lab": term("Ended"),
    "view_only": term("View only"),
    "shown_frames": term("{n} of {m} frames shown as packets"),
    "rate": term("{n} frames a second"),
    "starved": term(
        "Nothing was heard from whoever follows the lab for {n} s: this machine is too busy, and "
        "what is shown is old."
    ),
    "keep_this": term("Keep the last minutes"),
    "kept_as": term("Kept as {name}, frames: {n}."),
    "quiet_lab": term("No frame was counted in the last two seconds."),
    "no_packets_yet": term("No packet so far. Visit a page or ping somebody."),
    "cut_cable": term("cut"),
    "shaped_cable": term("slowed"),
    # acts
    "do": term("Do"),
    "run_it": term("Run"),
    "stop_it": term("Stop"),
    "undo": term("Undo"),
    "visit_act": term("Visit a page"),
    "url": term("Address (empty: the lab's own site)"),
    "from_host": term("From"),
    "to_host": term("To"),
    "ping_act": term("Ping"),
    "trace_act": term("Trace a command"),
    "on_host": term("On"),
    "command": term("Command"),
    "swap_act": term("Swap the controller"),
    "controller_name": term("Controller"),
    "add_act": term("Add a host"),
    "host_name": term("Name"),
    "to_switch": term("At switch"),
    "break_act": term("Break something"),
    "break_kind": term("Kind (empty: any)"),
    "tell_act": term("What is broken?"),
    "mend_act": term("Mend it"),
    "save_act": term("Save the lab as a file"),
    "capture_act": term("Capture into a file"),
    "capture_what": term("Hosts or interfaces (empty: all)"),
    "wireshark_act": term("Open in Wireshark"),
    "cut_act": term("Cut"),
    "join_act": term("Mend"),
    "link_rate": term("Rate, such as 10M"),
    "link_delay": term("Delay, such as 20ms"),
    "link_loss": term("Loss, such as 1%"),
    "apply": term("Apply"),
    "clear_act": term("As it was built"),
    "remove_act": term("Remove {name}"),
    "remove_sure": term("Really remove {name}?"),
    "service": term("Service"),
    "start_service": term("Start"),
    "stop_service": term("Stop"),
    "restart_service": term("Restart"),
    "service_stopped": term("stopped"),
    "cable": term("Cable"),
    "cables": term("Cables"),
    "cable_up": term("joined"),
    "port_counts": term("{port}: {o} out, {n} in"),
    "running": term("running"),
    "done_act": term("done"),
    "failed_act": term("did not succeed (exit code {n})"),
    "show_run": term("Play it"),
    "download": term("Download"),
    "results": term("What was done"),
    "cut_output": term("Earlier lines are left out."),
    # terminals
    "terminals": term("Terminals"),
    "open_terminal": term("Open a terminal"),
    "close_terminal": term("Close"),
    "terminal_of": term("Terminal of {host}"),
    "terminal_over": term("The shell has ended."),
    "terminal_keys": term("Ctrl+Shift+Esc leaves the terminal for the buttons around it."),
}
