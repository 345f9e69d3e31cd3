# SPDX-License-Identifier: Apache-2.0
"""Starts a controller file on os-ken, Ryu's maintained fork.

    python -m hoplab.control.osken_main ARGS...

The file is the same that Ryu runs, unchanged. It says `from ryu.base import app_manager`; here
that name leads to os-ken's module (`Alias`), and what Ryu calls RyuApp is os-ken's app class. The
arguments are those of ryu_main that hoplab uses.

os-ken brings no command of its own to run apps, so the few lines that Ryu has for it are here.
Its own threads would miss a switch that goes away, so eventlet is asked for, as Ryu uses it.

Like ryu_main, this ends with the exit codes of that and `FILE:LINE: ERROR` as its last line when a
controller cannot run. os-ken is an extra: `pip install 'hoplab[os-ken]'`.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from hoplab.control.ryu_main import (
    NO_LISTENER,
    accept_late_options,
    apps_among,
    check_options,
    failure,
    go_to_work,
    load,
    mark_the_log,
    must_hear_of_openflow,
    play_role,
    prepare,
)

OLD, NEW = "ryu", "os_ken"


class Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers an import of ryu.x with the very module object of os_ken.x."""

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != OLD and not fullname.startswith(OLD + "."):
            return None
        name = NEW + fullname[len(OLD) :]
        if importlib.util.find_spec(name) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(NEW + spec.name[len(OLD) :])
        # The import system writes the alias' spec into it; exec_module puts this back.
        self.own = (module.__spec__, module.__name__, getattr(module, "__loader__", None))
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__, module.__name__, module.__loader__ = self.own


def alias() -> Any:
    """From now on `ryu` means os-ken. Gives its app_manager."""
    os.environ["OSKEN_HUB_TYPE"] = "eventlet"  # read when os_ken.lib.hub is imported
    app_manager: Any = importlib.import_module("os_ken.base.app_manager")
    app_manager.RyuApp = app_manager.OSKenApp
    sys.meta_path.insert(0, Alias())
    return app_manager


def main(argv: Sequence[str] | None = None) -> int:
    """Runs os-ken until it is ended; the exit code says why the controller could not run."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    apps = apps_among(arguments)
    try:
        prepare()
        app_manager = alias()
    except ImportError as error:
        print(f"os-ken cannot be loaded: {error}; pip install 'hoplab[os-ken]'", file=sys.stderr)
        return 1
    code = failure(lambda: run(app_manager, arguments, apps), apps)
    if code is not None:
        return code
    print("the OpenFlow listener ended (is its port taken?)", file=sys.stderr)
    return NO_LISTENER


def run(app_manager: Any, arguments: list[str], apps: list[str]) -> None:
    """What ryu-manager does: read the options, load the apps, wait until they end."""
    from os_ken import cfg, log
    from os_ken.lib import hub

    importlib.import_module("os_ken.controller.controller")  # for its options
    importlib.import_module("os_ken.topology.switches")  # for --observe-links
    log.early_init_log(20)  # logging.INFO
    options = [word for word in arguments if word not in apps]
    # Those that only Ryu's REST part has.
    for name in ("--wsapi-host", "--wsapi-port"):
        while name in options:
            at = options.index(name)
            del options[at : at + 2]
    go_to_work()
    if "--user-flags" in options:  # registers options, as with Ryu
        at = options.index("--user-flags")
        importlib.import_module("os_ken.utils")._import_module_file(options[at + 1])
        del options[at : at + 2]
    accept_late_options(apps)
    cfg.CONF(project="os_ken", args=options, version="hoplab")
    log.init_log()
    mark_the_log("os_ken")
    if "HOPLAB_ROLE" in os.environ:
        play_role("os_ken")
    manager = app_manager.AppManager.get_instance()
    load_app = manager.load_app
    manager.load_app = lambda name: load(load_app, name, apps, app_manager.RyuApp)
    manager.load_apps(apps)
    check_options(cfg.CONF, apps)
    services = manager.instantiate_apps(**manager.create_contexts())
    must_hear_of_openflow(app_manager)
    try:
        hub.joinall(services)
    finally:
        manager.close()


if __name__ == "__main__":
    sys.exit(main())
