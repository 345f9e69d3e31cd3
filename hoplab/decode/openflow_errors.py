# SPDX-License-Identifier: Apache-2.0
"""The names of OpenFlow's errors (OpenFlow Switch Specification 1.3.5, 7.4.4).

What lives here: type and code to the names of the specification. What must not: words for people.
"""

from __future__ import annotations

# By type: the beginning of the names of its codes, and these.
_ERRORS: dict[int, tuple[str, tuple[str, ...]]] = {
    0: ("OFPHFC", ("INCOMPATIBLE", "EPERM")),
    1: ("OFPBRC", (
        "BAD_VERSION", "BAD_TYPE", "BAD_MULTIPART", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "EPERM",
        "BAD_LEN", "BUFFER_EMPTY", "BUFFER_UNKNOWN", "BAD_TABLE_ID", "IS_SLAVE", "BAD_PORT",
        "BAD_PACKET", "MULTIPART_BUFFER_OVERFLOW",
    )),
    2: ("OFPBAC", (
        "BAD_TYPE", "BAD_LEN", "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "BAD_OUT_PORT", "BAD_ARGUMENT",
        "EPERM", "TOO_MANY", "BAD_QUEUE", "BAD_OUT_GROUP", "MATCH_INCONSISTENT",
        "UNSUPPORTED_ORDER", "BAD_TAG", "BAD_SET_TYPE", "BAD_SET_LEN", "BAD_SET_ARGUMENT",
    )),
    3: ("OFPBIC", (
        "UNKNOWN_INST", "UNSUP_INST", "BAD_TABLE_ID", "UNSUP_METADATA", "UNSUP_METADATA_MASK",
        "BAD_EXPERIMENTER", "BAD_EXP_TYPE", "BAD_LEN", "EPERM",
    )),
    4: ("OFPBMC", (
        "BAD_TYPE", "BAD_LEN", "BAD_TAG", "BAD_DL_ADDR_MASK", "BAD_NW_ADDR_MASK", "BAD_WILDCARDS",
        "BAD_FIELD", "BAD_VALUE", "BAD_MASK", "BAD_PREREQ", "DUP_FIELD", "EPERM",
    )),
    5: ("OFPFMFC", (
        "UNKNOWN", "TABLE_FULL", "BAD_TABLE_ID", "OVERLAP", "EPERM", "BAD_TIMEOUT", "BAD_COMMAND",
        "BAD_FLAGS",
    )),
    6: ("OFPGMFC", (
        "GROUP_EXISTS", "INVALID_GROUP", "WEIGHT_UNSUPPORTED", "OUT_OF_GROUPS", "OUT_OF_BUCKETS",
        "CHAINING_UNSUPPORTED", "WATCH_UNSUPPORTED", "LOOP", "UNKNOWN_GROUP", "CHAINED_GROUP",
        "BAD_TYPE", "BAD_COMMAND", "BAD_BUCKET", "BAD_WATCH", "EPERM",
    )),
    7: ("OFPPMFC", ("BAD_PORT", "BAD_HW_ADDR", "BAD_CONFIG", "BAD_ADVERTISE", "EPERM")),
    8: ("OFPTMFC", ("BAD_TABLE", "BAD_CONFIG", "EPERM")),
    9: ("OFPQOFC", ("BAD_PORT", "BAD_QUEUE", "EPERM")),
    10: ("OFPSCFC", ("BAD_FLAGS", "BAD_LEN", "EPERM")),
    11: ("OFPRRFC", ("STALE", "UNSUP", "BAD_ROLE")),
    12: ("OFPMMFC", (
        "UNKNOWN", "METER_EXISTS", "INVALID_METER", "UNKNOWN_METER", "BAD_COMMAND", "BAD_FLAGS",
        "BAD_RATE", "BAD_BURST", "BAD_BAND", "BAD_BAND_VALUE", "OUT_OF_METERS", "OUT_OF_BANDS",
    )),
    13: ("OFPTFFC", (
        "BAD_TABLE", "BAD_METADATA", "BAD_TYPE", "BAD_LEN", "BAD_ARGUMENT", "EPERM",
    )),
}  # fmt: skip


def error_name(kind: int, code: int) -> str:
    """'OFPBMC_BAD_PREREQ' for type 4, code 9; "" for what the specification does not name."""
    head, names = _ERRORS.get(kind, ("", ()))
    return f"{head}_{names[code]}" if code < len(names) else ""
